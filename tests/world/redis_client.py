"""A client of the world's Redis: it stands where ``redis.Redis`` stands, below the link."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import redis.exceptions as errors

from . import kernel
from .redis_server import SCRIPTS, Node

if TYPE_CHECKING:
    from .process import Process

TRIP = 0.001  # seconds of a question and its answer


class Client:
    """One connection, of the process that runs."""

    def __init__(self, timeout: float, connect_timeout: float) -> None:
        here = kernel.process()
        assert here is not None, "nobody but a process connects"
        self._process: Process = here
        self._redis = here.world.redis
        self._scheduler = here.world.scheduler
        self._timeout = timeout
        self._connect_timeout = connect_timeout
        self._node: Node | None = None

    # --- what a link asks of one ---

    def set_retry(self, retry: Any) -> None:
        """Nothing is tried again here."""

    def get_encoder(self) -> Any:
        return SimpleNamespace(decode_responses=False)

    def ping(self) -> None:
        """Connect."""
        redis = self._redis
        if redis.is_cut(self._process):
            self._fail_late(self._connect_timeout)
        node = redis.node()
        if not node.is_up:
            raise errors.ConnectionError("Error 111 connecting to redis.test:6379. Connection refused.")
        self._scheduler.sleep(TRIP)
        if redis.is_frozen():
            self._await_thaw(self._timeout)
        self._node = node
        self._check_node()

    def execute_command(self, *command: Any) -> Any:
        (answer,) = self._ask([command])
        if isinstance(answer, Exception):
            raise answer
        return answer

    def pipeline(self, *, transaction: bool) -> Pipeline:
        return Pipeline(self)

    def close(self) -> None:
        self._node = None

    # --- how ---

    def _ask(self, commands: list[tuple[Any, ...]]) -> list[Any]:
        redis, scheduler, process = self._redis, self._scheduler, self._process
        script = SCRIPTS.get(commands[0][1], "") if commands[0][0] == "EVALSHA" else ""
        until, asked_at = scheduler.now + self._timeout, scheduler.now
        is_hand_over = script == "ADD"
        if is_hand_over:
            process.began_attempt()
        slow = redis.spell("slow")
        scheduler.sleep(TRIP / 2 if slow is None else redis.random.uniform(0.0, slow.value))
        process.world.spring(process, script, "before")
        node = self._check_node()
        if redis.is_cut(process):
            if redis.random.random() < 0.5:  # only the answer is lost
                self._answers(node, commands)
            self._fail_late(until - scheduler.now)
        if redis.spell("lost question"):
            self._fail_late(until - scheduler.now)
        if redis.spell("reset before"):
            raise errors.ConnectionError("Error while reading from redis.test:6379 : (104, 'reset by peer')")
        answers = self._answered(node, commands, until)
        process.world.spring(process, script, "after")
        self._wait_for_replicas(commands, answers, until)
        if redis.spell("lost answer"):
            self._fail_late(until - scheduler.now)
        if redis.spell("reset after"):
            raise errors.ConnectionError("Connection closed by server.")
        scheduler.sleep(TRIP / 2 if slow is None else redis.random.uniform(0.0, slow.value))
        self._check_node()
        if scheduler.now > until and slow is not None:
            raise errors.TimeoutError("Timeout reading from redis.test:6379")
        if is_hand_over and not isinstance(answers[0], Exception) and answers[0][0] == b"ok":
            process.answered()
        process.world.judge.relay.answered(process, node, asked_at, commands, answers)
        return answers

    def _answered(self, node: Node, commands: list[tuple[Any, ...]], until: float) -> list[Any]:
        """Have commands done, once Redis does not stand still: then it does what came meanwhile."""
        if not self._redis.is_frozen():
            return self._answers(node, commands)
        box: list[Any] = []
        self._redis.late.append(lambda: box.append(self._answers(node, commands)))
        self._await_thaw(until - self._scheduler.now)
        self._check_node()
        if not box:  # a failover, or a crash, came before that
            raise errors.ConnectionError("Connection closed by server.")
        answers: list[Any] = box[0]
        return answers

    def _answers(self, node: Node, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        return [
            None if command[0] in ("WAIT", "WAITAOF") else self._redis.answer(self._process, node, command)
            for command in commands
        ]

    def _wait_for_replicas(self, commands: list[tuple[Any, ...]], answers: list[Any], until: float) -> None:
        """WAIT and WAITAOF: until the replica has it, or for so long as they say."""
        for place, command in enumerate(commands):
            if command[0] not in ("WAIT", "WAITAOF"):
                continue
            patience = self._scheduler.now + command[-1] / 1000
            while not self._redis.replicas() and self._scheduler.now < min(patience, until):
                self._scheduler.sleep(0.1)
            reached = self._redis.replicas()
            answers[place] = reached if command[0] == "WAIT" else [1, reached]

    def _check_node(self) -> Node:
        node = self._node
        if node is None or not node.is_up:
            self._node = None
            raise errors.ConnectionError("Connection closed by server.")
        return node

    def _await_thaw(self, seconds: float) -> None:
        scheduler, redis = self._scheduler, self._redis
        until = scheduler.now + seconds
        while redis.is_frozen():
            if scheduler.now >= until:
                raise errors.TimeoutError("Timeout reading from redis.test:6379")
            scheduler.sleep(min(until, redis.frozen_until) - scheduler.now)

    def _fail_late(self, seconds: float) -> None:
        self._scheduler.sleep(seconds)
        raise errors.TimeoutError("Timeout reading from redis.test:6379")


class Pipeline:
    """Commands that go out together."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._commands: list[tuple[Any, ...]] = []

    def execute_command(self, *command: Any) -> None:
        self._commands.append(command)

    def execute(self, *, raise_on_error: bool) -> list[Any]:
        return self._client._ask(self._commands)


def from_url(url: str, *, socket_connect_timeout: float, socket_timeout: float, retry: Any) -> Client:
    """Stand for ``redis.Redis.from_url``."""
    return Client(socket_timeout, socket_connect_timeout)
