"""What lies between processes and Togai, and what it does to requests while its weather is bad."""

from __future__ import annotations

import errno
import random
import socket
from collections.abc import Callable
from email.utils import formatdate
from typing import TYPE_CHECKING, TypeAlias

import attrs

from . import kernel
from .network import LATENCY, Connection
from .togai import Answer, Request, Togai, told

if TYPE_CHECKING:
    from .process import Process
    from .world import World

NEVER = float("inf")
QUICK = {"refused", "reset", "errors"}  # nothing hangs in these, or is put off
PERHAPS_GOOD = {"late reply", "dripping reply", "informational", "hangs up"}
PAGE = b"<html><head><title>Sorry</title></head><body>The gateway is at a loss.</body></html>"


@attrs.define
class Spell:
    """Bad weather of one kind, for a while."""

    kind: str
    until: float
    chance: float = 1.0
    value: float = 0.0


SERVER_PATIENCE = 3600.0  # seconds that Togai waits at most for the rest of a request


class Internet:
    """Name server, routes and gateway."""

    def __init__(self, seed: int, world: World, togai: Togai) -> None:
        self.random = random.Random(f"internet {seed}")
        self._world = world
        self.togai = togai
        self.spells: list[Spell] = []
        self.address = "10.0.0.1"
        self.old = "dead"  # what becomes of connections to addresses of before
        self.fair_since = 0.0  # nothing is the matter, or still hangs in what was
        self.wrong_by = 0.0  # seconds by which the gateway's clock is wrong
        self._answers = ANSWERS

    # --- weather ---

    def begin(self, spell: Spell) -> None:
        """Let the weather be bad from now on."""
        self.spells.append(spell)
        patience = 0.0 if spell.kind in QUICK else NEVER
        self.fair_since = max(self.fair_since, spell.until + patience)

    def clear(self) -> None:
        """Let all be well, whatever was."""
        self.spells.clear()

    def is_fair(self) -> bool:
        """Whether nothing is the matter now."""
        self._forget()
        return not self.spells

    def _forget(self) -> None:
        now = self._world.scheduler.now
        self.spells = [spell for spell in self.spells if spell.until > now]

    def _is(self, *kinds: str) -> Spell | None:
        self._forget()
        for spell in self.spells:
            if spell.kind in kinds and self.random.random() < spell.chance:
                self._world.count(spell.kind)
                return spell
        return None

    # --- names and routes ---

    def addresses(self, host: str) -> list[str]:
        """Where a host is."""
        if self._is("no name"):
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return [self.address]

    def move(self, old: str) -> None:
        """Togai has another address from now on; connections to the old one get what ``old`` says."""
        self.old = old
        self.fair_since = NEVER
        self.address = f"10.0.0.{int(self.address.rpartition('.')[2]) + 1}"

    def connect(self, process: Process, address: str, timeout: float | None) -> Connection:
        """Make a connection, or wait for one in vain."""
        scheduler = self._world.scheduler
        process.began_attempt()
        if self._is("refused") or (address != self.address and self.old == "refuses"):
            raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
        if self._is("unreachable") or (address != self.address and self.old == "dead"):
            scheduler.sleep(60.0 if timeout is None else min(timeout, 130.0))
            raise TimeoutError("timed out")
        scheduler.sleep(LATENCY)
        connection = Connection(process, address, scheduler.now)
        process.sockets.append(connection)
        return connection

    def sent(self, connection: Connection, data: bytes, timeout: float | None) -> None:
        """Bytes leave a process; the last of a request bring its answer."""
        scheduler = self._world.scheduler
        if (
            connection.process.is_drainer
            and data.startswith((b"POST ", b"GET "))
            and not connection.is_sending
        ):
            connection.is_sending = True
            path = data.split(b" ", 2)[1].decode()
            self._world.judge.relay.request_begins(connection.process, path)
        if connection.is_ended(scheduler.now):
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")
        self._weary(connection)
        if slow := self._is("slow link"):
            seconds = len(data) / slow.value
            scheduler.sleep(seconds if timeout is None else min(seconds, timeout))
            if timeout is not None and seconds > timeout:
                raise TimeoutError("timed out")
        if scheduler.now - connection.used_at > SERVER_PATIENCE and (slow or connection.received):
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")  # who waits for the rest of a request for days?
        connection.used_at = scheduler.now
        if connection.swallows:
            return
        connection.received += data
        request = _whole(connection.received)
        if request is not None:
            connection.received.clear()
            connection.is_sending = False
            connection.requests += 1
            self._handle(connection, request)

    def _weary(self, connection: Connection) -> None:
        """A connection that was kept may be dead by now, of which nobody told its end."""
        idle = self._world.scheduler.now - connection.used_at
        if connection.address != self.address and self.old != "refuses":
            connection.swallows = connection.swallows or self.old == "dead"
        nat = next((spell for spell in self.spells if spell.kind == "forgetful router"), None)
        if nat and connection.requests and idle > nat.value:
            self._world.count("forgetful router")
            connection.swallows = True

    # --- requests ---

    def _handle(self, connection: Connection, request: Request) -> None:
        now = self._world.scheduler.now
        if request.looked_up is None:
            connection.process.began_attempt()
        if connection.address != self.address:  # somebody else lives there now
            self.reply(connection, page(421))
            return
        limit = next((spell for spell in self.spells if spell.kind == "small gateway"), None)
        if limit and len(request.body) > limit.value:
            self._world.count("small gateway")
            self.reply(connection, page(413))
            connection.process.answered()
            return
        for spell in self.spells:
            answer = self._answers.get(spell.kind)
            if answer is not None and spell.until > now and self.random.random() < spell.chance:
                self._world.count(spell.kind)
                self._world.tell(connection.process, f"gets {spell.kind!r} for {shown(request)}")
                answer(self, connection, request, spell)
                if spell.kind in PERHAPS_GOOD and request.looked_up is None:
                    connection.process.answered()
                return
        answer_of_togai = self.togai.answer(request, now)
        self._world.tell(connection.process, f"gets {answer_of_togai.status} for {shown(request)}")
        self.reply(connection, answer_of_togai)
        if answer_of_togai.status in (202, 207, 400, 413, 422):
            connection.process.answered()

    def reply(self, connection: Connection, answer: Answer, delay: float = 0.0) -> None:
        """Let an answer arrive as it is meant to."""
        connection.send(self._world.scheduler.now + LATENCY + delay, self.wire(answer))

    def wire(self, answer: Answer) -> bytes:
        """The bytes of an answer."""
        wall = self._world.true_wall() + (self.wrong_by if answer.is_page else 0.0)
        kind = "text/html" if answer.is_page else "application/json"
        lines = [
            f"HTTP/1.1 {answer.status} X",
            f"Date: {formatdate(wall, usegmt=True)}",
            f"Content-Type: {kind}",
            f"Content-Length: {len(answer.body)}",
            *(f"{name}: {value}" for name, value in answer.headers),
        ]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + answer.body


