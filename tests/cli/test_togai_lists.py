"""What Togai lists, page by page; or in one line why there is no whole list."""

from __future__ import annotations

import json
from typing import Any

import pytest

from togai_shipper._config import Config
from togai_shipper._engine.transport import NoSession
from togai_shipper._engine.verdict import Reply
from togai_shipper.cli.not_answered import NotAnswered
from togai_shipper.cli.togai_asked import togai_options
from togai_shipper.cli.togai_lists import MOST_PAGES, TogaiLists

CONFIG = Config.load({}, api_key="secret", base_url="http://127.0.0.1:1")


def page(*items: Any, token: Any = None, **more: Any) -> Reply:
    return Reply(200, json.dumps({"data": items, "nextToken": token, **more}).encode())


class Togai:
    """Gives one reply after the other, the last one for ever."""

    def __init__(self, *replies: Any) -> None:
        self.replies = list(replies)
        self.asked: list[str] = []
        self.paused: list[float] = []
        self.is_closed = False

    def get(self, path: str, key: Any, time_left: float) -> Reply:
        assert key.reveal() == "secret"
        assert time_left == 15
        self.asked.append(path)
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if isinstance(reply, Exception):
            raise reply
        return reply  # type: ignore[no-any-return]  # a Reply

    def close(self) -> None:
        self.is_closed = True

    def lists(self) -> TogaiLists:
        connect: Any = lambda _: self  # noqa: E731  it asks, and closes
        return TogaiLists(CONFIG, connect, self.paused.append)


def why_not(*replies: Any) -> str:
    togai = Togai(*replies)
    with pytest.raises(NotAnswered) as error:
        list(togai.lists().all_of("/event_schema"))
    assert togai.is_closed
    assert error.value.exit_code == 3
    return error.value.message


def test_all_pages_are_read_and_a_last_one_may_be_empty() -> None:
    togai = Togai(page({"n": 1}, {"n": 2}, token="a b"), page({"n": 3}, token="c"), page())

    assert list(togai.lists().all_of("/event_schema")) == [{"n": 1}, {"n": 2}, {"n": 3}]
    assert togai.asked == [
        "/event_schema?pageSize=100",
        "/event_schema?pageSize=100&nextToken=a+b",
        "/event_schema?pageSize=100&nextToken=c",
    ]
    assert togai.is_closed


def test_filters_go_with_each_page() -> None:
    togai = Togai(page(token="a"), page())

    assert list(togai.lists().all_of("/accounts", account_id="a&b")) == []
    assert togai.asked[1] == "/accounts?account_id=a%26b&pageSize=100&nextToken=a"


def test_where_togai_has_no_time_it_is_asked_again_a_few_times() -> None:
    togai = Togai(Reply(429, b"{}", retry_after=4.0), Reply(503, b"{}"), page({"n": 1}))

    assert list(togai.lists().all_of("/event_schema")) == [{"n": 1}]
    assert togai.paused == [4.0, 1.0]
    assert why_not(Reply(429, b"{}", retry_after=400.0)) == "GET /event_schema: HTTP 429"


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (Reply(None, error="no reply: timed out"), "no reply: timed out"),
        (
            Reply(401, b"{}"),
            "Togai refuses the key (401); it allows an address 5 such requests in 30 minutes",
        ),
        (Reply(403, b"{}"), "the key may not look this up (403)"),
        (Reply(404, b"<html>"), "it is not there (HTTP 404); is the base_url right?"),
        (Reply(405, b"{}"), "it is not there (HTTP 405); is the base_url right?"),
        (Reply(200, b"<html>"), "a page that is not Togai's"),
        (Reply(200, b'{"data": []}', doubt="HTTP 200, and more after it"), "HTTP 200, and more after it"),
        (Reply(200, b"{}"), "the answer is not as Togai documents it: data is no list of objects"),
        (Reply(200, b'{"data": {}}'), "the answer is not as Togai documents it: data is no list of objects"),
        (
            Reply(200, b'{"data": ["a"]}'),
            "the answer is not as Togai documents it: data is no list of objects",
        ),
        (Reply(500, b"{}"), "HTTP 500"),
        (Reply(302, b""), "HTTP 302"),
        (page(token=5), "Togai's pages lead nowhere: the same nextToken again, or none"),
        (page(token="a"), "Togai's pages lead nowhere: the same nextToken again, or none"),
    ],
)
def test_why_there_is_no_whole_list_is_one_line(reply: Reply, why: str) -> None:
    assert why_not(reply) == f"GET /event_schema: {why}"


def test_pages_without_end_are_not_read_for_ever() -> None:
    replies = [page(token=str(n)) for n in range(MOST_PAGES + 5)]

    assert why_not(*replies) == "GET /event_schema: there are more than 10,000, which are not all read"


def test_an_application_without_a_session_or_a_key_is_told() -> None:
    assert why_not(NoSession("session_factory raised OSError")) == "session_factory raised OSError"

    def no_key() -> str:
        raise OSError("the vault")

    togai = Togai(page())
    lists = TogaiLists(Config.load({}, api_key=no_key), lambda _: togai)  # type: ignore[arg-type,return-value]
    with pytest.raises(NotAnswered, match="the api_key callable raised OSError"):
        list(lists.all_of("/event_schema"))


def test_togai_itself_is_asked_where_the_applications_have_a_relay() -> None:
    environ = {"TOGAI_API_KEY": "secret", "TOGAI_RELAY": "redis://localhost", "TOGAI_ENABLED": "0"}

    config = togai_options(environ, base_url="http://127.0.0.1:1")
    assert config.api_key is not None
    assert (config.api_key.reveal(), config.relay, config.base_url) == ("secret", None, "http://127.0.0.1:1")
