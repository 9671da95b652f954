"""No text of others that we tell or keep has the key in it, or the password of a proxy, in any writing."""

from __future__ import annotations

import base64
import html
import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from raw_server import Say, raw_server

from togai_shipper import DeliveryError, Shipper, TogaiShipperError
from togai_shipper._engine.blanking import WINDOW, blanked, passwords_of
from togai_shipper._engine.duplicates import says_duplicate
from togai_shipper._secret import Secret

KEY = "sk_live/51SECRET+RET~42"


def wrapped(text: str, width: int) -> str:
    return "\n".join(text[at : at + width] for at in range(0, len(text), width))


ENCODINGS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "in upper case": str.upper,
    "cut": lambda key: key[:-4],
    "its end": lambda key: key[4:],
    "percent-encoded": lambda key: quote(key, safe=""),
    "percent-encoded twice": lambda key: quote(quote(key, safe=""), safe=""),
    "percent-encoded wholly": lambda key: "".join(f"%{ord(each):02x}" for each in key),
    "in JSON within JSON": lambda key: json.dumps({"a": key}).replace("/", "\\/"),
    "in Unicode escapes": lambda key: "".join(f"\\u{ord(each):04x}" for each in key),
    "in HTML": lambda key: "".join(f"&#{ord(each)};" for each in key),
    "in hexadecimal HTML": lambda key: "".join(f"&#x{ord(each):x};" for each in key),
    "escaped HTML": html.escape,
    "hex": lambda key: key.encode().hex(),
    "base64": lambda key: base64.b64encode(key.encode()).decode(),
    "base64 for URLs": lambda key: base64.urlsafe_b64encode(key.encode()).decode(),
    "base64 of the header": lambda key: base64.b64encode(f"Bearer {key}".encode()).decode(),
    "base64, one off": lambda key: base64.b64encode(f"x{key}!".encode()).decode(),
    "hex with colons": lambda key: key.encode().hex(":"),
    "hex with blanks": lambda key: key.encode().hex(" "),
    "hex in lines": lambda key: wrapped(key.encode().hex(), 16),
    "hexadecimal numbers": lambda key: ", ".join(map(hex, key.encode())),
    "quoted-printable": lambda key: "".join(f"={each:02X}" for each in key.encode()),
    "base64 in lines": lambda key: wrapped(base64.b64encode(key.encode()).decode(), 8),
    "in lines": lambda key: wrapped(key, 8),
    "its middle": lambda key: key[2:-2],
    "base64, two off": lambda key: base64.b64encode(f":{key}".encode() + b"xy").decode(),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_key_is_blanked_however_it_is_written(encoding: str) -> None:
    written = ENCODINGS[encoding](KEY)
    text = blanked(f'bad key "{written}", try another; key={written}&x=1', [Secret(KEY)])

    assert text.startswith('bad key "')
    assert "another; key=" in text
    assert not any(written[at : at + 12] in text for at in range(len(written) - 11))


def test_a_short_key_is_blanked_where_it_stands_alone() -> None:
    key = [Secret("abc")]

    assert blanked("key abc, or Bearer abc: abcdef xabc", key) == "key …, or Bearer …: abcdef xabc"
    assert blanked("an empty key blanks nothing", [Secret("")]) == "an empty key blanks nothing"


def test_keys_of_others_and_userinfo_in_urls_are_blanked_without_being_known() -> None:
    said = "Bearer eyJhbGciOiJIUzI1NiJ9.e30.x, http://user:pa55@proxy.test/ and https://host/path; Basic plan"

    assert blanked(said, []) == "Bearer …, http://…@proxy.test/ and https://host/path; Basic plan"


