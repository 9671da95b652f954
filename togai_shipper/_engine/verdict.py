"""What a reply of Togai, or the lack of one, means. Pure: a reply goes in, a verdict comes out.

The table, in the order of ``judge``:

=====================================================  ==================================================
no reply, a cut or overlong one, 408, 425, 5xx         ``TryLater``: outcome unknown, perhaps partly ingested
one that may not be the word on this request           the same, where it would end an event
429; 503 with Retry-After                              ``TryLater``, and every flusher waits
202 with a JSON object or nothing; 200 that says so    ``Accepted``
207; a 202 or 200 with errors, or that says "false"    ``Partly``: some were not taken
a page with these, another 200, any other 1xx or 2xx   not Togai's word: as no reply; but see ``is_page``
400, 409, 413, 422 with a JSON object                  ``Refused``
the same without one (a gateway's page)                as no reply; but see ``is_page``
401                                                    ``Park``, on the key
3xx and every other 4xx                                ``Park``, on the line
=====================================================  ==================================================
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import timezone
from email.utils import parsedate_to_datetime
from typing import Any, TypeAlias, TypeGuard
from urllib.parse import urlsplit

import attrs

from togai_shipper._printable import printable
from togai_shipper.exceptions import DeliveryError

from .duplicates import names_another, says_duplicate

MAX_MESSAGE = 500  # characters of a server's message that we keep
MAX_RETRY_AFTER = 300.0  # seconds; a longer Retry-After is cut to this
MAX_WHERE = 200  # characters of an address that we keep
A_PAGE = "a page that is not Togai's"


NO_REPLY_YET = "no reply yet"  # what is said of an exchange that is under way


@attrs.frozen
class Reply:
    """One HTTP exchange as it ended; ``status`` is ``None`` where there is no whole reply."""

    status: int | None
    body: bytes = b""
    retry_after: float | None = None  # seconds
    error: str = ""  # why there is no whole reply
    sent: bool = True  # false: the request cannot have reached the server
    date: float | None = attrs.field(default=None, eq=False)  # the server's wall clock, where it says it
    repeated: bool = (
        False  # it came to a repetition of the request, which the session has sent more than once
    )
    doubt: str = ""  # why it may not be the word on this request, though it is whole
    location: str = attrs.field(default="", eq=False)  # where a redirect goes
    blank: Callable[[str], str] = attrs.field(default=str, eq=False, repr=False)  # what hides secrets in text
    verdict: Verdict | None = None  # what it means, where it is none of HTTP's


@attrs.frozen
class Accepted:
    """Togai took them all; ``relayed``: a relay did, which is yet to deliver them."""

    relayed: bool = False


@attrs.frozen
class Complaint:
    """Togai's word on one event: its message, and whether that says "duplicate id"."""

    message: str
    duplicate: bool


@attrs.frozen
class Partly:
    """Some were not taken: those named by id, or (``named`` is empty) nobody knows which."""

    named: Mapping[str, Complaint]
    refusal: Complaint
    status: int


@attrs.frozen
class Refused:
    """The request is refused for what it holds."""

    status: int
    message: str
    duplicate: bool
    too_large: bool


@attrs.frozen
class TryLater:
    """The outcome is unknown, or the server has no time: the same again, later.

    ``message``: why, with the status where there is one. ``after``: seconds to wait at least.
    ``throttled``: all flushers wait. ``maybe_read``: it may be ingested.
    """

    status: int | None
    message: str
    after: float | None = None
    throttled: bool = False
    maybe_read: bool = True


@attrs.frozen
class Park:
    """Nothing can be delivered until the key (``on_key``) or the line is mended.

    ``for_all``: no event can be the cause. ``every``: seconds between probes (default: less and less often).
    """

    status: int | None
    message: str
    on_key: bool
    for_all: bool = False
    every: float | None = None


Verdict: TypeAlias = Accepted | Partly | Refused | TryLater | Park
_SETTLING = (Accepted, Partly, Refused)  # those that end events


def judge(reply: Reply, event_id: str | None = None) -> Verdict:
    """What ``reply`` means for the events of its request; total over every status.

    ``event_id``: of the only event of the request, where it had only one.
    """
    if reply.verdict is not None:
        return reply.verdict
    if _is_page_of_success(reply):
        return TryLater(reply.status, _words(reply, None, reply.status or 0))
    verdict = _judge(reply, event_id)
    if reply.doubt and isinstance(verdict, _SETTLING):
        return TryLater(reply.status, reply.doubt)
    return verdict


