"""The relay as a destination: a batch is handed over to Redis, and is relayed once that has it.

batch -> parcel -> ADD -> relayed -> held -> proven, or handed over again
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

import attrs

from togai_shipper._config import Config, RelaySource
from togai_shipper._engine.batching import Batch
from togai_shipper._engine.blanking import blanked
from togai_shipper._engine.log import Log
from togai_shipper._engine.runtime import Runtime
from togai_shipper._engine.shutdown import Shutdown
from togai_shipper._engine.verdict import Accepted, Park, Reply, TryLater
from togai_shipper._plural import counted
from togai_shipper._printable import printable
from togai_shipper._process.signals import as_application
from togai_shipper._secret import Secret

from .answers import Added, Standing
from .entries import MARK_BYTES, fields_of
from .errors import Forbidden, Foreign, Full, Newer, RelayError, Unreachable
from .hold import Hold, Parcel
from .hold_keeper import Keeper
from .link import Link
from .notes import Notes
from .url import secrets_of, shown
from .watch import Watch

MAX_WHY = 300  # characters of an error's text that we keep
FULL_AFTER = 1.0  # seconds until a relay that was full is asked again
FOREIGN_EVERY = 60.0  # seconds between probes of a relay that is another's
PATIENCE = 1.0  # seconds that Redis waits for its replicas before it answers
TAKEN = Reply(202, verdict=Accepted(relayed=True))


OpenLink: TypeAlias = Callable[[Config, float], Link]


def opened(config: Config, timeout: float) -> Link:
    """Return a link for these options whose calls end after so many seconds; nothing is sent yet."""
    assert config.relay is not None  # noqa: S101  without one, nobody asks
    source = config.relay.reveal()
    return Link(_of_the_application(source) if callable(source) else source, config.relay_name, timeout)


def _of_the_application(function: Callable[[], Any]) -> Callable[[], Any]:
    def made() -> Any:
        with as_application():
            return function()

    return made


class Relay:
    """The relay of one shipper in one process. Raises ``ConfigurationError`` for a URL that leads nowhere."""

    name = "the relay"
    keeps = True

    def __init__(
        self,
        config: Config,
        runtime: Runtime,
        lock: threading.RLock,
        shutdown: Shutdown,
        log: Log,
        notes: Notes,
        open_link: OpenLink = opened,
    ) -> None:
        self.config = config
        self.runtime = runtime
        self.notes = notes
        self._lock = lock
        self._log = log
        self._open_link = open_link
        open_link(config, PATIENCE)  # who gives a wrong URL is told here, and not by each flusher
        self._hold = Hold(config.relay_hold)
        self._watch = Watch()
        self._is_told = False  # that Redis does not say who it is
        self.keeper = Keeper(
            config, runtime, lock, shutdown, log, self._hold, self._watch, self.connect, self.blanked
        )

    @property
    def relay(self) -> str:
        """Where it is, without what is secret."""
        source: RelaySource | None = self.config.relay.reveal() if self.config.relay else None
        return printable(shown(source)) if isinstance(source, str) else "of the application's own function"

    @property
    def held(self) -> int:
        """Events that it has taken, and may yet have to be given again."""
        return self._hold.events

    def connect(self) -> Handover:
        """Return a connection for one more flusher."""
        return Handover(self, self._open_link)

    def blanked(self, text: str) -> str:
        """Return what somebody said of the relay, without its password."""
        source: RelaySource | None = self.config.relay.reveal() if self.config.relay else None
        secrets = secrets_of(source) if isinstance(source, str) else []
        return printable(blanked(text, secrets)[:MAX_WHY])

    def figures(self) -> Mapping[str, Any]:
        """What the relay said last, and what is held."""
        return {
            "relay_held": self._hold.events,
            "relay_repeated": self._hold.repeated,
            "relay_unproven": self._hold.left_early,
            "relay_events": self._watch.events,
            "relay_dead": self._watch.dead,
            "relay_stalled": self._watch.is_stalled,
        }

    def settle(self) -> None:
        """Ask whether it is the same one still, and hand over again what it has lost, until the deadline."""
        is_known = self.notes.end()
        if self._hold.events or is_known:
            self.keeper.settle()

    def finish(self) -> None:
        """Let go of what is held."""
        if self._hold.owed:
            text = "closed with %s that the relay may have lost, and that could not be handed over again"
            self._log.write(logging.ERROR, text, counted(self._hold.owed, "relayed event"), loss=True)
        self.keeper.end()

    # --- what its connections tell ---

    def note(self, standing: Standing, asked_at: float, added: int = 0) -> None:
        """Note what Redis answered to what was asked at ``asked_at``, when ``added`` events came in."""
        with self._lock:
            self._watch.note(standing, self.runtime.clock(), added=added)
            owed = self._hold.judge(standing.server, asked_at)
            seconds = self._watch.stalled_for() if self._watch.is_stalled else None
        if owed:
            text = "another Redis answers than the one that took %s; they are handed over again"
            self._log.complain("relay changed", text, counted(owed, "event"))
            self.keeper.ensure()
        if seconds is not None:
            text = "the relay holds %s, and none has left it for %.0f s: is it drained? (togai-shipper drain)"
            waiting = counted(standing.events, "event")
            self._log.complain("relay stalled", text, waiting, seconds, level=logging.ERROR)
        else:
            self._log.recovered("relay stalled", "events leave the relay again")

    def note_taken(self, parcel: Parcel, added: Added) -> None:
        """Note that Redis has taken a parcel, as safely as that was asked for: hold it."""
        with self._lock:
            self._hold.put(parcel, added.server, self.runtime.clock())
            is_news = added.server is None and self.config.relay_hold > 0 and not self._is_told
            self._is_told = self._is_told or is_news
        if is_news:
            text = "Redis does not say which server it is (INFO): what it loses is not handed over again"
            self._log.write(logging.WARNING, text)
        self.keeper.ensure()


@attrs.frozen
class _Unsafe:
    """A parcel that is in the stream, and not yet on as many replicas as it should be."""

    parcel: Parcel
    added: Added


class Handover:
    """One flusher's connection to the relay. Used by one thread."""

    def __init__(self, relay: Relay, open_link: OpenLink) -> None:
        self._relay = relay
        self._config = relay.config
        self._clock = relay.runtime.clock
        self._wall = relay.runtime.wall
        self._open_link = open_link
        self._link: Link | None = None
        self._timeout = 0.0  # seconds after which a call of the link ends
        self._is_checked = False  # that this Redis can be a relay
        self._tried: tuple[Sequence[bytes], Parcel] | None = None  # the batch that was sent last
        self._unsafe: _Unsafe | None = None

    def open(self) -> None:
        """Nothing is to be made ready."""

    def send(
        self,
        batch: Batch,
        key: Secret[str],  # noqa: ARG002  no key is ever in Redis
        time_left: float,
        may_begin: Callable[[], bool] = lambda: True,
    ) -> Reply:
        """Hand a batch over; say what came of it."""
        if time_left <= 0:
            return Reply(None, error="no reply: there was no time", sent=False)
        if not may_begin():
            return Reply(None, error="no reply: given up before it was sent", sent=False)
        try:
            self.give(self._parcel(batch), time_left)
        except RelayError as error:
            return _refusal(error, self._relay.blanked(str(error)))
        return TAKEN

    def look_up(self, *_: object) -> Reply:
        """Say that nobody will know here what time it is at Togai."""
        return TAKEN

    def give(self, parcel: Parcel, time_left: float) -> None:
        """Hand a parcel over, and wait until it is on as many replicas as it should be."""
        until = self._clock() + min(time_left, self._config.timeout[1])
        link = self._link_for(time_left)
        try:
            added = self._replicated(link, parcel, self._added(link, parcel), until)
        except Unreachable:  # the next one to answer may be another
            self._is_checked = False
            raise
        self._relay.note_taken(parcel, added)

    def _replicated(self, link: Link, parcel: Parcel, added: Added, until: float) -> Added:
        """Wait for the replicas that are missing; where time is up, the next attempt waits on."""
        wanted = self._config.relay_replicas
        while added.replicas < wanted:
            if self._clock() >= until:
                self._unsafe = _Unsafe(parcel, added)
                raise Unreachable(f"the batch is on {added.replicas} of {wanted} replicas of Redis")
            added = link.confirm(added, wanted, self._patience)
        return added

    def look(self, time_left: float) -> None:
        """Ask how the relay stands."""
        asked_at = self._clock()
        self._relay.note(self._relay.notes.ride(self._link_for(time_left).look), asked_at)

    def close(self) -> None:
        """Close the connection."""
        if self._link is not None:
            self._link.close()

    def _added(self, link: Link, parcel: Parcel) -> Added:
        """Append an entry; not where it is in the stream already, and only its replicas are missing."""
        unsafe, self._unsafe = self._unsafe, None  # until it is known that the same server still has it
        if unsafe is not None and unsafe.parcel is parcel:
            return unsafe.added
        if not self._is_checked:
            link.check()
            self._is_checked = True
        asked_at = self._clock()
        add = partial(
            link.add,
            parcel.fields,
            self._config.base_url,
            self._config.max_relay_bytes,
            replicas=self._config.relay_replicas,
            patience=self._patience,
        )
        added = self._relay.notes.ride(add, parcel.count)
        self._relay.note(added, asked_at, parcel.count)
        return added

    def _parcel(self, batch: Batch) -> Parcel:
        """Return the batch packed: the same again where it was sent before."""
        if self._tried is None or self._tried[0] is not batch.events:
            accepted = self._wall() - (self._clock() - batch.since)
            fields = fields_of(batch.events, os.urandom(MARK_BYTES), max(0, int(accepted * 1000)))
            self._tried = (batch.events, Parcel(fields, len(batch)))
        return self._tried[1]

    @property
    def _patience(self) -> float:
        return min(PATIENCE, self._timeout / 4)

    def _link_for(self, time_left: float) -> Link:
        """Return a link whose calls are over in ``time_left`` seconds."""
        if self._link is None or self._timeout > time_left:
            self.close()
            longest = self._config.timeout[1]
            # Half of what is left: the next call may be as long, and this one may have to be repeated.
            self._timeout = longest if time_left > longest else time_left / 2
            self._link = self._open_link(self._config, self._timeout)
        return self._link


def _refusal(error: RelayError, message: str) -> Reply:
    """Return what a relay's error means for the batch, and for all others."""
    match error:
        case Full():
            later = TryLater(503, message, FULL_AFTER, maybe_read=False)
            return Reply(503, verdict=later)
        case Forbidden() | Newer():
            return Reply(403, verdict=Park(None, message, on_key=False, for_all=True))
        case Foreign():
            return Reply(403, verdict=Park(None, message, on_key=False, for_all=True, every=FOREIGN_EVERY))
    may_be_done = not isinstance(error, Unreachable) or error.may_be_done
    # Not "no reply", after which shorter batches are tried: their length is not the cause.
    return Reply(None, verdict=TryLater(503, message, maybe_read=may_be_done), sent=may_be_done)