def page(status: int, *headers: tuple[str, str]) -> Answer:
    """A gateway's word."""
    return Answer(status, PAGE, headers, is_page=True)


def shown(request: Request) -> str:
    """A request, for the story."""
    names = [event["accountId"] for event in request.events()]
    what = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
    kind = "look-up" if request.is_look_up else "single" if request.is_single else "batch"
    return f"{kind} {what}"


def _whole(received: bytearray) -> Request | None:
    head, gap, body = bytes(received).partition(b"\r\n\r\n")
    if not gap:
        return None
    lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    if len(body) < int(headers.get("content-length", 0)):
        return None
    return Request(lines[0].split()[1], headers.get("authorization", "").removeprefix("Bearer "), body)


# --- what bad weather does to a request --------------------------------------------------------------------

Does: TypeAlias = Callable[[Internet, Connection, Request, Spell], None]
ANSWERS: dict[str, Does] = {}


def weather(kind: str) -> Callable[[Does], Does]:
    """Name a kind of weather that answers requests."""

    def named(does: Does) -> Does:
        ANSWERS[kind] = does
        return does

    return named


def _now() -> float:
    return kernel.scheduler().now


@weather("busy")
def _busy(net: Internet, connection: Connection, request: Request, spell: Spell) -> None:
    headers = (("Retry-After", str(int(spell.value))),) if spell.value else ()
    net.reply(connection, attrs.evolve(told(429, message="too many requests"), headers=headers))


