"""Faults that are put into the package, to see that worlds find them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import attrs

from togai_shipper._engine import carrying, timed_http, transport
from togai_shipper._engine.batching import Batch, singles
from togai_shipper._engine.buffer import Buffer
from togai_shipper._engine.causes import Causes
from togai_shipper._engine.line import Line
from togai_shipper._engine.settlement import Settlement
from togai_shipper._engine.shutdown import Shutdown
from togai_shipper._engine.verdict import Refused
from togai_shipper._event import id_of
from togai_shipper._outcome import Rejected
from togai_shipper._process.per_process import PerProcess
from togai_shipper.exceptions import EventRejected
from togai_shipper.relay import stream
from togai_shipper.relay.hold import Hold
from togai_shipper.relay.lease import Lease
from togai_shipper.relay.link import Link
from togai_shipper.spool import orphan
from togai_shipper.spool.age import Age, Clocks, FileClock
from togai_shipper.spool.writer import Spool

from . import kernel, redis_server

Bug = Callable[[], AbstractContextManager[None]]
BUGS: dict[str, Bug] = {}


def bug(make: Callable[[], Iterator[None]]) -> Bug:
    """Name a bug after its function."""
    made = contextmanager(make)
    BUGS[make.__name__.replace("_", " ")] = made
    return made


def seeded(name: str | None) -> AbstractContextManager[None]:
    """Have this bug in the package for a while."""
    return nullcontext() if name is None else BUGS[name]()


@contextmanager
def _replaced(place: Any, name: str, make: Callable[[Any], Any]) -> Iterator[None]:
    before = getattr(place, name)
    setattr(place, name, make(before))
    try:
        yield
    finally:
        setattr(place, name, before)


@bug
def delete_before_the_reply() -> Iterator[None]:
    """What is sent leaves the disk, before anybody knows what becomes of it."""

    def make(take: Any) -> Any:
        def taken(line: Any, *arguments: Any) -> Any:
            work = take(line, *arguments)
            if isinstance(work, Batch) and isinstance(line._store, Spool):
                shelf = line._store._holdings.shelf
                shelf._gone += [shelf._rows[id(event)] for event in work.events if event in shelf]
                line._store.bell.ring()
            return work

        return taken

    with _replaced(Line, "take", make):
        yield


@bug
def a_new_id_on_retry() -> Iterator[None]:
    """What is sent again is sent under another id."""

    def make(body: Any) -> Any:
        def bodied(batch: Batch) -> bytes:
            whole: bytes = body(batch)
            for event in batch.events if batch.attempts else ():
                event_id = id_of(event)
                again = f"{event_id[:-4]}{batch.attempts:04d}"
                whole = whole.replace(json.dumps(event_id).encode(), json.dumps(again).encode())
            return whole

        return bodied

    with _replaced(Batch, "body", make):
        yield


@bug
def no_pid_check() -> Iterator[None]:
    """A forked child goes on with what it has inherited."""
    with _replaced(PerProcess, "here", lambda _: lambda own: own.latest):
        yield


@bug
def one_clock() -> Iterator[None]:
    """The wall clock of the machine decides alone how old an event is."""

    def by_the_wall(time: int, file: FileClock, now: Clocks) -> Age:
        return Age(now.wall - time, now.wall - time)

    with _replaced(orphan, "age", lambda _: by_the_wall):
        yield


@bug
def a_1xx_taken_as_final() -> Iterator[None]:
    """An informational reply is the reply, and the connection is kept, whatever is still to come on it."""

    def read_head(stream: Any) -> Any:
        from togai_shipper._engine.whole_reply import _Lines, _read_head  # noqa: PLC0415  the bug's

        return _read_head(_Lines(stream))

    def make(is_togais_word: Any) -> Any:
        return lambda reply, verdict: reply.status < 200 or is_togais_word(reply, verdict)

    with (
        _replaced(timed_http, "read_head", lambda _: read_head),
        _replaced(transport, "is_togais_word", make),
        _replaced(timed_http, "_waiting", lambda _: lambda sock: None),
    ):
        yield


@bug
def singles_at_two_thirds() -> Iterator[None]:
    """After two thirds of its time, ``close()`` sends everything one by one."""
    begun: dict[Shutdown, float] = {}

    def make_begin(begin: Any) -> Any:
        def noted(shutdown: Shutdown, now: float, *arguments: Any, **keywords: Any) -> None:
            begun[shutdown] = now
            begin(shutdown, now, *arguments, **keywords)

        return noted

    def make_next(next_while_closing: Any) -> Any:
        def divided(buffer: Any, now: float, *arguments: Any) -> Any:
            since = begun[buffer._shutdown]
            if now - since >= (buffer._shutdown.deadline - since) * 2 / 3:
                while buffer._fresh:
                    buffer._singles += singles(buffer._pop_fresh())
                while buffer._again:
                    buffer._singles += singles(buffer._again.popleft())
            return next_while_closing(buffer, now, *arguments)

        return divided

    with (
        _replaced(Shutdown, "begin", make_begin),
        _replaced(Buffer, "_next_while_closing", make_next),
    ):
        yield


# --- of a relay ---------------------------------------------------------------------------------------------


@bug
def a_cause_is_a_sentence() -> Iterator[None]:
    """What goes by the lane is rejected as a batch, where that is refused."""

    def make(halves: Any) -> Any:
        def settled(batch: Batch, verdict: Any, at: Any) -> Any:
            if batch.cause is None or not isinstance(verdict, Refused):
                return halves(batch, verdict, at)
            error = EventRejected(verdict.status, verdict.message, batch.attempts)
            return Settlement([Rejected(batch.events, error)])

        return settled

    with _replaced(carrying, "settle", make), _replaced(Causes, "of", lambda _: _by_schema):
        yield


def _by_schema(self: Causes, event: bytes) -> Any:
    """Wrong: what has failed once fails always."""
    return next(iter(self.known), None)


@bug
def settle_without_the_mark() -> Iterator[None]:
    """SETTLE removes what has the id, whether it is the entry that was delivered or another."""

    def make(settle: Any) -> Any:
        def settled(relay: Any, done: Any, most_dead: int) -> Any:
            theirs = [
                attrs.evolve(each, mark=relay.stream.get(each.id, {}).get(b"k", each.mark)) for each in done
            ]
            return settle(relay, theirs, most_dead)

        return settled

    with _replaced(redis_server.Relay, "settle", make):
        yield


@bug
def proven_by_age() -> Iterator[None]:
    """What is held is let go once it is old enough, whoever answers."""

    def make(judge: Any) -> Any:
        def judged(hold: Hold, server: Any, asked_at: float) -> int:
            while hold._held and asked_at - hold._held[0].at >= hold._seconds:
                hold._count(hold._held.popleft().parcel, -1)
            owed: int = judge(hold, server, asked_at)
            return owed

        return judged

    with _replaced(Hold, "judge", make):
        yield


@bug
def no_hold() -> Iterator[None]:
    """Nothing is held."""
    with _replaced(Hold, "put", lambda _: lambda hold, parcel, server, at: None):
        yield


@bug
def sends_without_a_fresh_lease() -> Iterator[None]:
    """A drainer sends though its last renewal may be old: the next one may have taken over."""
    with _replaced(Lease, "may_send", lambda _: lambda lease, now: lease.is_held):
        yield


@bug
def no_wait_after_the_takeover() -> Iterator[None]:
    """A drainer sends as soon as the lease is its own."""

    def make(may_send: Any) -> Any:
        return lambda lease, now: may_send(attrs.evolve(lease, taken=lease.taken - 1.0), now)

    with _replaced(Lease, "may_send", make):
        yield


@bug
def settles_before_the_reply() -> Iterator[None]:
    """An entry leaves the stream as it is read."""

    def make(read: Any) -> Any:
        def found(link: Link, after: str, count: int) -> Any:
            entries = read(link, after, count)
            relay = kernel.world().redis.master.relay
            for entry_id, _ in entries:
                relay.stream.pop(entry_id, None)
            return entries

        return found

    with _replaced(Link, "read", make):
        yield


@bug
def losses_are_not_told() -> Iterator[None]:
    """A drainer that sees smaller figures says nothing."""
    with _replaced(stream, "loss", lambda _: lambda before, now, in_memory=0: None):
        yield


@bug
def keeps_what_is_another_s() -> Iterator[None]:
    """A drainer that has lost the lease forgets nothing."""
    with _replaced(stream.Stream, "_heed_lease", lambda _: _heed_only_what_comes):
        yield


def _heed_only_what_comes(self: Any) -> None:
    lease = self._keeper.lease
    with self._lock:
        if lease.is_held and not self._was_held:
            self._reader.rewind()
        self._was_held = lease.is_held
