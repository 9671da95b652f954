"""The group ``togai-shipper spool``, which holds all commands on a spool."""

from __future__ import annotations

import click

from togai_shipper.cli.on_demand import OnDemand, OnDemandGroup

_COMMANDS = {
    "ls": OnDemand(
        "spool.inspection:ls",
        "List the files of a spool, or what a relay holds; or dead letters.",
    ),
    "dead": OnDemand(
        "spool.inspection:dead_command",
        "Say why events are dead: a line for each cause, with how many, since when, and until when.",
    ),
    "show": OnDemand(
        "spool.inspection:show",
        "Show the event with this ID: its content, where it is, and why.",
    ),
    "verify": OnDemand(
        "spool.inspection:verify_command",
        "Check each file, and the checksum of every event in it; or each entry and dead letter of a relay.",
    ),
    "replay": OnDemand(
        "spool.changes:replay",
        "Make dead letters pending again, so that they are sent once more.",
    ),
    "purge": OnDemand("spool.changes:purge", "Delete dead letters for ever."),
    "export": OnDemand(
        "spool.export:export",
        "Write dead letters as NDJSON: one event a line, in Togai's own JSON.",
    ),
    "journal": OnDemand(
        "spool.journal:journal",
        "Show what was delivered from a spool, or a relay, by day and schema.",
    ),
}


_SPOOL_HELP = """
Look into a spool or a relay, and work with what was not delivered.

DIR is the directory that the application was given as spool= or TOGAI_SPOOL, or the URL of a relay
(redis://, rediss://, unix://); it may be left out if TOGAI_SPOOL or TOGAI_RELAY is set (the
first wins), so that no password stands in the command. All commands work while the application runs.

\b
Examples:
  togai-shipper spool ls DIR              how much waits, and why
  togai-shipper spool dead DIR            what Togai refused, and why
  togai-shipper spool replay DIR          send that again
  togai-shipper spool journal DIR         what was delivered, by day
"""


@click.group(cls=OnDemandGroup, on_demand=_COMMANDS, help=_SPOOL_HELP)
def spool() -> None:
    """Look into a spool or a relay, and work with what was not delivered."""
