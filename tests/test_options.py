"""An option is written once, in ``Config``: what people and type checkers are shown says the same.

That is the signature and the docstring of ``Shipper``, ``Options``, and the table of the documentation.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest

import togai_shipper
from togai_shipper import ConfigurationError, Options, Shipper
from togai_shipper._config import Config
from togai_shipper.testing import FakeTogai

ROOT = Path(__file__).parent.parent
KEY = "secret"

DEFAULTS = {field.name: field.default for field in attrs.fields(Config)}
SHOWN = inspect.signature(Shipper).parameters
FROM_ENVIRONMENT = [field.name for field in attrs.fields(Config) if field.metadata["read"]]


def checked_as(option: str) -> str:
    """What the check of an option says that its value must be."""
    with pytest.raises(ConfigurationError) as error:
        Config.load({}, **{"enabled": False, option: object()})
    return str(error.value)


def unit(option: str) -> str:
    """In what an option is counted: its check knows."""
    if option.endswith("_bytes"):
        return "bytes"
    found = re.search("of (seconds)|(requests a second)", checked_as(option))
    return (found[1] or found[2]) if found else ""


def amount(value: Any) -> str:
    """A default as people write it."""
    if isinstance(value, tuple):
        return f"({', '.join(map(amount, value))})"
    if value >= 1024**2:
        size, rest = (
            (value // 1024**3, value % 1024**3) if value >= 1024**3 else (value // 1024**2, value % 1024**2)
        )
        assert rest == 0
        return f"{size} {'GiB' if value >= 1024**3 else 'MiB'}"
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


# --- what is shown -----------------------------------------------------------------------------------------


def test_the_signature_shows_every_option_with_its_true_default_in_order() -> None:
    assert {name: parameter.default for name, parameter in SHOWN.items()} == DEFAULTS
    assert list(SHOWN) == list(DEFAULTS)
    assert {name: type(parameter.default) for name, parameter in SHOWN.items()} == {
        name: type(default) for name, default in DEFAULTS.items()
    }


def test_the_signature_in_the_source_is_the_one_that_is_shown() -> None:
    source = inspect.getsource(Shipper.__init__)

    for name, default in DEFAULTS.items():
        found = re.search(rf"^ +{name}: .+ = (.+),$", source, re.MULTILINE)
        assert found
        assert eval(found[1]) == default, name  # noqa: S307  our own source


def test_help_shows_the_true_defaults() -> None:
    assert "batch_size: 'int' = 500" in str(inspect.signature(Shipper))
    assert "UNSET" not in str(inspect.signature(Shipper))


def test_options_has_the_names_and_types_of_the_signature() -> None:
    types = {name: getattr(hint, "__forward_arg__", hint) for name, hint in Options.__annotations__.items()}

    assert types == {name: parameter.annotation for name, parameter in SHOWN.items()}
    assert list(types) == list(SHOWN)
    assert Options.__total__ is False


def described() -> Mapping[str, str]:
    """What the docstring says of each option."""
    arguments = (inspect.getdoc(Shipper) or "").partition("Args:")[2].partition("Raises:")[0]
    found = re.findall(r"^    (\w+): (.+?)(?=^    \w|\Z)", arguments, re.MULTILINE | re.DOTALL)
    return {name: " ".join(text.split()) for name, text in found}


def test_the_docstring_tells_of_every_option_in_order() -> None:
    assert list(described()) == list(DEFAULTS)


@pytest.mark.parametrize("option", DEFAULTS)
def test_the_docstring_tells_the_default_and_the_unit_of_an_option(option: str) -> None:
    default, text = DEFAULTS[option], described()[option]
    match default:
        case None:
            assert "default" not in text
            return
        case bool():
            told = str(default).lower()
        case str():
            told = f"``{default}``" if ":" in default else f'``"{default}"``'
        case tuple():
            told = f"``{amount(default)}``"
        case _:
            told = amount(default)

    assert re.search(rf"\(default {re.escape(told)}[):;]", text)
    assert unit(option) in text


def table() -> dict[str, str]:
    """The default of each option in the table of the documentation."""
    section = (ROOT / "docs" / "reference" / "options.md").read_text("utf-8")
    return dict(re.findall(r"^\| `(\w+)` \| (.*?) ?\| .+ \|$", section, re.MULTILINE))


def test_the_table_of_the_documentation_has_every_option_in_order() -> None:
    assert list(table()) == list(DEFAULTS)


@pytest.mark.parametrize("option", DEFAULTS)
def test_the_table_of_the_documentation_tells_the_default_and_the_unit_of_an_option(option: str) -> None:
    default = DEFAULTS[option]
    match default:
        case None:
            told = "required" if option == "api_key" else ""
        case bool():
            told = f"`{default}`"
        case str():
            told = f'`"{default}"`'
        case _:
            told = amount(default)
            told += {"seconds": " s", "requests a second": " /s", "bytes": " bytes"}.get(unit(option), "")
            told = re.sub("iB bytes$", "iB", told)

    assert table()[option] == told


# --- an argument wins, also where it equals the default -----------------------------------------------------


def by_configure(**options: Any) -> Any:
    togai_shipper.configure(**options)
    return togai_shipper


@pytest.fixture(params=[Shipper, by_configure], ids=["Shipper", "configure"])
def make(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Give options to a shipper, in each way that there is; what has its methods is returned."""
    yield request.param
    monkeypatch.undo()
    togai_shipper.configure(enabled=False)


