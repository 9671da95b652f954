"""The way to Redis: what a relay is asked for. But for ``refusals``, no other module knows redis-py.

Whatever goes wrong is raised as a ``RelayError``. Nothing is tried again here: who asks has rules for that.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import attrs

from togai_shipper._engine.blanking import blanked
from togai_shipper._secret import Secret
from togai_shipper.exceptions import ConfigurationError

from .answers import Added, Done, Removed, Server, Standing, info_of, pairs_of, server_of, text_of, texts_of
from .entries import FORMAT, size_of
from .errors import Forbidden, Foreign, Full, Newer, Unreachable, another_key
from .scripts import ADD, LEASE, SETTLE, Script
from .url import checked_name, checked_url, is_host_to_be_checked, secrets_of

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
        self.keys = {
            part: f"{{{checked_name(name)}}}:{part}" for part in ("events", "relay", "dead", "lease")
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
    ) -> Added:
        """Append an entry; wait ``patience`` seconds at most until ``replicas`` have it.

        Raises ``RelayError``. All goes out at once, so that one server is asked for all of it.
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
            answer, reached, on_disk, server = self._together(
                client, self._call(ADD, ("events", "relay"), arguments), replicas, patience, ADD
            )
        word, *said = texts_of(answer)
        if word == "full":
            raise Full(f"the relay has {int(said[0]):,} bytes, and max_relay_bytes is {max_bytes:,}")
        self._check(word, said, base_url)
        events, out, dead = map(int, said[2:5])
        return Added(
            id=said[0],
            epoch=said[1],
            events=events,
            out=out,
            dead=dead,
            replicas=reached,
            on_disk=on_disk,
            server=server,
        )

    def confirm(self, added: Added, replicas: int, patience: float) -> Added:
        """Wait once more until ``replicas`` have an entry. Raises ``RelayError``; also for another Redis.

        A write that changes nothing comes first: WAIT is about those of its own connection, and this may be
        another one than that of the entry. What is written later is replicated later.
        """
        with self._asking() as client:
            write = ("HINCRBY", self.keys["relay"], "in", 0)
            _, reached, on_disk, server = self._together(client, write, replicas, patience)
        if added.server is None or server != added.server:
            raise Unreachable("no relay: another Redis answers than the one that took the batch")
        return attrs.evolve(added, replicas=reached, on_disk=on_disk)

    def look(self) -> Standing:
        """Return how the relay stands. Raises ``RelayError``."""
        ask = ("HMGET", self.keys["relay"], "epoch", "events", "out", "dead")
        with self._asking() as client:
            said, _, _, server = self._together(client, ask, 0, 0)
        epoch, events, out, dead = (text_of(each or b"") for each in said)
        return Standing(
            epoch=epoch, events=int(events or 0), out=int(out or 0), dead=int(dead or 0), server=server
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

    def settle(self, owner: str, done: Sequence[Done], max_dead: int) -> Removed:
        """Remove entries, and keep their dead letters, if ``owner`` has the lease. Raises ``RelayError``."""
        arguments: list[Any] = [owner, max_dead, len(done)]
        for each in done:
            arguments += [each.id, each.mark, each.count, each.size, len(each.letters)]
            arguments += [part for item in each.letters.items() for part in item]
        with self._asking() as client:
            answer = self._run(client, SETTLE, ("events", "relay", "dead", "lease"), arguments)
        if answer[0] == b"lost":
            return Removed(lost_to=text_of(answer[1]))
        self._check(text_of(answer[0]), (), "")
        return Removed(texts_of(answer[1]), texts_of(answer[2]))

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
            word, said = texts_of(self._run(client, LEASE, ("lease", "relay"), arguments))
        if word == "key":
            raise another_key(said, fingerprint)
        self._check(word, [said], base_url, good=("seen", "held", "lost", "released"))
        return word, said

    def read(self, after: str, count: int) -> list[tuple[str, dict[bytes, bytes]]]:
        """Return the entries after an id, ``count`` at most, each with its fields. Raises ``RelayError``."""
        with self._asking() as client:
            found = client.execute_command("XRANGE", self.keys["events"], f"({after}", "+", "COUNT", count)
        return [(text_of(entry_id), pairs_of(fields)) for entry_id, fields in found]

    def facts(self) -> dict[str, str]:
        """Return what the relay's hash says. Raises ``RelayError``."""
        with self._asking() as client:
            found = client.execute_command("HGETALL", self.keys["relay"])
        return {text_of(name): text_of(value) for name, value in pairs_of(found).items()}

    def length(self) -> int:
        """Return how many entries the stream has, ours or not. Raises ``RelayError``."""
        with self._asking() as client:
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
        with self._asking() as client:
            return client.execute_command(*command)

    def run(self, script: Script, keys: Sequence[str], arguments: Sequence[Any]) -> list[str]:
        """Return what Redis answers to another script, about some of our ``keys``. Raises ``RelayError``."""
        with self._asking() as client:
            return texts_of(self._run(client, script, keys, arguments))

    def close(self) -> None:
        """Close the connection; the next one is made when something is asked."""
        client, self._client = self._client, None
        self._has_waitaof = self._says_who_it_is = True  # of the next one that is not known
        if client is not None:
            with suppress(Exception):
                client.close()

    # --- how ---

    def _check(self, word: str, said: Sequence[str], base_url: str, good: Sequence[str] = ("ok",)) -> None:
        if word == "foreign":
            raise Foreign(f"the relay is for {said[0]}, and we ship to {base_url}")
        if word == "newer":
            raise Newer(f"the relay has format {said[0]}, and this version reads {FORMAT}; update it")
        if word == "damaged":
            raise Foreign(f"something else has written to {self.keys['relay']}: its figures are no numbers")
        if word not in good:
            raise Foreign(f"the relay answers {word[:40]!r}")

    @contextmanager
    def _asking(self) -> Iterator[Any]:
        """Raise what redis-py raises as a ``RelayError``; after one the connection is made anew."""
        is_sent = False
        try:
            client = self._client = self._client or self._made()
            is_sent = True
            yield client
        except Exception as error:
            self.close()
            raise translated(error, self._secrets, is_sent=is_sent) from error

    def _made(self) -> Any:
        client: Any
        source = self._source.reveal()
        if callable(source):
            client = source()
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

    def _run(self, client: Any, script: Script, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        call = self._call(script, keys, arguments)
        try:
            return client.execute_command(*call)
        except redis.exceptions.NoScriptError:
            client.execute_command("SCRIPT LOAD", script.text)
            return client.execute_command(*call)

    def _call(self, script: Script, keys: Sequence[str], arguments: Sequence[Any]) -> tuple[Any, ...]:
        names = [self.keys[key] for key in keys]
        return ("EVALSHA", script.sha, len(names), *names, *arguments)

    def _together(
        self,
        client: Any,
        command: tuple[Any, ...],
        replicas: int,
        patience: float,
        script: Script | None = None,
    ) -> tuple[Any, int, int | None, Server | None]:
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
        answer, *others = pipeline.execute(raise_on_error=False)
        if script is not None and isinstance(answer, redis.exceptions.NoScriptError):
            client.execute_command("SCRIPT LOAD", script.text)
            return self._together(client, command, replicas, patience)
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
        return answer, reached, on_disk, server


def _or_raise(said: Any) -> int:
    if isinstance(said, Exception):
        raise said
    return int(said)


def _checked(url: str) -> str:
    """Return the URL if redis-py can make a connection of it, without one. Raises ``ConfigurationError``."""
    url = checked_url(url)
    try:
        redis.ConnectionPool.from_url(url).make_connection()
    except (ValueError, TypeError) as error:
        why = blanked(str(error), secrets_of(url))
        raise ConfigurationError(f"relay: redis-py does not take the URL: {why}") from None
    return url
