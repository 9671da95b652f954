"""Blanks, in text that others wrote, the key and the passwords of proxies, in whatever way they are written.

A message may repeat the head of the request, an error the URL of a proxy that it could not read. Letters and
digits alone are compared, as they stand and with escapes read: so it does not matter what is between them. A
secret is known by any part of a certain length, plain, as hex or as base64; what follows it goes with it.

The text comes from strangers, and is read while others wait. So no more than its beginning is, and each step
takes time in proportion to its length: no pattern here repeats something and can then fail.
"""

from __future__ import annotations

import base64
import html
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import TypeAlias
from urllib.parse import unquote

import attrs

from togai_shipper._secret import HiddenText, Secret

BLANK = "…"
WINDOW = 1536  # characters of a text that are read
MARGIN = (
    160  # of these, not returned where the text goes on: of a secret that is cut there, too little is known
)
KNOWN_BY = 12  # characters of a secret in a row
MIN_LONG = (
    8  # letters and digits; a shorter secret may be part of a word, and is blanked where it stands alone
)
MIN_ENCODED = 6  # characters of base64 or hex that tell of a secret; fewer are in many a word
_BLOCK, _STEP = (
    4,
    3,
)  # a text is searched for blocks of 4, at each third character: a part of 6 has one of them

_REST = re.compile(r"[^\s\"'<>,]*")
_CREDENTIALS = re.compile(r"(?i)\b(?:bearer|basic)(?:\W{1,3}|%20)([\w.~+/=-]{16,})")
_AUTHORITY = re.compile(r"(?<=//)[^\s\"'<>]+")
_SPLITS_URLS = re.compile(r"[\s/?#@:%\[\]\\]+")
_ESCAPE = re.compile(
    r"(?i)\\+(?:(?:u0{6}|u00|u\{0{0,6}|x)(?P<backslash>[0-9a-f]{2})\}?)?"
    r"|%(?:25)*(?P<percent>[0-9a-f]{2})|0x(?P<number>[0-9a-f]{2})"
    r"|&(?:#[0-9]{1,12}|#x[0-9a-f]{1,12}|[a-z]{2,4});?"
)
Span: TypeAlias = tuple[int, int]


def blanked(text: str, secrets: Iterable[Secret[str]]) -> str:
    """Return ``text`` without these secrets, without userinfo in URLs, and without the keys of others.

    Of a text that is longer than ``WINDOW``, its beginning.
    """
    window = text[:WINDOW]
    is_cut = len(text) > WINDOW
    spans = [*_known(window, _forms(tuple(secrets))), *_unknown(window, is_cut=is_cut)]
    end = WINDOW - MARGIN if is_cut else len(window)
    parts, at = [], 0
    for start, stop in sorted(spans):
        if start >= end:
            break
        if start >= at:
            parts += [window[at:start], BLANK]
        at = max(at, stop)
    return "".join([*parts, window[at:end]])


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


# --- what a text looks like ---------------------------------------------------------------------------------


@attrs.frozen(repr=False)
class _View:
    """A text read in one way, in lower case; and where in the text each of its characters is written."""

    text: str
    starts: Sequence[int]
    stops: Sequence[int]

    def skeleton(self) -> _View:
        """Return its letters and digits."""
        if self.text.isalnum():
            return self
        kept = [at for at, character in enumerate(self.text) if character.isalnum()]
        return _View(
            "".join([self.text[at] for at in kept]),
            [self.starts[at] for at in kept],
            [self.stops[at] for at in kept],
        )


def _views(text: str) -> Iterator[_View]:
    """Yield the text as it is; and with its escapes read, where it has any."""
    yield _View(_lower(text), range(len(text)), range(1, len(text) + 1))
    escapes = list(_ESCAPE.finditer(text))
    if not escapes:
        return
    read: list[str] = []
    starts: list[int] = []
    stops: list[int] = []
    at = 0
    for escape in escapes:
        start, stop = escape.span()
        meant = _meant(escape)
        read += [text[at:start], meant]
        starts += [*range(at, start), *[start] * len(meant)]
        stops += [*range(at + 1, start + 1), *[stop] * len(meant)]
        at = stop
    read.append(text[at:])
    yield _View(
        _lower("".join(read)), [*starts, *range(at, len(text))], [*stops, *range(at + 1, len(text) + 1)]
    )


def _meant(escape: re.Match[str]) -> str:
    code = escape["backslash"] or escape["percent"] or escape["number"]
    if code:
        return chr(int(code, 16))
    return html.unescape(escape[0]) if escape[0].startswith("&") else ""  # backslashes before a character


def _lower(text: str) -> str:
    """Return as many characters in lower case; there is one of which ``lower()`` makes two."""
    return text.replace("\u0130", "i").lower()


# --- what secrets look like ---------------------------------------------------------------------------------