@pytest.mark.parametrize(
    "url",
    [
        "http://user:pa55word@proxy.test:3128",
        "user:pa55word@proxy.test",
        "http://user:pa/55word@proxy.test",
        "http://user:pa 55word@proxy.test",
        "http://user:pa%2055word@proxy.test",
        "http://user:pa@55word@proxy.test",
        "http://user:pa55word",
        "http://pa55word@proxy.test",
        "http://[user:pa55word@proxy.test",
    ],
)
def test_the_password_of_a_proxy_is_told_by_no_error_however_its_url_is_read(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("https_proxy", url)
    shipper = Shipper("secret", base_url="https://togai.invalid", close_timeout=0)
    shipper.track("api_call", "acme", {"count": 1})
    while (told := shipper.stats().last_error) is None:
        shipper.flush(0.1)
    shipper.close()

    assert "55word" not in told
    assert "55word" not in blanked(f"407: {url}", passwords_of([url]))
    assert not passwords_of(["http://proxy.test:3128", "socks5h://proxy.test", ""])


@given(st.text("abcXYZ019-_.~/+=", min_size=12, max_size=60), st.text(max_size=20), st.text(max_size=20))
def test_no_text_shows_a_key_that_it_had(key: str, before: str, after: str) -> None:
    assert key not in blanked(before + key + after, [Secret(key)])


def test_of_the_end_of_a_key_nothing_before_it_is_left() -> None:
    key = "tgliveZq9SECRETKEYabcdef0123456789xyz"

    for length in range(20, len(key)):
        assert blanked(f"ÿ {key[-length:]} to us", [Secret(key)]) == "ÿ … to us"


def test_a_message_is_cut_where_no_key_shows_of_which_the_end_is_cut_off() -> None:
    for before in range(WINDOW + 1):
        text = blanked("." * before + KEY + "." * WINDOW, [Secret(KEY)])

        assert KEY[:3] not in text
        assert len(text) <= WINDOW
    assert blanked(f"{'.' * 1000} http://user:{'x' * WINDOW}@host", []).endswith("http://…")


HOSTILE = {
    "backslashes": "\\",
    "a letter and backslashes": "s" + "\\" * 50,
    "slashes": "//",
    "percent": "%25",
    "entities": "&#0",
    "zeros": "0x0",
    "quotes": "'\"",
    "dashes": "- ",
    "scheme": "bearer ",
    "the start of a key": KEY[:9],
    "a key": KEY,
}


def work(text: str) -> float:
    """Measure what blanking ``text``, and looking what it says, takes of this thread, at the least."""
    taken = []
    for _ in range(7):
        begun = time.thread_time()
        for _ in range(4):
            blanked(text, [Secret(KEY), Secret("user:pass/word1234")])
            says_duplicate([f"already {text}"], "7")
        taken.append(time.thread_time() - begun)
    return min(taken)


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_message_four_times_as_long_takes_no_more_than_some_four_times_the_work(kind: str) -> None:
    short, long = (HOSTILE[kind] * 500)[:110], (HOSTILE[kind] * 500)[:440]

    assert work(long) < 9 * work(short), "in proportion to the square of its length, it is 16 times"


@pytest.mark.parametrize("encoding", ["as it is", "percent-encoded", "base64 of the header"])
def test_a_server_that_repeats_the_key_finds_it_nowhere(
    encoding: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    written = ENCODINGS[encoding](KEY)
    body = json.dumps({"message": "x" * 485 + f" {written} and Authorization: Bearer {KEY}"}).encode()
    refusal = b"HTTP/1.1 400 %s\r\nX-Key: %s\r\nContent-Length: %d\r\n\r\n" % (
        KEY.encode(),
        KEY.encode(),
        len(body),
    )
    parking = refusal.replace(b" 400 ", b" 403 ")
    told: list[TogaiShipperError] = []
    caplog.set_level(logging.DEBUG)
    with raw_server(refusal + body, parking + body) as server:
        shipper = Shipper(
            KEY, base_url=server.url, spool=tmp_path, on_error=lambda error, _: told.append(error)
        )
        receipt = shipper.submit("api_call", "acme", {"count": 1})
        shipper.flush(5)
        shipper.track("api_call", "acme", {"count": 1})
        shipper.flush(5)
        texts = [caplog.text, repr(told), str(receipt.result(1)), repr(shipper.stats()), repr(shipper)]
        shipper.close(0)
        texts.append(caplog.text)

    assert isinstance(told[0], DeliveryError)
    texts += [path.read_bytes().decode("latin-1") for path in tmp_path.rglob("*") if path.is_file()]
    for text in texts:
        assert not any(secret[at : at + 12] in text for secret in (KEY, written) for at in range(8))


@pytest.mark.parametrize("line", [b"HTTP/9 %s\r\n\r\n", b"Bearer %s\r\n\r\n"])
def test_a_reply_that_is_none_does_not_tell_the_key_either(line: bytes) -> None:
    with raw_server(Say(line % KEY.encode(), close=True)) as server:
        shipper = Shipper(KEY, base_url=server.url, close_timeout=0)
        shipper.track("api_call", "acme", {"count": 1})
        shipper.flush(0.3)
        told = shipper.stats().last_error or ""
        shipper.close()

    assert KEY[:12] not in told


def test_what_a_session_factory_raises_is_told_without_its_passwords() -> None:
    def factory() -> requests.Session:
        raise ValueError("cannot use http://user:pa55word@proxy.test")

    shipper = Shipper("secret", session_factory=factory, close_timeout=0)
    shipper.track("api_call", "acme", {"count": 1})
    shipper.flush(0.3)
    told = shipper.stats().last_error
    shipper.close()

    assert told == "session_factory raised ValueError: cannot use http://…@proxy.test"
