"""The event schemas that Togai has, in a file: ``togai-shipper catalog`` writes it, others hold events to it.

``schemas`` says what a schema asks of events, ``file`` what the file is like, and ``problems`` what is wrong
with an event, or a schema, so that Togai would not bill it.
"""

from .file import VERSION, contents, read_catalog
from .problems import Problem, problems_of, problems_of_schema
from .schemas import Catalog, EventSchema, catalog_of

__all__ = [
    "VERSION",
    "Catalog",
    "EventSchema",
    "Problem",
    "catalog_of",
    "contents",
    "problems_of",
    "problems_of_schema",
    "read_catalog",
]
