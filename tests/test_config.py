"""Options: argument, environment, default; and how a wrong one is told without telling a secret."""

from __future__ import annotations

import math
from enum import Enum
from typing import Any

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from togai_shipper import ConfigurationError
from togai_shipper._config import UNSET, Config
from togai_shipper._option_values import LONGEST, check_key, is_loopback
from togai_shipper._secret import Secret

KEY = "sk-secret"


def load(environ: dict[str, str] | None = None, **options: Any) -> Config:
    return Config.load(environ or {}, **{"api_key": KEY, **options})


def loaded_or_refused(environ: dict[str, str], **options: Any) -> Config | ConfigurationError:
    try:
        return load(environ, **options)
    except ConfigurationError as error:
        return error


def hook(*_: Any) -> None: ...


# option, default, another value, how the environment says that
OPTIONS: list[tuple[str, Any, Any, str | None]] = [
    ("api_key", None, "sk-other", "sk-other"),
    ("base_url", "https://api.togai.com", "https://sandbox-api.togai.com", "https://sandbox-api.togai.com"),
    ("allow_insecure", False, True, "true"),
    ("batch_size", 500, 7, "7"),
    ("max_batch_bytes", 900_000, 2048, "2048"),
    ("flush_interval", 5.0, 2.0, "2"),
    ("max_queue_size", 100_000, 10, "10"),
    ("max_queue_bytes", 64 * 1024 * 1024, 4096, "4096"),
    ("overflow", "drop_new", "block", "block"),
    ("block_timeout", 1.0, 0.0, "0"),
    ("max_in_flight", 4, 1, "1"),
    ("timeout", (5.0, 30.0), (1.5, 2.0), "1.5,2"),
    ("backoff_initial", 0.5, 0.1, "0.1"),
    ("backoff_max", 30.0, 60.0, "60"),
    ("rate_limit", 45.0, 20.0, "20"),
    ("close_timeout", 10.0, 3.0, "3"),
    ("single_ingest_limit", 5, 0, "0"),
    ("strict", False, True, "on"),
    ("enabled", True, False, "no"),
    ("handle_sigterm", False, True, "1"),
    ("on_error", None, hook, None),
    ("on_delivered", None, hook, None),
    ("before_send", None, hook, None),
    ("session_factory", None, hook, None),
    ("spool", None, "/var/lib/app/spool", "/var/lib/app/spool"),
    ("max_spool_bytes", 1024**3, 1, "1"),
    ("journal", "counts", "ids", "ids"),
    ("relay", None, "redis://:pw@cache:6379/1", "redis://:pw@cache:6379/1"),
    ("relay_name", "togai", "togai-eu.2", "togai-eu.2"),
    ("relay_replicas", 0, 1, "1"),
    ("relay_hold", 10.0, 0.0, "0"),
    ("max_relay_bytes", 256 * 1024**2, 1, "1"),
    ("verify", 0.1, 2.5, "2.5"),
    ("on_unbilled", None, hook, None),
]
NAMES = [option for option, *_ in OPTIONS]


def test_this_table_is_complete() -> None:
    assert sorted(NAMES) == sorted(field.name for field in attrs.fields(Config))


@pytest.mark.parametrize(("option", "default", "other", "said"), OPTIONS, ids=NAMES)
def test_an_option_comes_from_its_argument_else_the_environment_else_its_default(
    option: str, default: Any, other: Any, said: str | None
) -> None:
    def loaded(environ: dict[str, str], **options: Any) -> Any:
        value = getattr(Config.load(environ, **{"enabled": False, **options}), option)
        return value.reveal() if isinstance(value, Secret) else value

    name = "TOGAI_" + option.upper()
    if option == "enabled":
        assert load().enabled is True
    else:
        assert loaded({}) == loaded({name: ""}) == loaded({}, **{option: UNSET}) == default
        assert type(loaded({})) is type(default)
    assert loaded({}, **{option: other}) == other
    if said is None:
        assert loaded({name: "anything"}) is None
        return
    from_environment = loaded({name: said}, **{option: UNSET})
    assert from_environment == other
    assert type(from_environment) is type(other)
    if option not in ("api_key", "enabled"):
        assert loaded({name: said}, **{option: default}) == default, "an argument wins"


