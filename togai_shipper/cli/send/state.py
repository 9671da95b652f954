"""Where ``send`` keeps what has to outlive it: a place for each user, key and URL."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from togai_shipper._secret import Secret


class NoPlace(Exception):  # noqa: N818  it says what is not there
    """Nothing can be kept, since this user has no home; the text says so."""


def default_spool(environ: Secret[Mapping[str, str]], base_url: str | None) -> str:
    """Return this user's spool for this key and URL: no other key may deliver what this one has left.

    Raises ``NoPlace``.
    """
    return str(_state(environ) / "spool" / _whose(environ, base_url))


def record_of_jobs(environ: Secret[Mapping[str, str]], base_url: str | None, spool: str | None) -> Path:
    """Return the file of the record for this key and URL: in the spool that was named, else beside ours.

    Raises ``NoPlace``.
    """
    folder = _state(environ) / "jobs" if spool is None else Path(spool) / "jobs"
    return folder / f"{_whose(environ, base_url)}.sqlite"


def _state(environ: Secret[Mapping[str, str]]) -> Path:
    if state := environ.reveal().get("XDG_STATE_HOME"):
        return Path(state) / "togai-shipper"
    try:
        return Path.home() / ".local" / "state" / "togai-shipper"
    except RuntimeError as error:  # neither HOME nor an entry in passwd
        raise NoPlace("this user has no home directory, and so no spool there either") from error


def _whose(environ: Secret[Mapping[str, str]], base_url: str | None) -> str:
    url = base_url or environ.reveal().get("TOGAI_BASE_URL", "")
    whose = hashlib.blake2b(f"{url}\0".encode(errors="surrogateescape"), digest_size=8)
    whose.update(environ.reveal().get("TOGAI_API_KEY", "").encode(errors="surrogateescape"))
    return whose.hexdigest()