@weather("unavailable")
def _unavailable(net: Internet, connection: Connection, request: Request, spell: Spell) -> None:
    net.togai.take_some(request, _now())
    net.reply(connection, page(503, ("Retry-After", str(int(spell.value)))))


@weather("errors")
def _errors(net: Internet, connection: Connection, request: Request, spell: Spell) -> None:
    net.togai.take_some(request, _now())
    status = net.random.choice((500, 502, 503, 504, 500, 408, 425, 520))
    is_page = net.random.random() < 0.5
    net.reply(connection, page(status) if is_page else told(status, message="internal error"))


@weather("reset")
def _reset(net: Internet, connection: Connection, request: Request, spell: Spell) -> None:
    if net.random.random() < 0.5:
        net.togai.take_some(request, _now())
    connection.end(_now() + LATENCY, ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"))


@weather("lost reply")
def _lost(net: Internet, connection: Connection, request: Request, spell: Spell) -> None:
    net.togai.take_some(request, _now())
    connection.swallows = True


@weather("swallowed")
def _swallowed(net: Internet, connection: Connection, request: Request, spell: Spell) -> None:
    connection.swallows = True


@weather("cut reply")
def _cut(net: Internet, connection: Connection, request: Request, spell: Spell) -> None:
    whole = net.wire(net.togai.answer(request, _now()))
    connection.send(_now() + LATENCY, whole[: net.random.randrange(len(whole))])
    connection.end(_now() + 2 * LATENCY)


@weather("late reply")
def _late(net: Internet, connection: Connection, request: Request, spell: Spell) -> None:
    """After the client's patience, perhaps."""
    net.reply(connection, net.togai.answer(request, _now()), net.random.uniform(0.0, spell.value))


@weather("dripping reply")
def _dripping(net: Internet, connection: Connection, request: Request, spell: Spell) -> None:
    whole, at = net.wire(net.togai.answer(request, _now())), _now()
    for start in range(0, len(whole), 20):
        at += net.random.uniform(0.0, spell.value)
        connection.send(at, whole[start : start + 20])


@weather("informational")
def _informational(net: Internet, connection: Connection, request: Request, spell: Spell) -> None:
    """The real reply comes after one that says nothing, good or bad."""
    status = net.random.choice((100, 102, 103))
    connection.send(_now() + LATENCY, f"HTTP/1.1 {status} X\r\nLink: </x>\r\n\r\n".encode())
    final = page(503) if net.random.random() < 0.5 else net.togai.answer(request, _now())
    net.reply(connection, final, net.random.choice((0.0, 0.01, 2.0)))


@weather("page")
def _page(net: Internet, connection: Connection, request: Request, spell: Spell) -> None:
    """A gateway answers, and Togai hears nothing of it."""
    net.reply(connection, page(net.random.choice((200, 400, 403, 404, 409, 413, 421, 422, 502))))


@weather("redirect")
def _redirect(net: Internet, connection: Connection, request: Request, spell: Spell) -> None:
    net.reply(connection, page(net.random.choice((301, 302, 307, 308)), ("Location", "http://elsewhere/")))


@weather("forbidden")
def _forbidden(net: Internet, connection: Connection, request: Request, spell: Spell) -> None:
    net.reply(connection, told(net.random.choice((403, 404, 405)), message="no such thing"))


@weather("nonsense")
def _nonsense(net: Internet, connection: Connection, request: Request, spell: Spell) -> None:
    data = net.random.choice(
        (b"", b"\r\n", b"hello\r\n\r\n", b"HTTP/1.1 2020 X\r\n\r\n", b"HTTP/1.1 202", b"\x00" * 50)
    )
    connection.send(_now() + LATENCY, data) if data else None
    connection.end(_now() + 2 * LATENCY)


@weather("empty 200")
def _empty(net: Internet, connection: Connection, request: Request, spell: Spell) -> None:
    net.reply(connection, Answer(200, net.random.choice((b"", b"{}", b"OK", b"[]"))))


@weather("hangs up")
def _hangs_up(net: Internet, connection: Connection, request: Request, spell: Spell) -> None:
    """The answer is good, and the connection ends a little later, untold."""
    net.reply(connection, net.togai.answer(request, _now()))
    connection.end(_now() + LATENCY + net.random.choice((0.0, 0.2, 3.0)))
