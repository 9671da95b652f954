"""What a Redis may answer, by what is to be done about it; in one line, without a secret."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio
from redis.backoff import NoBackoff
from redis.retry import Retry
from servers import needs_redis, running

from togai_shipper import ConfigurationError, Shipper
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
        (E.ResponseError("DB index is out of range"), Forbidden, "no database of the number"),
        (E.ResponseError("exhausted the last possible ID"), Foreign, "delete the stream (DEL)"),
        (E.ConnectionError("refused"), Unreachable, "no relay: ConnectionError: refused"),
        (E.ResponseError("MOVED 1 h:1"), Unreachable, "a function that makes a RedisCluster"),
    ],
)  # fmt: skip
def test_each_answer_has_its_kind(error: Exception, kind: type[RelayError], text: str) -> None:
    found = told(error)
    assert type(found) is kind
    assert text in str(found)


def test_where_in_a_script_something_failed_is_not_told() -> None:
    where = "script: 0a1b2c3d4e5f60718293a4b5c6d7e8f901234567, on @user_script:12."
    text = f"user_script:12: Script attempted to access a nonexistent global variable 'x' {where}"
    found = str(told(E.ResponseError(text)))
    assert found == "no relay: ResponseError: Script attempted to access a nonexistent global variable 'x'"


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


@pytest.mark.parametrize(
    ("made", "kind"),
    [(None, "NoneType"), ("redis://cache", "str"), (redis.asyncio.Redis(), r"redis\.asyncio\.client\.Redis")],
)
def test_a_function_that_returns_no_client_of_ours_is_told_what_it_returned(made: Any, kind: str) -> None:
    with pytest.raises(Forbidden, match=rf"must return a redis\.Redis, and returned a .*{kind}"):
        Link(lambda: made, "togai").length()


@pytest.mark.parametrize("end", ["/abc", "?foo=bar", "?db=x", "?max_connections=-1"])
def test_a_shipper_is_not_made_with_a_url_that_leads_nowhere(end: str) -> None:
    with pytest.raises(ConfigurationError, match=r"relay: (what follows the host|redis-py does not take)"):
        Shipper(relay=f"redis://:sesame-open@cache{end}")


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
@pytest.mark.parametrize("is_function", [False, True])
def test_a_server_that_repeats_the_password_does_not_make_us_repeat_it(
    tmp_path: Path, *, is_function: bool
) -> None:
    with running(tmp_path, "--rename-command", "AUTH", "") as server:
        url = f"redis://:sesame-open@127.0.0.1:{server.port}?protocol=2"
        link = Link((lambda: redis.Redis.from_url(url)) if is_function else url, "togai")
        with pytest.raises(RelayError, match="unknown command 'AUTH'") as found:
            link.length()
    assert "sesame" not in str(found.value)


@pytest.mark.parametrize("url", ["redis://:sesame/open@h", "sesame-open", "redis://h:sesame-open"])
def test_what_the_function_itself_raises_is_told_without_its_text(url: str) -> None:
    with pytest.raises(
        Unreachable, match="the function that makes its client has raised ValueError"
    ) as found:
        Link(lambda: redis.Redis.from_url(url), "togai").length()
    assert "sesame" not in "".join(traceback.format_exception(found.value))
    assert f"({Path(__file__).name}:" in str(found.value)
    assert not found.value.may_be_done


def test_what_has_no_place_in_the_application_is_told_without_one() -> None:
    with pytest.raises(Unreachable, match="has raised TypeError; its text is not shown"):
        Link(int.to_bytes, "togai").length()  # type: ignore[arg-type]  likewise


def test_what_the_network_says_in_a_function_is_shown_without_userinfo() -> None:
    def refuse() -> Any:
        raise redis.ConnectionError("no master at redis://:sesame-open@h:1")

    with pytest.raises(Unreachable, match="ConnectionError: no master at redis://…@h:1"):
        Link(refuse, "togai").length()


class NotAgain(Retry):
    """Retries of which not one may be made."""

    def call_with_retry(self, *_: Any, **__: Any) -> Any:
        raise AssertionError


def test_the_retries_of_a_client_that_a_function_gives_are_turned_off() -> None:
    link = Link(lambda: redis.Redis(port=1, retry=NotAgain(NoBackoff(), 3)), "togai")
    with pytest.raises(Unreachable, match="refused"):
        link.length()