def _is_page_of_success(reply: Reply) -> bool:
    """Whether a success is a gateway's: one that queues, a waiting room, a check for robots."""
    return reply.status in (200, 202, 207) and bool(reply.body.strip()) and json_object(reply.body) is None


def is_togais_word(reply: Reply, verdict: Verdict) -> bool:
    """Whether nobody but Togai can have said this: only then its date counts, and its connection is kept.

    A gateway, too, has 429s and 5xx of its own; it answers 401, 403 and 404, and has pages with any status.
    """
    return isinstance(verdict, _SETTLING) and json_object(reply.body) is not None


def is_word_on_a_look_up(reply: Reply) -> bool:
    """Whether this says what time it is at Togai: the reply to a request without events.

    It may have any status by which Togai answers: it may find nothing, or the key may not look anything up.
    """
    if reply.verdict is not None:  # a relay's
        return True
    is_answered = reply.status is not None and (reply.status == 200 or 400 <= reply.status < 500)  # noqa: PLR2004  HTTP's
    is_told = is_answered and reply.status != 429 and not reply.doubt  # noqa: PLR2004  the table
    return is_told and json_object(reply.body) is not None


def _judge(reply: Reply, event_id: str | None) -> Verdict:  # noqa: PLR0911  one return for each row of the table
    status = reply.status
    if status is None:
        return TryLater(None, reply.error, maybe_read=reply.sent)
    answer = json_object(reply.body)
    message = _message(reply, answer, status)
    words = _words(reply, answer, status)
    match status:
        case 200 | 202:
            return _success(reply, status, answer, message, event_id)
        case 207:
            return _partly(reply, status, answer, message, event_id)
        case 400 | 409 | 413 | 422 if answer is not None:
            return Refused(
                status, message, _is_duplicate(status, answer, event_id), too_large=status in (413, 422)
            )
        case 401:
            return Park(status, message, on_key=True)
        case 429:
            return TryLater(status, words, reply.retry_after, throttled=True, maybe_read=False)
        case 503 if reply.retry_after is not None:
            return TryLater(status, words, reply.retry_after, throttled=True)
        case 400 | 408 | 409 | 413 | 422 | 425:
            return TryLater(status, words)
        case _ if 300 <= status < 500:  # noqa: PLR2004  the statuses are the table's
            return Park(status, message, on_key=False)
    return TryLater(status, words)


def words_of(verdict: Verdict) -> str:
    """What was said, and with which status, by who does not take the request; empty where it is taken."""
    match verdict:
        case TryLater(message=message):
            return message
        case Refused(status, message) | Park(status, message):
            return str(DeliveryError(status, message))
        case Partly(refusal=refusal, status=status):
            return str(DeliveryError(status, refusal.message))
    return ""


def is_line_dead(verdict: Verdict) -> bool:
    """Whether nobody was there to judge the request, so that the next one will hardly fare better."""
    return isinstance(verdict, TryLater) and (verdict.status in (None, 502, 503, 504) or verdict.throttled)


def is_page(verdict: Verdict) -> TypeGuard[TryLater]:
    """Whether a gateway before Togai refuses the request: not for good, but the same again will not help.

    So is a success that is not Togai's word: for all we know it comes of one event of the request.
    """
    if not isinstance(verdict, TryLater) or verdict.status is None:
        return False
    return verdict.status in (400, 409, 413, 422) or 200 <= verdict.status < 300  # noqa: PLR2004  the statuses are the table's


def is_choking(verdict: Verdict) -> bool:
    """Whether somebody stumbles over what the request holds, it seems; five of these divide a batch."""
    return is_page(verdict) or (isinstance(verdict, TryLater) and verdict.status == 500)  # noqa: PLR2004  the table


def has_arrived(verdict: Verdict) -> bool:
    """Whether the request may have come to somebody, who did not settle it, nor ask for patience."""
    return (
        isinstance(verdict, TryLater)
        and not verdict.throttled
        and (verdict.status is not None or verdict.maybe_read)
    )


def may_be_the_request(verdict: Verdict) -> bool:
    """Whether, where others are accepted meanwhile, what the request holds may be the cause.

    Not where somebody is overloaded, or has nobody behind him: that meets any request, now and then.
    """
    return has_arrived(verdict) and not (isinstance(verdict, TryLater) and verdict.status in (502, 503, 504))


def is_refused_for_size(verdict: Verdict) -> bool:
    """Whether somebody, Togai or a gateway, finds the request too large."""
    if isinstance(verdict, Refused):
        return verdict.too_large
    return isinstance(verdict, TryLater) and verdict.status == 413  # noqa: PLR2004  the table


