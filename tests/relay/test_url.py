"""``relay.url``: what is a relay's URL, what is wrong with one, and that nobody is shown its password."""

from __future__ import annotations

import pytest

from togai_shipper import ConfigurationError
from togai_shipper.relay.link import Link
from togai_shipper.relay.url import checked_name, checked_url, is_url, secrets_of, shown

GOOD = [
    "redis://localhost",
    "redis://user:pa%2Fss@redis.example.com:6380/2",
    "REDISS://[::1]:6379/0?ssl_cert_reqs=none",
    "unix:///run/redis.sock?db=3",
    "unix://user:secret@/run/redis.sock",
]


@pytest.mark.parametrize("url", GOOD)
def test_a_good_url_is_taken(url: str) -> None:
    assert is_url(url)
    assert checked_url(url).lower() == url.lower()
    Link(url, "togai")


@pytest.mark.parametrize("directory", ["/var/lib/spool", "redis", "./redis:", "http://redis"])
def test_a_directory_is_no_url(directory: str) -> None:
    assert not is_url(directory)
    with pytest.raises(ConfigurationError, match="begins with redis://"):
        checked_url(directory)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("redis://", "has no host"),
        ("redis://:sesame-open@", "has no host"),
        ("redis://host:sesame-open", "cannot be read"),
        ("redis://:sesame-open/x@host", "cannot be read"),
        ("redis://host:70000", "cannot be read"),
        ("redis://[::1", "cannot be read"),
        ("redis://:sesame-open@host/abc", "number of a database"),
        ("unix://", "path of a socket"),
        ("redis://:sesame-open@host?socket_timeout=sesame-open", "does not take"),
        ("redis://:sesame-open@host?no_such_option=1", "does not take"),
        ("redis://:sesame-open@host?sesame-open=1", "does not take"),
    ],
)
def test_a_bad_url_is_refused_in_one_line_without_its_password(url: str, why: str) -> None:
    with pytest.raises(ConfigurationError, match=why) as told:
        Link(url, "togai")
    assert "sesame" not in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    "url",
    [
        "redis://:sesame-open@host:6379/1",
        "redis://sesame-open:sesame-open@host",
        "redis://user:sesame-open/sesame//sesame-open@host",
        "redis://host?password=sesame-open&db=1",
        "redis://host?db=1&password=sesame%2Dopen",
        "redis://host?password=sesame-open@sesame",
        "unix://user:sesame-open@/run/redis.sock",
    ],
)
def test_a_url_is_shown_without_its_secrets(url: str) -> None:
    assert "sesame" not in shown(url)
    assert shown(url).startswith(url[:7])
    assert any("sesame" in secret.reveal() for secret in secrets_of(url))


@pytest.mark.parametrize("name", ["", "a b", "{togai}", "a\n", "x" * 101])
def test_a_name_that_makes_no_key_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="relay_name"):
        checked_name(name)
    assert checked_name("team-a.eu/1") == "team-a.eu/1"