def test_an_argument_wins_over_the_environment_for_key_and_enabled_too() -> None:
    environ = {"TOGAI_API_KEY": "sk-other", "TOGAI_ENABLED": "false"}

    assert Config.load(environ, api_key=KEY).api_key == Secret(KEY)
    assert Config.load(environ, enabled=True).enabled is True
    assert Config.load(environ, api_key=None).api_key == Secret("sk-other"), "no key is none given"


def test_unset_is_told_by_its_name() -> None:
    assert repr(UNSET) == "UNSET"


@pytest.mark.parametrize("word", ["1", "true", "True", "YES", "on"])
def test_a_flag_of_the_environment_may_be_said_in_several_words(word: str) -> None:
    assert load({"TOGAI_STRICT": word}).strict is True
    negative = {"1": "0", "true": "false", "True": "False", "YES": "NO", "on": "off"}[word]
    assert load({"TOGAI_ENABLED": negative}).enabled is False


@pytest.mark.parametrize("word", ["none", "None", "off"])
def test_the_rate_limit_can_be_switched_off(word: str) -> None:
    assert load({"TOGAI_RATE_LIMIT": word}).rate_limit is None
    assert load({"TOGAI_RATE_LIMIT": "20"}, rate_limit=None).rate_limit is None


# --- wrong values ------------------------------------------------------------------------------------------

NOT_WHOLE = (0.5, 1.0, "1", None, True, math.nan, [1], -1)
NOT_SECONDS = (-0.1, math.nan, math.inf, "1", None, True, [1.0], LONGEST * 2, 10**400)
NOT_CALLABLE = (7, "print", False)
WRONG: dict[str, tuple[Any, ...]] = {
    "allow_insecure": ("true", 1, None),
    "batch_size": (*NOT_WHOLE, 0, 501),
    "max_batch_bytes": (*NOT_WHOLE, 0, 1023),
    "flush_interval": NOT_SECONDS,
    "max_queue_size": (*NOT_WHOLE, 0),
    "max_queue_bytes": (*NOT_WHOLE, 0),
    "overflow": ("drop", "", "BLOCK", None, 7, ["block"]),
    "block_timeout": NOT_SECONDS,
    "max_in_flight": (*NOT_WHOLE, 0, 65),
    "timeout": (
        30, 5.0, "5,30", "55", None, (5,), (5, 30, 60), (5, 0), (0, 30), (5, "30"),
        (5, math.inf), (1, LONGEST * 2),
    ),
    "backoff_initial": (*NOT_SECONDS, 0),
    "backoff_max": (*NOT_SECONDS, 0),
    "rate_limit": (0, -1, math.nan, math.inf, "45", True, [45], 10**400),
    "close_timeout": NOT_SECONDS,
    "single_ingest_limit": NOT_WHOLE,
    "strict": ("true", 1, None),
    "enabled": ("true", 0, None),
    "handle_sigterm": ("true", 1, None),
    "on_error": NOT_CALLABLE,
    "on_delivered": NOT_CALLABLE,
    "before_send": NOT_CALLABLE,
    "session_factory": NOT_CALLABLE,
    "spool": ("", 7, b"spool", "a\0b"),
    "max_spool_bytes": (*NOT_WHOLE, 0),
    "base_url": (
        "", "api.togai.com", "//api.togai.com", "ftp://api.togai.com", "https://", "https://:443", "https:/x",
        "https://host:port", "https://host:0", "https://host:99999", "https://[::1", "https://host/?", "https://host#",
        "https://host/a b", "https://host/\n", "https://ho\\st", None, 7, b"https://host",
    ),
}  # fmt: skip


