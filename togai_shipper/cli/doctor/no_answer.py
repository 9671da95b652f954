"""Why there is no answer: the proxy's own words, the certificate, the name, the port. Pure.

Libraries of HTTP wrap an error in several others, whose texts repeat the URL. What counts is the innermost.
"""

from __future__ import annotations

import re
import socket
import ssl
from http.client import BadStatusLine, HTTPException, RemoteDisconnected

from requests import RequestException, Timeout

from togai_shipper._engine.blanking import blanked, passwords_of
from togai_shipper._engine.no_reply import causes
from togai_shipper._printable import printable

from .check import Check

_TUNNEL = re.compile(r"Tunnel connection failed: (.*)", re.DOTALL)
_MOST = 200  # characters of an error's text
# What OpenSSL makes of a reply that is no TLS, by version.
_NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "RECORD_LAYER_FAILURE")
_TLS = "\x15\x03"  # how an alert of TLS begins, where HTTP is read
BUNDLE = (
    "A proxy, or a server of your own, may need a certificate of its own: name it in REQUESTS_CA_BUNDLE,\n"
    "for the application too. Else: is base_url right, and this machine's clock?"
)


def no_answer(error: BaseException, scheme: str, proxy: str | None) -> Check:  # noqa: PLR0911  the causes
    """Say why a request had no answer; ``proxy``: the URL of the one that was to pass it on."""
    chain = [*causes(error)]
    for each in reversed(chain):
        if refused := _TUNNEL.search(str(each)):
            return of_the_proxy(_blanked(refused[1], proxy))
    inner = chain[-1]
    found = f"no answer: {_words(inner, proxy)}"
    where = "the proxy" if proxy else "the server"
    match inner:
        case ssl.SSLError():
            return untrusted(inner)
        case socket.gaierror():
            return Check("fail", "server", found, "Can this machine resolve the name, and others?")
        case TimeoutError() | Timeout():
            return Check("fail", "server", f"no answer in time, from {where}", "Is it overloaded? Try again.")
        case ConnectionRefusedError():
            return Check(
                "fail",
                "server",
                f"no answer: {where} refuses the connection",
                f"Is {where} running, and the port right?",
            )
        case RemoteDisconnected() | ConnectionResetError() if scheme == "http":
            advice = "Does it speak TLS on this port? Then base_url begins with https://."
            return Check("fail", "server", f"{where} closes the connection without an answer", advice)
        case RemoteDisconnected() | ConnectionResetError():
            return Check(
                "fail",
                "server",
                f"{where} closes the connection without an answer",
                "Try again; if that does not help, ask who operates it.",
            )
        case BadStatusLine() if _TLS in str(inner) or repr(_TLS)[1:-1] in str(inner):
            return speaks_tls()
    return Check("fail", "server", found, "Try again; if that does not help, ask the server's operator.")


def untrusted(error: BaseException) -> Check:
    """Report that TLS with this server has failed."""
    if getattr(error, "reason", None) in _NO_TLS:
        advice = "Is the port right? If that server has no TLS, its base_url begins with http://."
        return Check("fail", "TLS", "what answers speaks no TLS; plain http, perhaps", advice)
    text = getattr(error, "verify_message", "") or _blanked(str(error), None)
    if isinstance(error, ssl.SSLCertVerificationError):
        return Check("fail", "TLS", f"its certificate is refused: {text}", BUNDLE)
    return Check("fail", "TLS", f"TLS with it fails: {text}", BUNDLE)


def speaks_tls() -> Check:
    """Report that a server without TLS was expected, and it has TLS."""
    text = "it speaks TLS on this port, and base_url says http://"
    return Check("fail", "server", text, "Write https:// in base_url.")


def of_the_proxy(words: str) -> Check:
    """Report that a proxy does not pass the request on, in its own words."""
    if words.startswith("407"):
        advice = "Name user and password in the proxy's URL: HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT"
    else:
        advice = "Ask who runs the proxy to let this host through; or go past the proxy: NO_PROXY."
    return Check("fail", "proxy", f"does not let the request through: {words}", advice)


def _words(error: BaseException, proxy: str | None) -> str:
    """Return what an error says, if the system or the wire does; of any other one only its kind."""
    is_plain = isinstance(error, OSError | HTTPException) and not isinstance(error, RequestException)
    return (is_plain and _blanked(str(error), proxy)) or type(error).__name__


def _blanked(text: str, proxy: str | None) -> str:
    """Return a text of others' in a line, without the proxy's password."""
    return printable(blanked(text, passwords_of([proxy] if proxy else []))[:_MOST]).strip()
