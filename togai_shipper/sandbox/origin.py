"""Whether a request may be what a web page of somebody else makes a browser send. Pure.

A browser says who asks: in ``Origin`` with every POST, and in ``Sec-Fetch-Site`` where it trusts the address.
It says neither where a stranger lets a name of their own stand for this machine, and their page then reads
from it: so the sandbox answers only to an address, or to a name that the public DNS does not have.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.datastructures import Headers

_PRIVATE = (".localhost", ".internal", ".local", ".test")  # nobody can register a name that ends so
_OURS = frozenset(("same-origin", "none"))  # "none": the user has typed the address
_FROM_ELSEWHERE = "the sandbox answers no web page but its own"


def objection(method: str, path: str, headers: Headers) -> str | None:
    """Return why this request is refused; ``None`` if it may pass."""
    hosts, origins = headers.getlist("host"), headers.getlist("origin")
    host = hosts[0] if hosts else ""
    if len(hosts) > 1 or not is_private(host):
        return (
            "the sandbox answers at an address (127.0.0.1), at localhost, and at names without a dot or that "
            f"end in {', '.join(_PRIVATE)}: use one of these, for any other name may be a stranger's"
        )
    if origins and origins != [f"http://{host}"]:
        return _FROM_ELSEWHERE
    site = headers.get("sec-fetch-site", "none")
    return None if site in _OURS or _is_link_to_page(method, path, headers) else _FROM_ELSEWHERE


def is_private(host: str) -> bool:
    """Whether a ``Host`` can only mean a machine that its client chose: an address, or a private name."""
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    name = name.lower().removesuffix(".")
    try:
        ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return "." not in name or name.endswith(_PRIVATE)
    return True


def _is_link_to_page(method: str, path: str, headers: Headers) -> bool:
    """Whether the user follows a link from elsewhere to the page: that shows it, and tells nobody."""
    return (method, path, headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest")) == (
        "GET",
        "/",
        "navigate",
        "document",
    )