@attrs.frozen(repr=False)
class _Forms:
    """What secrets look like in a view.

    Attributes:
        blocks: each ``_BLOCK`` letters and digits of a secret in an encoding: where they come in it.
        literal: secrets that have too few of them, and whether they have to stand alone.

    """

    blocks: dict[str, list[tuple[Secret[str], int, int]]]
    literal: list[tuple[Secret[str], bool]]


@lru_cache(maxsize=16)
def _forms(secrets: tuple[Secret[str], ...]) -> _Forms:
    forms = _Forms(defaultdict(list), [])
    for secret in secrets:
        if not secret.reveal():
            continue
        for word, least in _written(secret):
            for at in range(len(word.reveal()) - _BLOCK + 1):
                forms.blocks[word.reveal()[at : at + _BLOCK]].append((word, at, least))
        if len(_skeleton(HiddenText(secret.reveal()))) < MIN_LONG:
            is_short = len(secret.reveal()) < MIN_LONG
            forms.literal.append((Secret(_lower(secret.reveal())), is_short))
    return forms


def _written(secret: Secret[str]) -> Iterator[tuple[Secret[str], int]]:
    """Yield the letters and digits of ``secret`` in each encoding, and how many of them tell of it."""
    for view in _views(HiddenText(secret.reveal())):
        word = Secret(view.skeleton().text)
        if len(word.reveal()) >= MIN_LONG:
            yield word, min(KNOWN_BY, len(word.reveal()))
    data = Secret(secret.reveal().encode(errors="replace"))
    encoded = [(Secret(data.reveal().hex()), 2 * KNOWN_BY)]
    for before in range(3):  # of four characters of base64 for three bytes, the secret may begin at each
        known = slice((0, 2, 3)[before], (before + len(data.reveal())) * 8 // 6)
        text = Secret(base64.b64encode(bytes(before) + data.reveal()).decode()[known])
        encoded.append((Secret(_skeleton(HiddenText(text.reveal()))), KNOWN_BY * 4 // 3))
    for word, least in encoded:
        if len(word.reveal()) >= MIN_ENCODED:
            yield word, min(least, len(word.reveal()))


def _skeleton(text: str) -> str:
    return "".join(filter(str.isalnum, _lower(text)))


# --- where a text has them ----------------------------------------------------------------------------------


def _known(text: str, forms: _Forms) -> Iterator[Span]:
    """Yield where ``text`` has one of the secrets, in any form."""
    for view in _views(text):
        yield from _parts(text, view.skeleton(), forms)
        for secret, alone in forms.literal:
            yield from _literal(text, view, secret, alone=alone)


def _parts(text: str, view: _View, forms: _Forms) -> Iterator[Span]:
    """Yield where a part of a secret is, and what follows it."""
    blocks, read = forms.blocks, view.text
    hits = [at for at in range(0, len(read) - _BLOCK + 1, _STEP) if read[at : at + _BLOCK] in blocks]
    done = 0
    for hit in hits:
        if view.starts[hit] < done:
            continue
        for word, at, least in blocks[read[hit : hit + _BLOCK]]:
            first, last = _around(read, hit, word, at)
            if last - first >= least:
                done = _end_of_rest(text, view.stops[last - 1])
                yield view.starts[first], done
                break


def _around(read: str, hit: int, word: Secret[str], at: int) -> Span:
    """Return from where to where ``read`` is as ``word`` is, where both have the same block."""
    first, last, size = hit, hit + _BLOCK, len(word.reveal())
    while first and at and read[first - 1] == word.reveal()[at - 1]:
        first, at = first - 1, at - 1
    at += last - first
    while last < len(read) and at < size and read[last] == word.reveal()[at]:
        last, at = last + 1, at + 1
    return first, last


def _literal(text: str, view: _View, secret: Secret[str], *, alone: bool) -> Iterator[Span]:
    """Yield where a secret stands as it is, if need be by itself."""
    at = view.text.find(secret.reveal())
    while at >= 0:
        stop = at + len(secret.reveal())
        neighbours = view.text[max(0, at - 1) : at] + view.text[stop : stop + 1]
        if not alone:
            yield view.starts[at], _end_of_rest(text, view.stops[stop - 1])
        elif not any(map(str.isalnum, neighbours)):
            yield view.starts[at], view.stops[stop - 1]
        at = view.text.find(secret.reveal(), stop)


def _end_of_rest(text: str, at: int) -> int:
    rest = _REST.match(text, at)
    return at if rest is None else rest.end()


def _unknown(text: str, *, is_cut: bool) -> Iterator[Span]:
    """Yield where ``text`` has userinfo in URLs, or credentials, whosever they are."""
    for authority in _AUTHORITY.finditer(text):
        length = authority[0].rfind("@")
        if length > 0:
            yield authority.start(), authority.start() + length
        elif is_cut and authority.end() == len(text):  # the mark that ends the userinfo may come yet
            yield authority.span()
    for credentials in _CREDENTIALS.finditer(text):
        yield credentials.span(1)
