"""The way to Redis: what a relay is asked for. But for ``refusals``, no other module knows redis-py.

Whatever goes wrong is raised as a ``RelayError``. Nothing is tried again here: who asks has rules for that.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast, get_args

import attrs

from togai_shipper._engine.blanking import blanked
from togai_shipper._secret import Secret
from togai_shipper.exceptions import ConfigurationError

from .answers import (
    Added,
    Done,
    Removed,
    Server,
    Standing,
    figure_of,
    info_of,
    pairs_of,
    server_of,
    text_of,
    texts_of,
)
from .entries import FORMAT, Entry, size_of
from .errors import Forbidden, Foreign, Full, Newer, RelayError, Unreachable, another_key, of_another_kind
from .journal import Counts
from .key_trial import Known, Word
from .notes import KEPT, MISSED, MOST_PRODUCERS, Note
from .scripts import ADD, KEY, LEASE, PART, RECOUNT, SAY, SETTLE, Script
from .url import checked_name, checked_url, is_host_to_be_checked, secrets_of, without_text

try:
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    from .refusals import translated
except ImportError as error:
    raise ConfigurationError("relay: needs redis-py; pip install 'togai-shipper[redis]'") from error

if TYPE_CHECKING:
    Client: TypeAlias = "redis.Redis"

Source: TypeAlias = "str | Callable[[], Client]"
CONNECT = 5.0  # seconds until a connection is made
DRAINERS = "togai-drain:"  # how the names of drainers' connections begin; their owner follows
HIGHEST = f"{2**64 - 1}-{2**64 - 1}"  # the last id that a stream can have
NO_RIGHT = "this user may not write to it"
OLDEST = (7, 0)  # the oldest Redis whose scripts can be told to write though memory is short

Act: TypeAlias = Literal["look", "take", "renew", "release"]


class Link:
    """One connection to a relay. Used by one thread at a time; made when it is first used.

    ``client_name``: by it Redis lists this connection. Raises ``ConfigurationError``.
    """

    def __init__(self, source: Source, name: str, timeout: float = 30.0, client_name: str = "") -> None:
        self._source = Secret(source if callable(source) else _checked(source))
        self._secrets = [] if callable(source) else secrets_of(source)
        self._timeout = timeout
        self._client_name = client_name
        self._client: Any = None
        self._has_waitaof = True  # until a server says that it has not
        self._says_who_it_is = True  # likewise
        self._may_count = True  # likewise: that this user may write to the journal
        self._may_say = True  # likewise: that it may say how it stands
        self.keys = {
            part: f"{{{checked_name(name)}}}:{part}"
            for part in ("events", "relay", "dead", "lease", "journal", "producers", "producers:said")
        }

    # --- what is asked ---

    def add(
        self,
        fields: Mapping[bytes, bytes],
        base_url: str,
        max_bytes: int,
        *,
        replicas: int = 0,
        patience: float = 1.0,
        note: Note | None = None,
    ) -> Added:
        """Append an entry; wait ``patience`` seconds at most until ``replicas`` have it.

        Raises ``RelayError``. All goes out at once, so that one server is asked for all of it; ``note`` goes
        along, and is taken or not.
        """
        flat = [part for item in fields.items() for part in item]
        arguments = [
            base_url,
            os.urandom(8).hex(),
            max_bytes,
            int(fields[b"n"]),
            size_of(fields),
            int(fields[b"t"]),
            *flat,
        ]
        with self._asking() as client:
            call = self._call(ADD, ("events", "relay"), arguments)
            told = self._together(client, call, replicas, patience, ADD, note)
        word, *said = texts_of(told.answer)
        if word == "full":
            raise Full(f"the relay has {int(said[0]):,} bytes, and max_relay_bytes is {max_bytes:,}")
        self.heed(word, said, base_url)
        events, out, dead = map(int, said[2:5])
        return Added(
            id=said[0],
            epoch=said[1],
            events=events,
            out=out,
            dead=dead,
            replicas=told.replicas,
            on_disk=told.on_disk,
            server=told.server,
            is_noted=told.is_noted,
        )

    def confirm(self, added: Added, replicas: int, patience: float) -> Added:
        """Wait once more until ``replicas`` have an entry. Raises ``RelayError``; also for another Redis.

        A write that changes nothing comes first: WAIT is about those of its own connection, and this may be
        another one than that of the entry. What is written later is replicated later.
        """
        with self._asking(self.keys["relay"]) as client:
            write = ("HINCRBY", self.keys["relay"], "in", 0)
            told = self._together(client, write, replicas, patience)
        if added.server is None or told.server != added.server:
            raise Unreachable("no relay: another Redis answers than the one that took the batch")
        return attrs.evolve(added, replicas=told.replicas, on_disk=told.on_disk)

    def look(self, note: Note | None = None) -> Standing:
        """Return how the relay stands; ``note`` goes along. Raises ``RelayError``."""
        names = ("events", "out", "dead")
        ask = ("HMGET", self.keys["relay"], "epoch", *names)
        with self._asking(self.keys["relay"]) as client:
            told = self._together(client, ask, 0, 0, note=note)
        epoch, *texts = (text_of(each or b"") for each in told.answer)
        for name, text in zip(names, texts, strict=True):
            if figure_of(text or "0") is None:
                self.heed("damaged", [name])
        events, out, dead = (figure_of(text) or 0 for text in texts)
        return Standing(
            epoch=epoch, events=events, out=out, dead=dead, server=told.server, is_noted=told.is_noted
        )

    def check(self) -> None:
        """Raise ``Forbidden`` where this Redis cannot be a relay, as far as it says."""
        with self._asking() as client:
            try:
                said = info_of(client.execute_command(b"INFO", "server", "memory"))
            except redis.exceptions.NoPermissionError:
                return
        version, policy = said.get("redis_version", ""), said.get("maxmemory_policy", "")
        if policy.startswith("allkeys"):
            raise Forbidden(
                f"Redis would throw events away where memory is short: set maxmemory-policy noeviction"
                f" (it is {policy})"
            )
        numbers = version.split(".")[:2]
        if all(map(str.isdigit, numbers)) and tuple(map(int, numbers)) < OLDEST:
            raise Forbidden(f"Redis {version} is too old for a relay: 7 or newer is needed")

    def settle(
        self, owner: str, done: Sequence[Done], max_dead: int, counts: Counts | None = None
    ) -> Removed:
        """Remove entries, and keep their dead letters, if ``owner`` has the lease. Raises ``RelayError``.

        ``counts``: what the journal counts of those that are removed.
        """
        arguments: list[Any] = [owner, max_dead, len(done)]
        for each in done:
            arguments += [each.id, each.mark, each.count, each.size, len(each.letters)]
            arguments += [part for item in each.letters.items() for part in item]
        keys = ("events", "relay", "dead", "lease")
        with self._asking() as client:
            try:
                answer = self._run(client, SETTLE, keys, arguments, counts if self._may_count else None)
            except redis.exceptions.NoPermissionError:
                # Perhaps it is about the journal: what is delivered leaves all the same.
                answer = self._run(client, SETTLE, keys, arguments)
                self._may_count = False
        why = "" if counts is None or self._may_count else NO_RIGHT
        word, *said = answer
        if word == b"lost":
            return Removed(lost_to=text_of(said[0]))
        self.heed(text_of(word), said)
        return Removed(texts_of(said[0]), texts_of(said[1]), not_counted=why or text_of(said[2]))

    def part(self, owner: str, entry: Entry, parts: Sequence[Mapping[bytes, bytes]]) -> bool:
        """Put other entries in the place of one, by their fields, if ``owner`` has the lease.

        They have its events. Return whether the entry is gone: it was parted now, or was not there. Raises
        ``RelayError``.
        """
        arguments: list[Any] = [owner, entry.id, entry.mark, entry.size, len(parts)]
        for fields in parts:
            flat = [each for item in fields.items() for each in item]
            arguments += [size_of(fields), len(flat), *flat]
        word, *said = self.run(PART, ("events", "relay", "lease"), arguments)
        if word != "lost":
            self.heed(word, said, good=("ok", "gone"))
        return word != "lost"

    def recount(self, owner: str, last: str, entries: int, events: int, size: int) -> bool:
        """Correct what the relay says that it holds, if ``owner`` has the lease, and has read all of it.

        ``last``: the id of the last entry. Return whether it was done: not where the stream has changed.
        Raises ``RelayError``.
        """
        word, *said = self.run(RECOUNT, ("events", "relay", "lease"), [owner, last, entries, events, size])
        if word != "changed":
            self.heed(word, said)
        return word == "ok"

    def lease(
        self,
        act: Act,
        owner: str,
        seen: str = "",
        *,
        fingerprint: str = "",
        new_key: bool = False,
        base_url: str = "",
    ) -> tuple[str, str]:
        """Look at the lease, take it where it is as ``seen``, renew or release it. Raises ``RelayError``.

        Return what came of it (``seen``, ``held``, ``lost`` or ``released``) and what the lease says.
        """
        arguments = [act, owner, seen, fingerprint, int(new_key), base_url, FORMAT, os.urandom(8).hex()]
        with self._asking() as client:
            word, *said = texts_of(self._run(client, LEASE, ("lease", "relay"), arguments))
        if word == "key":
            raise another_key(said[0], fingerprint)
        self.heed(word, said, base_url, good=("seen", "held", "lost", "released"))
        return word, said[0]

    def tell_key(self, word: Word, owner: str, fingerprint: str, *, new_key: bool = False) -> Known:
        """Say what ``owner`` knows of its key; return what Redis knows of it then. Raises ``RelayError``."""
        arguments = [word, owner, fingerprint, int(new_key)]
        with self._asking() as client:
            known, *said = texts_of(self._run(client, KEY, ("lease", "relay"), arguments))
        if known == "key":
            raise another_key(said[0], fingerprint)
        self.heed(known, said, good=get_args(Known))
        return cast("Known", known)

    def note_report(self, owner: str, report: str) -> None:
        """Note how ``owner``, who drains, says that it stands. Raises ``RelayError``."""
        with self._asking(self.keys["relay"]) as client:
            client.execute_command("HSET", self.keys["relay"], "report", f"{owner}\n{report}")

    def read(self, after: str, count: int) -> list[tuple[str, dict[bytes, bytes]]]:
        """Return the entries after an id, ``count`` at most, each with its fields. Raises ``RelayError``."""
        if after == HIGHEST:  # Redis calls it an error to ask for what comes after it
            return []
        with self._asking(self.keys["events"]) as client:
            found = client.execute_command("XRANGE", self.keys["events"], f"({after}", "+", "COUNT", count)
        return [(text_of(entry_id), pairs_of(fields)) for entry_id, fields in found]

    def entry(self, entry_id: str) -> dict[bytes, bytes] | None:
        """Return the fields of the entry with that id; ``None`` where it is gone. Raises ``RelayError``."""
        with self._asking(self.keys["events"]) as client:
            found = client.execute_command("XRANGE", self.keys["events"], entry_id, entry_id)
        return pairs_of(found[0][1]) if found else None

    def facts(self) -> dict[str, str]:
        """Return what the relay's hash says. Raises ``RelayError``."""
        with self._asking(self.keys["relay"]) as client:
            found = client.execute_command("HGETALL", self.keys["relay"])
        return {text_of(name): text_of(value) for name, value in pairs_of(found).items()}

    def length(self) -> int:
        """Return how many entries the stream has, ours or not. Raises ``RelayError``."""
        with self._asking(self.keys["events"]) as client:
            return int(client.execute_command("XLEN", self.keys["events"]))

    def server(self) -> Server | None:
        """Return which Redis answers; ``None`` where it does not say. Raises ``RelayError``."""
        if not self._says_who_it_is:
            return None
        try:
            with self._asking() as client:
                return server_of(client.execute_command(b"INFO", "server", "replication"))
        except Forbidden:
            self._says_who_it_is = False
            return None

    def ask(self, *command: Any) -> Any:
        """Return what Redis answers to any other command. Raises ``RelayError``."""
        key = command[1] if command[1:2] and command[1] in self.keys.values() else ""
        with self._asking(key) as client:
            return client.execute_command(*command)

    def run(
        self, script: Script, keys: Sequence[str], arguments: Sequence[Any], counts: Counts | None = None
    ) -> list[str]:
        """Return what Redis answers to another script, about some of our ``keys``. Raises ``RelayError``.

        ``counts``: what the journal counts of what leaves by it.
        """
        with self._asking() as client:
            return texts_of(self._run(client, script, keys, arguments, counts))

    def close(self) -> None:
        """Close the connection; the next one is made when something is asked."""
        client, self._client = self._client, None
        # Of the next one that is not known.
        self._has_waitaof = self._says_who_it_is = self._may_count = self._may_say = True
        if client is not None:
            with suppress(Exception):
                client.close()

    def heed(self, word: str, said: Sequence[Any], base_url: str = "", good: Sequence[str] = ("ok",)) -> None:
        """Raise a ``RelayError`` for what a script answers, if that is none of the ``good`` words."""
        if word in good:
            return
        what = text_of(said[0]) if said else ""
        relay = self.keys["relay"]
        if word == "foreign":
            raise Foreign(f"the relay is for {what}, and we ship to {base_url}")
        if word == "newer":
            raise Newer(f"the relay has format {what}, and this version reads {FORMAT}; update it")
        if word == "kind":
            raise of_another_kind(what)
        if word == "damaged":
            raise Foreign(f"something else has written to {relay}: its field {what} is no number of ours")
        raise Foreign(f"the relay answers {word[:40]!r}")

    # --- how ---

    @contextmanager
    def _asking(self, key: str = "") -> Iterator[Any]:
        """Raise what redis-py raises as a ``RelayError``; after one the connection is made anew.

        ``key``: what is asked for, where that is one alone.
        """
        is_sent = False
        try:
            client = self._client = self._client or self._made()
            is_sent = True
            yield client
        except RelayError:
            self.close()
            raise
        except Exception as error:
            self.close()
            raise translated(error, self._secrets, is_sent=is_sent, key=key) from error

    def _made(self) -> Any:
        client: Any
        source = self._source.reveal()
        if callable(source):
            client = _made_by(source)
            self._secrets = _passwords_in(client)
        else:
            client = redis.Redis.from_url(
                source,
                socket_connect_timeout=min(CONNECT, self._timeout),
                socket_timeout=self._timeout,
                retry=Retry(NoBackoff(), 0),
                **({"ssl_check_hostname": True} if is_host_to_be_checked(source) else {}),
            )
        if hasattr(client, "get_node_from_key"):  # a Cluster: all that we keep lies on one of its nodes
            node = client.get_node_from_key(self.keys["events"])
            client = client.get_redis_connection(node)
        client.set_retry(Retry(NoBackoff(), 0))  # who asks has rules for that, and a repeat is an entry more
        client.ping()  # a connection that cannot be made has done nothing
        if client.get_encoder().decode_responses:
            raise ConfigurationError("relay: the Redis client must be made without decode_responses")
        if self._client_name:
            with suppress(redis.exceptions.ResponseError):  # only people read it, and not all may set it
                client.execute_command("CLIENT SETNAME", self._client_name)
        return client

    def _run(
        self,
        client: Any,
        script: Script,
        keys: Sequence[str],
        arguments: Sequence[Any],
        counts: Counts | None = None,
    ) -> Any:
        call = self._call(script, keys, arguments, counts)
        try:
            return client.execute_command(*call)
        except redis.exceptions.NoScriptError:
            client.execute_command("SCRIPT LOAD", script.text)
            return client.execute_command(*call)

    def _call(
        self, script: Script, keys: Sequence[str], arguments: Sequence[Any], counts: Counts | None = None
    ) -> tuple[Any, ...]:
        names = [self.keys[key] for key in keys]
        if counts is not None:
            names += (self.keys["journal"], f"{self.keys['journal']}:{counts.day}")
            arguments = [*arguments, *counts.arguments()]
        return ("EVALSHA", script.sha, len(names), *names, *arguments)

    def _together(
        self,
        client: Any,
        command: tuple[Any, ...],
        replicas: int,
        patience: float,
        script: Script | None = None,
        note: Note | None = None,
    ) -> _Told:
        """Run a command, and ask in the same breath how safe that is, and who has answered."""
        waits = replicas > 0
        pipeline = client.pipeline(transaction=False)
        pipeline.execute_command(*command)
        if waits:
            pipeline.execute_command("WAIT", replicas, int(patience * 1000))
        if waits and self._has_waitaof:
            pipeline.execute_command("WAITAOF", 1, replicas, int(patience * 1000))
        if self._says_who_it_is:
            pipeline.execute_command(b"INFO", "server", "replication")  # as bytes: redis-py does not parse it
        says = note is not None and self._may_say
        if note is not None and self._may_say:
            pipeline.execute_command(*self._saying(note))
        answer, *others = pipeline.execute(raise_on_error=False)
        if script is not None and isinstance(answer, redis.exceptions.NoScriptError):
            client.execute_command("SCRIPT LOAD", script.text)
            return self._together(client, command, replicas, patience, note=note)
        if isinstance(answer, Exception):
            raise answer
        reached, on_disk, server = 0, None, None
        if waits:
            reached = _or_raise(others.pop(0))
        if waits and self._has_waitaof:
            said = others.pop(0)
            self._has_waitaof = not isinstance(said, Exception)
            on_disk = None if isinstance(said, Exception) else sum(said)
        if self._says_who_it_is:
            said = others.pop(0)
            self._says_who_it_is = not isinstance(said, Exception)
            server = None if isinstance(said, Exception) else server_of(said)
        return _Told(answer, reached, on_disk, server, is_noted=says and self._is_noted(others.pop(0)))

    def _saying(self, note: Note) -> tuple[Any, ...]:
        names = self.keys["producers"], self.keys["producers:said"]
        times = int(KEPT * 1000), int(MISSED * 1000)
        return ("EVAL", SAY.text, 2, *names, note.who, note.text, MOST_PRODUCERS, *times)

    def _is_noted(self, said: Any) -> bool:
        """Whether a note was taken; whatever is wrong with it, nothing else waits for it."""
        self._may_say = not isinstance(said, redis.exceptions.NoPermissionError)
        return isinstance(said, list) and texts_of(said)[:1] == ["ok"]


