"""``togai-shipper catalog``: print the event schemas that Togai has, for a file that events are held to."""

from __future__ import annotations

import os

import click

from togai_shipper import ConfigurationError
from togai_shipper._catalog import catalog_of, contents, problems_of_schema

from .formats import plural
from .not_answered import NotAnswered
from .options import base_url_option
from .terminal import print_json, print_line
from .togai_asked import togai_options
from .togai_lists import TogaiLists

PATH = "/event_schema"


_CATALOG_HELP = """
Print the event schemas that Togai has, as JSON: keep them in a file beside your code.

A mistyped schema is delivered, and never billed. Events are held to the file by "send --dry-run
--catalog FILE", in tests by the ini option togai_catalog of the pytest plugin, and by the sandbox with
--catalog FILE; "doctor --catalog FILE" tells whether it is still what Togai has.

Togai is asked once for 100 schemas. The key is read from TOGAI_API_KEY, and must be one that may list
event schemas. As long as nothing changes at Togai, the output is the same.

What is wrong with a schema, so that its events would not be billed, is told on standard error.

Exit status: 0; 3 if Togai does not list its schemas; 2 for wrong usage.

\b
Examples:
  togai-shipper catalog > togai-schemas.json
  togai-shipper send --dry-run --catalog togai-schemas.json january.csv
"""


@click.command(help=_CATALOG_HELP)
@base_url_option
def catalog(*, base_url: str | None) -> None:
    """Print the event schemas that Togai has, as JSON: keep them in a file beside your code."""
    given = {} if base_url is None else {"base_url": base_url}
    try:
        config = togai_options(os.environ, **given)
    except ConfigurationError as error:
        raise click.UsageError(str(error)) from error
    found = list(TogaiLists(config).all_of(PATH))
    try:
        written, schemas = contents(config.base_url, found), catalog_of(found, "data")
    except ValueError as error:
        raise NotAnswered(f"GET {PATH}: the answer is not as Togai documents it: {error}") from error
    print_json(written, indent=2)
    print_line(f"{plural(len(schemas), 'event schema')} at {config.base_url}", err=True)
    for schema in schemas.values():
        for problem in problems_of_schema(schema):
            print_line(f"warning: {problem.text}", err=True)
