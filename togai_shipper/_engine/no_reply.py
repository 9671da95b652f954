"""Why there is no reply, in a few words that name who is at fault. Pure: an error goes in, a text comes out.

requests and urllib3 wrap what happened several times over, and each wrapping repeats the URL, the pool and
more. What is said is the innermost cause, whole, and that a proxy stood in the way where one did.
"""

from __future__ import annotations

import http.client
import re
from collections.abc import Callable, Iterator

import requests
import urllib3

from togai_shipper._printable import printable

from .guarded_head import InTheClear
from .whole_reply import NotWhole

MAX_WHY = 200  # characters of an error's text that we keep
_OF_THE_NETWORK = (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, OSError, NotWhole)
_OF_A_PROXY = (requests.exceptions.ProxyError, urllib3.exceptions.ProxyError)
_MOST_CAUSES = 8  # chains are short; one that bites its tail must not hold up a flusher for ever
# What urllib3 begins with: an object of its own, by its address or by its host.
_WHO = re.compile(r"^(<[^>]*>|\w+\(host=[^)]*\)): ")
_WHAT = re.compile(r"^Failed to establish a new connection: ")
_SSL = re.compile(r"^\[SSL(: \w+)?\] | \(_ssl\.c:\d+\)$")


def why(error: BaseException, blank: Callable[[str], str] = str) -> str:
    """Return the cause of ``error`` in a few words; ``blank`` hides what is secret in it."""
    chain = list(causes(error))
    cause = chain[-1]
    # First blanked, then cut: a secret that is cut would not be known any more.
    text = _SSL.sub("", _WHAT.sub("", _WHO.sub("", blank(str(cause))))) or type(cause).__name__
    if isinstance(cause, http.client.BadStatusLine) and not isinstance(cause, http.client.RemoteDisconnected):
        text = f"what came is not HTTP: {text}"
    if not isinstance(error, _OF_THE_NETWORK):
        text = f"{type(error).__name__}: {text}"  # none of the network's: it says little without its kind
    if any(isinstance(each, _OF_A_PROXY) for each in chain) and not isinstance(cause, InTheClear):
        text = f"the proxy: {text}"
    return printable(text[:MAX_WHY])


def causes(error: BaseException) -> Iterator[BaseException]:
    """Return ``error`` and what it was raised for, from without to within."""
    cause: BaseException | None = error
    for _ in range(_MOST_CAUSES):
        if cause is None:
            return
        yield cause
        parts = (getattr(cause, "reason", None), *cause.args)
        within = next((part for part in parts if isinstance(part, BaseException)), None)
        if within is None and isinstance(cause, urllib3.exceptions.HTTPError):
            within = cause.__cause__  # the system's own error, whose words the wrapping repeats
        cause = within
