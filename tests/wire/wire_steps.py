"""What a wire server can do with a request, step by step; and the bytes of replies, right and wrong ones."""

from __future__ import annotations

import gzip
import json
from typing import Literal

import attrs
from wire_server import Step, Talk

Share = Literal["all", "half", "none"]
Play = tuple[Step, ...]

YES = b'{"success": true}'
NO = b'{"message": "overloaded"}'
PAGE = b"<html><body><h1>It works, or it does not</h1></body></html>"
REASONS = {
    100: "Continue",
    102: "Processing",
    103: "Early Hints",
    202: "Accepted",
    503: "Service Unavailable",
}


# --- steps ---


@attrs.frozen
class Read:
    """Read the request, or a part of it."""

    part: Literal["head", "half", "whole"] = "whole"

    def do(self, talk: Talk) -> None:
        talk.read(self.part)


@attrs.frozen
class Take:
    """Take events of the request that was read: all, the first half, or none."""

    share: Share = "all"

    def do(self, talk: Talk) -> None:
        ids = talk.request.ids
        count = {"all": len(ids), "half": len(ids) // 2, "none": 0}[self.share]
        talk.server.record.take(ids[:count])


@attrs.frozen
class Send:
    """Send bytes: at once, or byte by byte with a pause after each."""

    data: bytes
    every: float = 0.0

    def do(self, talk: Talk) -> None:
        if not self.every:
            talk.send(self.data)
            return
        for byte in self.data:
            talk.send(bytes([byte]))
            talk.pause(self.every)


@attrs.frozen
class Pause:
    """Let time pass."""

    seconds: float

    def do(self, talk: Talk) -> None:
        talk.pause(self.seconds)


@attrs.frozen
class End:
    """Send nothing more (FIN)."""

    def do(self, talk: Talk) -> None:
        talk.end()


@attrs.frozen
class Finish:
    """Send nothing more (FIN), and wait until the client has left."""

    def do(self, talk: Talk) -> None:
        talk.end()
        talk.wait_for_end()


@attrs.frozen
class Reset:
    """Cut the connection (RST)."""

    def do(self, talk: Talk) -> None:
        talk.reset()


@attrs.frozen
class Silence:
    """Swallow all that comes, and never say anything, until the client has left."""

    def do(self, talk: Talk) -> None:
        talk.wait_for_end()


@attrs.frozen
class Name:
    """Take all events but some, and answer 207 with the names of those.

    ``foreign``: take none, and name an event that is not in this request, as if the reply were another's.
    """

    which: Literal["first", "all", "foreign"] = "first"

    def do(self, talk: Talk) -> None:
        ids = talk.request.ids
        named = {"first": ids[:1], "all": ids, "foreign": ["of-another-request"]}[self.which]
        talk.server.record.take(
            () if self.which == "foreign" else [each for each in ids if each not in named]
        )
        errors = [{"message": "not now", "eventPayload": {"id": each}} for each in named]
        talk.send(reply(207, json.dumps({"errors": errors}).encode()))


@attrs.frozen
class SayDuplicate:
    """Answer 409, if all events of this request were taken before; else 503."""

    def do(self, talk: Talk) -> None:
        is_known = all(talk.server.record.taken[event_id] for event_id in talk.request.ids)
        talk.send(reply(409, b'{"message": "duplicate event id"}') if is_known else reply(503, NO))


# --- bytes ---


def head(status: int, *fields: bytes, version: bytes = b"1.1") -> bytes:
    """The head of a reply, with these header fields and no others."""
    reason = REASONS.get(status, "Whatever").encode()
    return b"\r\n".join((b"HTTP/%b %d %b" % (version, status, reason), *fields, b"", b""))


def reply(status: int, body: bytes = b"", *fields: bytes) -> bytes:
    """A whole reply, well-formed."""
    return head(status, b"Content-Type: application/json", b"Content-Length: %d" % len(body), *fields) + body


def page(status: int, *fields: bytes) -> bytes:
    """The same in HTML, as a gateway says it."""
    return head(status, b"Content-Type: text/html", b"Content-Length: %d" % len(PAGE), *fields) + PAGE


def chunked(status: int, body: bytes, last: bytes = b"0\r\n\r\n") -> bytes:
    """A reply in chunks, of which ``last`` is the end."""
    chunk = b"%x\r\n%b\r\n" % (len(body), body)
    return head(status, b"Content-Type: application/json", b"Transfer-Encoding: chunked") + chunk + last


def packed(status: int, body: bytes) -> bytes:
    """A reply that is compressed, though nobody asked for it."""
    return reply(status, gzip.compress(body, mtime=0), b"Content-Encoding: gzip")


INTERIM = head(102) + head(103, b"Link: </style.css>; rel=preload")

TAKEN = reply(202, YES)
UNAVAILABLE = reply(503, NO)
HONEST: Play = (Read(), Take(), Send(TAKEN))