@pytest.mark.parametrize(("options", "sizes"), [({"batch_size": 500}, [250]), ({}, [50, 100, 100])])
def test_the_default_given_as_an_argument_wins_over_the_environment(
    togai: FakeTogai,
    monkeypatch: pytest.MonkeyPatch,
    make: Callable[..., Any],
    options: dict[str, Any],
    sizes: list[int],
) -> None:
    monkeypatch.setenv("TOGAI_BATCH_SIZE", "100")
    shipper = make(api_key=KEY, base_url=togai.url, flush_interval=60, single_ingest_limit=0, **options)
    for _ in range(250):
        shipper.track("api_call", "acme")
    assert shipper.close()

    assert sorted(len(request.events) for request in togai.requests) == sizes


@pytest.mark.parametrize("option", sorted({*FROM_ENVIRONMENT} - {"spool"}))  # every text is a path
def test_the_environment_is_not_asked_for_an_option_that_is_given(
    monkeypatch: pytest.MonkeyPatch, make: Callable[..., Any], option: str
) -> None:
    given = {"api_key": KEY, "enabled": option == "enabled"}
    without = {name: value for name, value in given.items() if name != option}
    monkeypatch.setenv(f"TOGAI_{option.upper()}", "no such value")

    make(**{**given, option: KEY if option == "api_key" else DEFAULTS[option]}).close(0)
    with pytest.raises(ConfigurationError, match=f"^(TOGAI_{option.upper()}|api_key): must be"):
        make(**without)


def test_a_spool_that_is_none_wins_over_the_environment(
    monkeypatch: pytest.MonkeyPatch, make: Callable[..., Any], tmp_path: Path
) -> None:
    monkeypatch.setenv("TOGAI_SPOOL", str(tmp_path / "spool"))

    shipper = make(api_key=KEY, spool=None)
    assert not shipper.stats().durable
    shipper.close(0)
    assert not (tmp_path / "spool").exists()


def test_options_as_a_dictionary_are_arguments_like_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOGAI_CLOSE_TIMEOUT", "3")
    options: Options = {"enabled": False, "close_timeout": 10.0}

    assert Shipper(**options).close_timeout == 10.0
    assert Shipper(enabled=False).close_timeout == 3.0


def test_a_subclass_hands_on_what_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    class Ours(Shipper):
        def __init__(self, **options: Any) -> None:
            super().__init__(enabled=False, **options)

    monkeypatch.setenv("TOGAI_CLOSE_TIMEOUT", "3")
    assert Ours(close_timeout=10.0).close_timeout == 10.0
    assert Ours().close_timeout == 3.0


def test_an_option_that_does_not_exist_is_a_type_error() -> None:
    with pytest.raises(TypeError, match=r"__init__\(\) got an unexpected keyword argument 'flush_intervall'"):
        Shipper(enabled=False, flush_intervall=1)  # type: ignore[call-arg]  # that is the scenario