def may_be_too_long(verdict: Verdict) -> bool:
    """Whether the request was on its way and found no end: a shorter one may."""
    return isinstance(verdict, TryLater) and (
        verdict.status in (408, 504) or (verdict.status is None and verdict.maybe_read)
    )


def _success(
    reply: Reply, status: int, answer: dict[str, Any] | None, message: str, event_id: str | None
) -> Verdict:
    said = answer or {}
    if said.get("success") is False or _complaints(said):
        return _partly(reply, status, answer, message, event_id)
    if status == 202 or said.get("success") is True or said.get("errors") == []:  # noqa: PLR2004  the table
        return Accepted()
    return TryLater(status, f"HTTP {status}, an answer that is not Togai's")


def _partly(
    reply: Reply, status: int, answer: dict[str, Any] | None, message: str, sent_id: str | None
) -> Partly:
    named: dict[str, Complaint] = {}
    for item in _complaints(answer or {}):
        payload = item.get("eventPayload") if isinstance(item, dict) else None
        event_id = payload.get("id") if isinstance(payload, dict) else None
        if not isinstance(event_id, str):
            named = {}  # one is meant whom we cannot tell: as if nobody were named
            break
        named[event_id] = Complaint(_message(reply, item, status), _is_duplicate(status, item, event_id))
    return Partly(named, Complaint(message, _is_duplicate(status, answer or {}, sent_id)), status)


def _complaints(answer: dict[str, Any]) -> list[Any]:
    """What an answer says of single events, each in an item ``{message, eventPayload}``, both optional.

    Whatever is in ``errors`` is one. ``details`` may hold anything: there, and in the answer itself, such an
    item is known by its ``eventPayload``; in a list that has one, all are.
    """
    errors, details = answer.get("errors") or [], answer.get("details")
    found = list(errors) if isinstance(errors, list) else [errors]
    for place in (answer, details, *(details.values() if isinstance(details, dict) else ())):
        items = place if isinstance(place, list) else [place]
        if any(isinstance(item, dict) and "eventPayload" in item for item in items):
            found += items
    return found


def json_object(body: bytes) -> dict[str, Any] | None:
    """Return the JSON object that a body is; ``None`` where it is something else."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return answer if isinstance(answer, dict) else None


def _message(reply: Reply, answer: dict[str, Any] | None, status: int) -> str:
    said = (answer or {}).get("message")
    if not isinstance(said, str) or not said:
        if 300 <= status < 400 and (where := _where(reply)):  # noqa: PLR2004  the statuses are the table's
            return f"HTTP {status}, a redirect to {where}"
        return (
            f"HTTP {status}" if answer is not None or not reply.body.strip() else f"HTTP {status}, {A_PAGE}"
        )
    # First blanked, then cut: a secret that is cut would not be known any more.
    return printable(reply.blank(said)[:MAX_MESSAGE])


def _words(reply: Reply, answer: dict[str, Any] | None, status: int) -> str:
    """What is said, by whom, and with which status."""
    return str(DeliveryError(status, _message(reply, answer, status)))


def _where(reply: Reply) -> str:
    """Where a redirect goes: no query, which may hold anything."""
    try:
        parts = urlsplit(reply.blank(reply.location).strip())
        host = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}" if parts.netloc else ""
    except ValueError:
        return ""
    return printable(f"{host}{parts.path}"[:MAX_WHERE])


def _is_duplicate(status: int, answer: Mapping[str, Any], event_id: str | None) -> bool:
    """Whether an answer says that the event is known already: a 409 does, unless it names something else."""
    texts = [answer.get(place) for place in ("message", "code", "name")]
    if status in (413, 422):  # the event is too large, whatever is said of it
        return False
    return says_duplicate(texts, event_id) or (status == 409 and not names_another(texts))  # noqa: PLR2004  the table


def date_of(header: str | None) -> float | None:
    """An HTTP date as epoch seconds; ``None`` where it is none."""
    try:
        moment = parsedate_to_datetime(header or "")
        if moment.tzinfo is None:  # HTTP has no local time; unasked, Python would take its own
            moment = moment.replace(tzinfo=timezone.utc)
        return moment.timestamp()
    except (ValueError, OverflowError, TypeError):
        return None


def retry_after(header: str | None, now: float) -> float | None:
    """A Retry-After header, in seconds or as a date, as seconds from ``now`` (epoch seconds): 0 to 300."""
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        seconds = float(text)
    else:
        moment = date_of(text)
        if moment is None:
            return None
        seconds = moment - now
    return min(max(seconds, 0.0), MAX_RETRY_AFTER)
