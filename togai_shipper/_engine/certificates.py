"""Whom a session trusts, and by what it shows who it is: as ``requests`` has it, but for what it gets wrong.

There the environment's CA bundle wins over the session's own, and counts for nothing where no proxies are to
be taken from the environment; a file that is not there is told by its path alone.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from requests.utils import DEFAULT_CA_BUNDLE_PATH, extract_zipped_paths

_BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def trusted(verify: Any, environ: Mapping[str, str]) -> Any:
    """What to verify a server by: what the session says, else the environment's bundle."""
    if verify is not True:
        return verify
    return next((environ[name] for name in _BUNDLES if environ.get(name)), True)


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