@attrs.frozen
class _Told:
    """What Redis has answered in one breath."""

    answer: Any
    replicas: int
    on_disk: int | None
    server: Server | None
    is_noted: bool


def _or_raise(said: Any) -> int:
    if isinstance(said, Exception):
        raise said
    return int(said)


def _made_by(function: Callable[[], Client]) -> Any:
    """Return the client that the application's function makes. Raises ``Unreachable``, without a secret.

    What Redis or the network has to say is shown, as always; the text of anything else is not. What is no
    client of ours, as one of asyncio's, is refused by its type, with ``ConfigurationError``.
    """
    try:
        client = function()
    except (redis.exceptions.RedisError, OSError):
        raise
    except Exception as error:  # whatever the application does
        why = without_text(error)
        raise Unreachable(
            f"no relay: the function that makes its client has raised {why}", may_be_done=False
        ) from None
    kind = type(client)
    is_like_one = hasattr(client, "set_retry") or hasattr(client, "get_node_from_key")
    if kind.__module__.startswith("redis.asyncio") or not is_like_one:
        name = f"{kind.__module__}.{kind.__qualname__}"
        raise ConfigurationError(f"relay: the function must return a redis.Redis, and returned a {name}")
    return client


def _passwords_in(client: Any) -> list[Secret[str]]:
    """Return what a client would show of itself that is secret."""
    holders = (getattr(client, name, None) for name in ("connection_pool", "nodes_manager"))
    options = [getattr(holder, "connection_kwargs", None) or {} for holder in holders]
    found = [each["password"] for each in options if isinstance(each.get("password"), str)]
    return [Secret(password) for password in found if password]


def _checked(url: str) -> str:
    """Return the URL if redis-py can make a connection of it, without one. Raises ``ConfigurationError``."""
    url = checked_url(url)
    try:
        redis.ConnectionPool.from_url(url).make_connection()
    except (ValueError, TypeError) as error:
        why = blanked(str(error), secrets_of(url))
        raise ConfigurationError(f"relay: redis-py does not take the URL: {why}") from None
    return url
