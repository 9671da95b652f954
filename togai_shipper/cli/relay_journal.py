"""The journal of a relay, by its URL."""

from __future__ import annotations

from togai_shipper import ConfigurationError
from togai_shipper._journal import Journal, JournalError
from togai_shipper.relay.errors import RelayError
from togai_shipper.relay.url import shown

TIMEOUT = 10.0  # seconds for each answer


def journal_of_relay(url: str, name: str) -> Journal:
    """Return the journal of a relay. Raises ``JournalError``; also where the relay cannot be asked."""
    # Asked for here: who has no relay needs no redis-py.
    try:
        from togai_shipper.relay.journal_reading import read_relay_journal  # noqa: PLC0415
        from togai_shipper.relay.link import Link  # noqa: PLC0415

        link = Link(url, name, TIMEOUT)
    except ConfigurationError as error:
        raise JournalError(str(error)) from error
    try:
        return read_relay_journal(link, name)
    except (RelayError, JournalError) as error:
        raise JournalError(f"{shown(url)}: {error}") from error
    finally:
        link.close()
