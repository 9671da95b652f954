"""Nobody is shown the key, whatever fails: no frame of a traceback, no object of ours, no line has it."""

from __future__ import annotations

import copy
import gc
import pickle
import sys
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from types import FrameType
from typing import Any

import attrs
import pytest
import requests
from raw_server import raw_server

import togai_shipper
from togai_shipper import ConfigurationError, Shipper
from togai_shipper._config import Config
from togai_shipper._engine.key import Key, KeySource
from togai_shipper._engine.transport import Transport
from togai_shipper._secret import HiddenText, Secret

KEY = "sk_live_51SECRETSECRET"
PASSWORD = "pa55word"
TEST = __file__


def frames_of(error: BaseException | None) -> Iterator[FrameType]:
    """Every frame of the traceback, and of those of the errors that led to it, but for the test's own."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        if (current := waiting.pop()) is None or id(current) in seen:
            continue
        seen.add(id(current))
        waiting += [current.__cause__, current.__context__]
        for frame, _ in traceback.walk_tb(current.__traceback__):
            if frame.f_code.co_filename != TEST:
                yield frame


def shown_by(error: BaseException, secret: str) -> list[str]:
    """Which locals show the secret, as error trackers write them."""
    return [
        f"{frame.f_code.co_name}: {name}"
        for frame in frames_of(error)
        for name, value in frame.f_locals.items()
        if secret in repr(value)
    ]


def refused(make: Callable[[], object]) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as raised:
        make()
    return raised.value


@pytest.mark.parametrize(
    "options",
    [
        {"batch_size": 0},
        {"backoff_max": 0.1},
        {"base_url": "http://togai.example"},
        {"base_url": "no url"},
        {"flush_intervall": 1},
    ],
    ids=str,
)
@pytest.mark.parametrize("where", ["argument", "environment"])
def test_a_wrong_option_shows_no_frame_that_shows_the_key(
    options: dict[str, Any], where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOGAI_API_KEY", KEY)
    given = {"api_key": KEY} if where == "argument" else {}
    ways = [lambda: togai_shipper.configure(**given, **options)]
    if "flush_intervall" not in options:
        ways.append(lambda: Shipper(**given, **options))

    for way in ways:
        if "flush_intervall" in options:
            with pytest.raises(TypeError) as raised:
                way()
            assert not shown_by(raised.value, KEY)
        else:
            assert not shown_by(refused(way), KEY)


@pytest.mark.parametrize("key", [KEY + "\n", KEY.encode(), [KEY]], ids=["line end", "bytes", "list"])
def test_a_wrong_key_is_shown_by_no_frame(key: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    shipper = Shipper(KEY, enabled=False)
    ways: list[Callable[[], object]] = [
        lambda: Shipper(key),
        lambda: togai_shipper.configure(api_key=key),
        lambda: shipper.set_api_key(key),
    ]
    if isinstance(key, str):
        monkeypatch.setenv("TOGAI_API_KEY", key)
        ways.append(Shipper)

    for way in ways:
        error = refused(way)
        assert not shown_by(error, KEY)
        assert KEY not in str(error)
    shipper.close()


@pytest.mark.parametrize(
    "url", [KEY, f"https://user:{KEY}", f"https://user:{KEY}@host:port", f"http:/u:{KEY}@h"]
)
def test_what_is_given_in_the_place_of_the_url_is_shown_by_no_frame(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ways: list[Callable[[], object]] = [
        lambda: Shipper("key", base_url=url),
        lambda: togai_shipper.configure(api_key="key", base_url=url),
    ]
    for way in ways:
        error = refused(way)
        assert not shown_by(error, KEY)
        assert KEY not in str(error)
    monkeypatch.setenv("TOGAI_BASE_URL", url)
    error = refused(lambda: Shipper("key"))
    assert not shown_by(error, KEY)
    assert KEY not in str(error)


def session_by(proxy: str) -> requests.Session:
    session = requests.Session()
    session.proxies["https"] = proxy
    return session


def test_the_password_of_a_proxy_is_shown_by_no_frame_and_no_config() -> None:
    factory = partial(session_by, f"http://user:{PASSWORD}@proxy.test")

    assert not shown_by(refused(lambda: Shipper(KEY, session_factory=factory, batch_size=0)), PASSWORD)
    assert PASSWORD not in repr(Config.load({}, api_key=KEY, session_factory=factory))


def test_no_dump_of_a_config_or_of_the_key_shows_it() -> None:
    config = Config.load({}, api_key=KEY)
    source = KeySource(KEY)  # type: ignore[arg-type]  # attrs converts it
    source.current()
    shown = [
        repr(config),
        str(attrs.asdict(config)),
        f"{config.api_key} {config.api_key!s}",
        repr(source),
        repr(attrs.asdict(source)),
        repr(vars(Key(partial(str, KEY)))),
        repr(copy.copy(config)),
        repr(dict.fromkeys([Secret(KEY)])),
        repr([HiddenText(KEY)]),
    ]

    assert not [text for text in shown if KEY in text]
    with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
        pickle.dumps(config)


def test_no_object_of_ours_shows_the_key_while_a_shipper_is_open() -> None:
    with raw_server() as server, Shipper(KEY, base_url=server.url) as shipper:
        shipper.track("api_call", "acme", {"count": 1})
        assert shipper.flush(5)
        ours = [each for each in gc.get_objects() if str(type(each).__module__).startswith("togai_shipper")]
        shown = {type(each).__name__ for each in ours if KEY in repr(each)}

    assert len(ours) > 20
    assert not shown


def test_the_frames_that_send_a_request_do_not_show_the_key_though_it_is_sent() -> None:
    def interrupted() -> bool:
        raise KeyboardInterrupt

    with raw_server() as server:
        transport = Transport(server.url, (5, 5))
        assert transport.post("/ingest", b"{}", Secret(KEY), 5).status == 202
        with pytest.raises(KeyboardInterrupt) as raised:
            transport.post("/ingest", b"{}", Secret(KEY), 5, interrupted)
        transport.close()

    assert len(list(frames_of(raised.value))) > 8, "requests, urllib3 and http.client, too"
    assert not shown_by(raised.value, KEY)
    assert b"\r\nAuthorization: Bearer %s\r\n" % KEY.encode() in server.heads[0]


def test_no_part_of_a_hidden_text_shows_it_and_whoever_sends_it_can() -> None:
    text = HiddenText(f"Bearer {KEY}")

    for part in (text[7:], text[:20], text[7], text + "x", "x" + text, (text + "x")[:-1]):
        assert repr(part) == "<hidden>"
    assert f"{text}" == str(text) == text.encode("latin-1").decode() == f"Bearer {KEY}"
    assert "x" + text == f"xBearer {KEY}"


def test_no_frame_that_looks_for_certificates_shows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOGAI_API_KEY", KEY)
    shown: list[str] = []

    def look(frame: FrameType, _event: str, _argument: object) -> None:
        if frame.f_code.co_filename.endswith(("certificates.py", "transport.py")):
            shown.extend(name for name, value in frame.f_locals.items() if KEY in repr(value))

    transport = Transport("https://127.0.0.1:9", (1, 1))
    sys.setprofile(look)
    try:
        transport.post("/ingest", b"{}", Secret(KEY), 1)
    finally:
        sys.setprofile(None)
        transport.close()

    assert not shown


def test_a_shipper_that_was_not_made_can_be_shown() -> None:
    assert repr(Shipper.__new__(Shipper)) == "<Shipper that was not made>"
