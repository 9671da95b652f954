"""Blanks, in text that others wrote, the key and the passwords of proxies, in whatever way they are written.

A message may repeat the head of the request, an error the URL of a proxy that it could not read. A secret
is known by its first characters and by its last, plain or encoded; what follows the first goes with them.
"""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from urllib.parse import unquote

from togai_shipper._secret import Secret

BLANK = "…"
KNOWN_BY = 12  # characters of a secret, first or last
MIN_LONG = 8  # characters; a shorter secret may be part of a word, and is blanked where it stands alone
MIN_ENCODED = 6  # characters of base64 or hex that tell of a secret; fewer are in many a word

_REST = r"[^\s\"'<>,]*"
_CREDENTIALS = re.compile(r"(?i)\b(bearer|basic)(\W{1,3}|%20)[\w.~+/=-]{16,}")
_USERINFO = re.compile(r"(?<=//)[^\s\"'<>]*@")
_SPLITS_URLS = re.compile(r"[\s/?#@:%\[\]\\]+")


def blanked(text: str, secrets: Iterable[Secret[str]]) -> str:
    """Return ``text`` without these secrets, without userinfo in URLs, and without the keys of others."""
    for secret in secrets:
        for pattern in _patterns(secret):
            text = pattern.sub(BLANK, text)
    text = _USERINFO.sub(f"{BLANK}@", text)
    return _CREDENTIALS.sub(rf"\1\2{BLANK}", text)


def passwords_of(urls: Iterable[str]) -> list[Secret[str]]:
    """Return what is secret in the URLs of proxies: passwords, also in parts, where a URL is read wrongly."""
    found: dict[str, None] = {}
    for url in urls:
        userinfo, mark, host = url.rpartition("//")[2].rpartition("@")
        user, colon, password = userinfo.partition(":")
        if not mark:  # no credentials; or a password in place of the port, since the host is left out
            password = host.partition(":")[2].partition("/")[0]
            password = "" if password.isdigit() else password
        elif not colon:
            password = user
        if password:
            parts = (part for part in _SPLITS_URLS.split(password) if len(part) > 1)
            found |= dict.fromkeys(
                (f"{unquote(user)}:{unquote(password)}", password, unquote(password), *parts)
            )
    return [Secret(each) for each in found]


@lru_cache(maxsize=64)
def _patterns(secret: Secret[str]) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(pattern, re.IGNORECASE) for pattern in _written(secret.reveal()) if pattern)


def _written(secret: str) -> Iterator[str]:
    """Yield a pattern for each way in which somebody may write ``secret``."""
    first, last = ("".join(map(_character, part)) for part in (secret[:KNOWN_BY], secret[-KNOWN_BY:]))
    if not secret:
        return
    if len(secret) < MIN_LONG:
        yield rf"(?<![^\W_]){first}(?![^\W_])"
    else:
        yield first + _REST
        yield last
    data = secret.encode()
    digits = data.hex()
    if len(digits) >= MIN_ENCODED:
        yield digits[: 2 * KNOWN_BY] + "[0-9a-f]*"
    for before in range(3):  # of four characters of base64 for three bytes, the secret may begin at each
        known = base64.b64encode(bytes(before) + data).decode()[: (before + len(data)) * 8 // 6]
        known = known[(0, 2, 3)[before] :][: 2 * KNOWN_BY]
        if len(known) >= MIN_ENCODED:
            yield re.sub(r"[+/]", "[+/_-]", known) + "[a-z0-9+/=_-]*"


def _character(character: str) -> str:
    """Return a pattern for one character: as it is, or escaped as in URLs, JSON, Python or HTML."""
    code = ord(character)
    escaped = {re.escape(character), re.escape(html.escape(character)), r"\\+" + re.escape(character)}
    ways = [
        *sorted(escaped),
        f"%(?:25)*{code:02x}",
        rf"\\+(?:u00|x){code:02x}",
        f"&#(?:0*{code}|x0*{code:x});",
    ]
    return f"(?:{'|'.join(ways)})"