@pytest.mark.parametrize("option", sorted(WRONG))
def test_a_wrong_value_is_refused_by_option_and_value(option: str) -> None:
    for value in WRONG[option]:
        with pytest.raises(ConfigurationError) as error:
            load(**{option: value})
        assert str(error.value).startswith(f"{option}: must be ")
        if option != "base_url":
            assert f", not {repr(value)[:200]}" in str(error.value)


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("allow_insecure", "maybe"),
        ("batch_size", "501"),
        ("batch_size", "many"),
        ("batch_size", "9" * 5000),
        ("flush_interval", "nan"),
        ("flush_interval", "-1"),
        ("overflow", "Block"),
        ("timeout", "30"),
        ("timeout", "5;30"),
        ("timeout", "5,30,60"),
        ("rate_limit", "0"),
        ("rate_limit", "fast"),
        ("enabled", " "),
        ("base_url", "api.togai.com"),
    ],
    ids=lambda value: value[:20],
)
def test_a_wrong_value_of_the_environment_is_refused_by_its_name_there(option: str, said: str) -> None:
    name = f"TOGAI_{option.upper()}"

    with pytest.raises(ConfigurationError, match=rf"^{name}: must be .*, not .") as error:
        load({name: said})

    assert len(str(error.value)) < 400


class Unspeakable:
    def __repr__(self) -> str:
        raise RuntimeError("touched")


@pytest.mark.parametrize(
    "value", [Unspeakable(), 10**5000, "x" * 100_000], ids=["raises", "long int", "long"]
)
def test_a_value_that_cannot_be_shown_is_told_shortly(value: Any) -> None:
    with pytest.raises(
        ConfigurationError, match=r"^batch_size: must be a whole number from 1 to 500, not "
    ) as error:
        load(batch_size=value)

    assert len(str(error.value)) < 300


@pytest.mark.parametrize("option", ["overflow", "batch_size", "timeout", "rate_limit", "strict", "on_error"])
def test_a_key_in_the_place_of_another_option_is_not_shown(option: str) -> None:
    long, short = "sk_live_51SECRETSECRET", "sk-secret"
    for value in (long, [long], (long, 1), short):
        with pytest.raises(ConfigurationError) as error:
            load({"TOGAI_API_KEY": short}, **{option: value})

        assert str(error.value).endswith(
            f"not a str of {len(value)} characters"
            if isinstance(value, str)
            else f"not a {type(value).__name__}"
        )


def test_a_key_in_the_place_of_the_host_or_of_the_spool_is_not_shown() -> None:
    for wrong in (
        {"base_url": f"http://{KEY}"},
        {"base_url": f"https://{KEY}:x"},
        {"spool": f"{KEY}-secret\0"},
    ):
        with pytest.raises(ConfigurationError) as error:
            load(**wrong)

        assert KEY not in str(error.value)


def test_an_option_that_does_not_exist_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"^flush_intervall: is no option$"):
        load(flush_intervall=1)


def test_a_backoff_does_not_begin_above_its_most() -> None:
    assert load(backoff_initial=30.0).backoff_max == 30.0

    with pytest.raises(ConfigurationError, match=r"^backoff_max: must be at least backoff_initial, is 0.1$"):
        load(backoff_max=0.1)


class Word(str, Enum):
    """An enum's ``str()`` is not the text that it holds."""

    BLOCK = "block"
    KEY = "sk-secret"
    URL = "https://togai.test/"


def test_an_option_given_as_an_enum_is_the_text_that_this_holds() -> None:
    config = load(overflow=Word.BLOCK, api_key=Word.KEY, base_url=Word.URL)

    for value, expected in (
        (config.overflow, "block"),
        (config.api_key and config.api_key.reveal(), KEY),
        (config.base_url, Word.URL[:-1]),
    ):
        assert (value, type(value)) == (expected, str)


# --- the key ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options", [{}, {"api_key": None}, {"api_key": UNSET}, {"environ": {"TOGAI_API_KEY": ""}}]
)
def test_a_missing_key_is_told(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"^api_key: missing; give api_key=, or set TOGAI_API_KEY$"):
        Config.load(**{"environ": {}, **options})


