"""What a Redis may answer, by what is to be done about it; in one line, without a secret."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from servers import needs_redis, running

from togai_shipper import ConfigurationError
from togai_shipper.relay.errors import Forbidden, Foreign, Full, RelayError, Unreachable
from togai_shipper.relay.link import Link


class Refusing:
    """A client whose every command ends in one error."""

    def __init__(self, error: Exception, *, decodes: bool = False) -> None:
        self.error = error
        self.decode_responses = decodes

    def get_encoder(self) -> Refusing:
        return self

    def set_retry(self, _: object) -> None:
        pass

    def ping(self) -> None:
        pass

    def close(self) -> None:
        pass

    def execute_command(self, *_: object) -> Any:
        raise self.error


def told(error: Exception) -> RelayError:
    with pytest.raises(RelayError) as found:
        Link(lambda: Refusing(error), "togai").length()  # type: ignore[arg-type, return-value]  as much of one as is asked for
    return found.value


E = redis.exceptions


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (E.ResponseError("script: unexpected symbol near '#'"), Forbidden, "version 7 or newer"),
        (E.NoPermissionError("this user has no permissions"), Forbidden, "does not let this user do it"),
        (E.ResponseError("The user executing the script can't access a key"), Forbidden, "this user"),
        (E.ResponseError("ACL failure in script: User x has no permissions"), Forbidden, "this user"),
        (E.AuthenticationError("invalid username-password pair"), Forbidden, "does not let us in"),
        (E.AuthenticationError("HELLO must be called with"), Forbidden, "wants a password"),
        (E.ResponseError("Protocol error: unauthenticated multibulk length"), Forbidden, "wants a password"),
        (E.OutOfMemoryError("command not allowed"), Full, "no memory left"),
        (E.ResponseError("OOM command not allowed"), Full, "no memory left"),
        (E.ResponseError("WRONGTYPE Operation against a key"), Foreign, "something else"),
        (E.ConnectionError("refused"), Unreachable, "no relay: ConnectionError: refused"),
        (E.ResponseError("MOVED 1 h:1"), Unreachable, "a function that makes a RedisCluster"),
    ],
)  # fmt: skip
def test_each_answer_has_its_kind(error: Exception, kind: type[RelayError], text: str) -> None:
    found = told(error)
    assert type(found) is kind
    assert text in str(found)


@pytest.mark.parametrize(
    ("error", "may_be_done"),
    [
        (E.ReadOnlyError("You can't write against a read only replica."), False),
        (E.BusyLoadingError("Redis is loading"), False),
        (E.ClusterDownError("The cluster is down"), False),
        (E.ResponseError("NOREPLICAS Not enough good replicas to write."), False),
        (E.ResponseError("MOVED 1 h:1"), False),
        (E.ResponseError("some script failed"), True),
        (E.TimeoutError("Timeout reading from socket"), True),
    ],
)
def test_what_a_redis_that_is_not_ready_refuses_is_not_done(error: Exception, may_be_done: bool) -> None:  # noqa: FBT001  a column
    found = told(error)
    assert isinstance(found, Unreachable)
    assert found.may_be_done == may_be_done


def test_a_client_that_decodes_replies_is_refused() -> None:
    link = Link(lambda: Refusing(ValueError(), decodes=True), "togai")  # type: ignore[arg-type, return-value]  likewise
    with pytest.raises(Forbidden, match="without decode_responses"):
        link.length()


def test_a_cluster_is_asked_at_the_node_of_the_keys() -> None:
    class OfCluster:
        def get_node_from_key(self, key: str) -> str:
            return f"the node of {key}"

        def get_redis_connection(self, node: str) -> Refusing:
            return Refusing(E.ConnectionError(node))

    link = Link(OfCluster, "team")  # type: ignore[arg-type]  likewise
    with pytest.raises(Unreachable, match=r"the node of \{team\}:events"):
        link.length()


def test_without_redis_py_it_says_what_to_install() -> None:
    spec = importlib.util.find_spec("togai_shipper.relay.link")
    assert spec
    assert spec.loader
    missing: dict[str, Any] = {"redis": None, "redis.backoff": None, "redis.retry": None}
    before = {name: sys.modules.get(name) for name in missing}
    sys.modules.update(missing)
    try:
        with pytest.raises(ConfigurationError, match=r"pip install 'togai-shipper\[redis\]'"):
            spec.loader.exec_module(importlib.util.module_from_spec(spec))
    finally:
        sys.modules.update(before)  # type: ignore[arg-type]  all are there


@needs_redis
def test_a_server_that_repeats_the_password_does_not_make_us_repeat_it(tmp_path: Path) -> None:
    with running(tmp_path, "--rename-command", "AUTH", "") as server:
        link = Link(f"redis://:sesame-open@127.0.0.1:{server.port}?protocol=2", "togai")
        with pytest.raises(RelayError, match="unknown command 'AUTH'") as found:
            link.length()
    assert "sesame" not in str(found.value)


class NotAgain(Retry):
    """Retries of which not one may be made."""

    def call_with_retry(self, *_: Any, **__: Any) -> Any:
        raise AssertionError


def test_the_retries_of_a_client_that_a_function_gives_are_turned_off() -> None:
    link = Link(lambda: redis.Redis(port=1, retry=NotAgain(NoBackoff(), 3)), "togai")
    with pytest.raises(Unreachable, match="refused"):
        link.length()
