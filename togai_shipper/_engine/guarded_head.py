"""Guards what a connection says at the head of a request, after whatever session and adapter have made of it.

No cookie goes along. The key goes unencrypted to this very machine alone, unless the application allows more.
Until the bytes are handed to the system, something else stands in its place: ``http.client`` would show it.
"""

from __future__ import annotations

from typing import Any

import urllib3

from togai_shipper._option_values import is_loopback_host
from togai_shipper._secret import Secret

from .exchange import current_exchange
from .whole_reply import NotWhole

_STAND_IN = b"(in place of the key, until this is sent)"
_COOKIES = ("cookie", "cookie2")


class InTheClear(NotWhole):
    """The request, and the key in it, would go to a host unencrypted, so it is not sent."""

    def __init__(self, host: str | None) -> None:
        super().__init__(f"{host} would get the key unencrypted; use https, or allow_insecure=True")


class GuardedHead:
    """A connection that carries our requests: mixed into one of urllib3's."""

    host: str
    _authorization: Secret[str] | None = None  # what the head that is made now has to say

    def putrequest(self, method: str, url: str, *args: Any, **kwargs: Any) -> None:
        current = current_exchange()
        if current is not None and not current.is_anywhere and self._is_in_the_clear(url):
            raise InTheClear(self.host)
        super().putrequest(method, url, *args, **kwargs)  # type: ignore[misc]  # the connection's, which this is mixed into

    def putheader(self, header: str | bytes, *values: Any) -> None:
        name = (header if isinstance(header, str) else header.decode("latin-1")).lower()
        if current_exchange() is not None:
            if name in _COOKIES:
                return
            if name == "authorization" and len(values) == 1:
                self._authorization = Secret(values[0])
                values = (_STAND_IN,)
        super().putheader(header, *values)  # type: ignore[misc]  # likewise

    def with_key(self, data: Any) -> Any:
        """Return ``data``, which is sent now, with the key in place of what stands for it."""
        hidden, self._authorization = self._authorization, None
        if hidden is None:
            return data
        return bytes(data).replace(b": " + _STAND_IN, b": " + hidden.reveal().encode("latin-1"), 1)

    def _is_in_the_clear(self, url: str) -> bool:
        """Whether others than this very machine can read a request for ``url``; a proxy can all of it."""
        is_for_a_proxy = not url.startswith("/")
        is_tls = isinstance(self, urllib3.connection.HTTPSConnection)
        return not is_tls and (is_for_a_proxy or not is_loopback_host(self.host))