def test_a_wrong_key_of_the_environment_is_not_shown() -> None:
    with pytest.raises(ConfigurationError, match=r"^api_key: must be printable") as error:
        Config.load({"TOGAI_API_KEY": KEY + "\n"})

    assert KEY not in str(error.value)


def test_without_delivery_no_key_is_needed() -> None:
    assert Config.load({}, enabled=False).api_key is None
    assert Config.load({"TOGAI_ENABLED": "false"}).enabled is False


@pytest.mark.parametrize(
    "key", ["", "sk secret", "sk-secret\n", "\tsk-secret", "sk-secret\x00", "sk-sécret", "sk-\x7f", "\ud83d"]
)
def test_a_key_that_no_header_can_carry_is_refused_and_not_shown(key: str) -> None:
    for way in (lambda key: check_key(Secret(key)), lambda key: load(api_key=key)):
        with pytest.raises(ConfigurationError) as error:
            way(key)
        assert str(error.value).startswith("api_key: must be printable ASCII without blanks")
        assert "sk" not in str(error.value)


@pytest.mark.parametrize("key", [7, b"sk-secret", ["sk-secret"]], ids=["int", "bytes", "list"])
def test_a_key_that_is_no_text_is_refused_by_its_type(key: Any) -> None:
    with pytest.raises(ConfigurationError) as error:
        load(api_key=key)

    assert str(error.value) == f"api_key: must be a str, not {type(key).__name__}"


def test_a_callable_key_is_taken_and_not_called() -> None:
    def never() -> str:
        raise AssertionError("called")

    assert load(api_key=never).api_key == Secret(never)


def test_the_key_is_not_in_the_repr() -> None:
    assert KEY not in repr(load())
    assert "batch_size=500" in repr(load())


# --- the URL ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://api.togai.com", "https://api.togai.com"),
        ("https://api.togai.com/", "https://api.togai.com"),
        ("https://proxy.test:8443/togai//", "https://proxy.test:8443/togai"),
        ("HTTPS://api.togai.com", "HTTPS://api.togai.com"),
        ("https://[2001:db8::1]/", "https://[2001:db8::1]"),
        ("https://tögai.test", "https://tögai.test"),
        ("http://localhost:8000", "http://localhost:8000"),
        ("http://127.0.0.1", "http://127.0.0.1"),
        ("http://127.1.2.3:80", "http://127.1.2.3:80"),
        ("http://[::1]:8000/", "http://[::1]:8000"),
    ],
)
def test_a_base_url_is_kept_without_its_last_slashes(url: str, kept: str) -> None:
    assert load(base_url=url).base_url == kept


