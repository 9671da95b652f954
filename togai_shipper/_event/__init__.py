"""Events: what the caller says happened is checked, normalised and encoded once, inside that very call.

The limits are those of Togai's ``Event`` schema. ``fields`` says what a single field may hold, ``timestamps``
when it happened, ``identity`` by what it is counted once, ``parts`` what attributes and dimensions are.
``encoding`` puts the JSON together, and ``event`` says the same facts to people; both ways meet in the same
checks. ``encoded`` tells whether bytes of another origin are such an event; ``traits``, what an event has in
common with others.
"""

from .encoded import is_encoded
from .encoding import encode
from .event import Event, decode, decode_own, read
from .fields import MAX_ATTRIBUTES, MAX_DIGITS, Number, number
from .identity import IDEMPOTENCY_NAMESPACE, ChosenId, chosen_id, fresh_id, id_of
from .parts import Attribute, Attributes, ListedAttributes
from .timestamps import Stamp, timestamp_text
from .traits import KINDS, MAX_TOLD, Kind, Trait, schema_of, traits_of

__all__ = [
    "IDEMPOTENCY_NAMESPACE",
    "KINDS",
    "MAX_ATTRIBUTES",
    "MAX_DIGITS",
    "MAX_TOLD",
    "Attribute",
    "Attributes",
    "ChosenId",
    "Event",
    "Kind",
    "ListedAttributes",
    "Number",
    "Stamp",
    "Trait",
    "chosen_id",
    "decode",
    "decode_own",
    "encode",
    "fresh_id",
    "id_of",
    "is_encoded",
    "number",
    "read",
    "schema_of",
    "timestamp_text",
    "traits_of",
]
