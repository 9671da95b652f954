"""Whom a session trusts, and by what it shows who it is: as ``requests`` has it, but for what it gets wrong.

There the environment's CA bundle wins over the session's own, and counts for nothing where no proxies are to
be taken from the environment; a file that is not there is told by its path alone.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from requests.utils import DEFAULT_CA_BUNDLE_PATH, extract_zipped_paths

from togai_shipper._secret import Secret

_BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def trusted(verify: Any, bundle: str | None) -> Any:
    """Return what to verify a server by: what the session says, else the environment's bundle, if any."""
    return bundle or True if verify is True else verify


def bundle_of(environ: Secret[Mapping[str, str]]) -> str | None:
    """Return the CA bundle that the environment names; no frame shows the rest of it, the key perhaps."""
    return next(filter(None, map(environ.reveal().get, _BUNDLES)), None)


def missing(verify: Any, cert: Any) -> str:
    """Which file of these is not there, in words; empty where all are."""
    bundle = extract_zipped_paths(DEFAULT_CA_BUNDLE_PATH) if verify is True else verify  # type: ignore[no-untyped-call]  # it has no types
    if bundle and not os.path.exists(bundle):  # noqa: PTH110  it may be bytes, or whatever a session holds
        return f"no such CA bundle: {bundle}"
    files = cert if isinstance(cert, tuple | list) else (cert,)
    for kind, file in zip(("client certificate", "key of a client certificate"), files, strict=False):
        if file and not os.path.exists(file):  # noqa: PTH110  likewise
            return f"no such {kind}: {file}"
    return ""