@pytest.mark.parametrize(
    "url",
    [
        "http://api.togai.com",
        "HTTP://10.0.0.1:80",
        "http://localhost.test",
        "http://0.0.0.0",
        "http://[2001:db8::1]",
    ],
)
def test_plain_http_leads_to_loopback_alone_unless_allowed(url: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        load(base_url=url)

    assert str(error.value) == (
        f"base_url: {url!r} would send the key unencrypted; use https, or allow_insecure=True"
    )
    assert load(base_url=url, allow_insecure=True).base_url == url


def test_loopback_is_told_from_the_world() -> None:
    assert is_loopback("http://localhost:8000/x")
    assert not is_loopback("https://api.togai.com")
    assert not is_loopback("no url")


@pytest.mark.parametrize(
    "url",
    [
        "https://user:pa55@api.togai.com",
        "https://pa55@api.togai.com",
        "http://user:pa55@localhost",
        "https://user:pa55/word@api.togai.com",
        "https://user:pa55?word#x@api.togai.com",
        "user:pa55@api.togai.com",
        "https://user:pa55%40api.togai.com",
        "https://user:pa55@api.togai.com@evil.test",
        "https://user:pa55@\napi.togai.com",
        b"https://user:pa55@api.togai.com",
        "https://api.togai.com?key=pa55",
        "https://api.togai.com/#pa55",
    ],
    ids=str,
)
def test_credentials_in_a_base_url_are_refused_and_not_shown(url: Any) -> None:
    for way in ({"base_url": url}, {"environ": {"TOGAI_BASE_URL": url}}):
        with pytest.raises(
            ConfigurationError, match=r"(base_url|TOGAI_BASE_URL): must be an http\(s\) URL"
        ) as error:
            load(**way)
        assert "pa55" not in str(error.value)
        assert "word" not in str(error.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sk-secret", "a str of 9 characters without a scheme"),
        ("eyJh.eyJz.c2ln", "a str of 14 characters without a scheme"),
        ("skliveabc://", "a str of 12 characters without a scheme"),
        ("https://user:hunter2", "'https://…'"),
        ("https://togai.test:99999/x", "'https://togai.test…'"),
        ("https://user:a@hunter2", "'https://…'"),
        ("ftp://togai.test", "'ftp://togai.test'"),
        (b"sk-secret", "a bytes"),
        (None, "a NoneType"),
    ],
)
def test_of_a_malformed_base_url_scheme_and_host_are_shown_alone(url: Any, shown: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        load(base_url=url)

    assert str(error.value).endswith(f", not {shown}")


@given(st.sampled_from([field.name for field in attrs.fields(Config)]), st.text())
@example("timeout", "\x1c1,2")
@example("batch_size", "\u0661")
def test_whatever_the_environment_says_is_an_option_or_a_configuration_error(option: str, said: str) -> None:
    end = loaded_or_refused({f"TOGAI_{option.upper()}": said}, api_key=UNSET if option == "api_key" else KEY)

    assert isinstance(end, Config) or option in str(end).lower()


anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.binary(),
    st.lists(st.integers()),
    st.tuples(st.floats(), st.floats()),
)


@given(st.sampled_from(NAMES), anything)
def test_whatever_an_argument_is_it_is_an_option_or_a_configuration_error(option: str, value: Any) -> None:
    end = loaded_or_refused({}, **{option: value})

    assert isinstance(end, Config) or str(end).startswith((option, "backoff_max"))


# --- a relay ------------------------------------------------------------------------------------------------


def test_with_a_relay_there_is_no_key_and_no_quota_and_batches_go_soon() -> None:
    config = load({"TOGAI_RELAY": "redis://cache"}, rate_limit=20, single_ingest_limit=5)

    assert (config.api_key, config.rate_limit, config.single_ingest_limit) == (None, None, 0)
    assert config.flush_interval == 0.5
    assert Config.load({}, relay="redis://cache").flush_interval == 0.5, "no key is needed"
    assert load(relay="redis://cache", flush_interval=5.0).flush_interval == 5.0
    assert load({"TOGAI_FLUSH_INTERVAL": "5"}, relay="redis://cache").flush_interval == 5.0
    assert load(relay="redis://cache", max_batch_bytes=10**9).max_batch_bytes == 16 * 1024**2
    assert load({"TOGAI_RELAY": "redis://cache"}, relay=None).api_key == Secret(KEY)


@pytest.mark.parametrize(
    "url", ["cache:6379", "http://cache", "redis://", "unix://", "redis://c:99999", "redis://a b", 7, b"x"]
)
def test_what_is_no_url_of_a_relay_is_refused_without_its_password(url: Any) -> None:
    with pytest.raises(ConfigurationError, match="relay: must be a redis://, rediss:// or unix:// URL"):
        load(relay=url)
    with pytest.raises(ConfigurationError) as error:
        load(relay="redis://:hunter2@cache:0")
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize("name", ["", "a{b}", "a b", "a\n", "x" * 101, None, "ä"])
def test_the_name_of_a_relay_is_a_plain_word(name: Any) -> None:
    with pytest.raises(ConfigurationError, match="relay_name: must be 1 to 100 letters"):
        load(relay="redis://cache", relay_name=name)


def test_the_url_of_a_relay_is_in_no_repr() -> None:
    assert "hunter2" not in repr(load(relay="redis://:hunter2@cache"))
