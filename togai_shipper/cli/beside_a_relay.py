"""What a command does otherwise that ships to Togai itself where the applications hand over to a relay."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LEFT = 5.0  # requests a second: what a drainer, with its 45, leaves of an account's 50


def shipping_to_togai(environ: Mapping[str, str], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a shipper that has no relay, whatever the environment says.

    If there is one, its drainers need nearly all of the quota: then such a shipper takes what they leave,
    unless somebody has said how much it may have.
    """
    is_beside = has_relay(environ) and not environ.get("TOGAI_RATE_LIMIT")
    return {**({"rate_limit": LEFT} if is_beside else {}), **options, "relay": None}


def has_relay(environ: Mapping[str, str]) -> bool:
    """Tell whether the applications of this host hand over to a relay."""
    return bool(environ.get("TOGAI_RELAY"))
