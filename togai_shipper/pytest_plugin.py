"""Fixtures for pytest: what your application tracks, and a Togai for it to talk to.

Ask for it in the ``conftest.py`` at the root of your tests::

    pytest_plugins = ["togai_shipper.pytest_plugin"]

or by ``-p togai_shipper.pytest_plugin``, on the command line or in ``addopts``. It is no entry point of
pytest: that would be loaded, and this library with it, in every run of whoever has it installed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from . import _default
from ._shipper import Shipper

if TYPE_CHECKING:
    from .testing import FakeTogai, RecordedEvents

_KEY = "secret"
_CATALOG = "togai_catalog"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the ini option ``togai_catalog``."""
    told = "A file of Togai's event schemas (togai-shipper catalog), which recorded events are held to"
    parser.addini(_CATALOG, told)


@pytest.fixture(scope="session")
def togai_catalog(pytestconfig: pytest.Config) -> Path | None:
    """The file that the ini option ``togai_catalog`` names, from where the ini file is; ``None``: none."""
    named = pytestconfig.getini(_CATALOG)
    beside = pytestconfig.inipath.parent if pytestconfig.inipath else pytestconfig.rootpath
    return beside / named if named else None


@pytest.fixture
def recorded_events(togai_catalog: Path | None) -> Iterator[RecordedEvents]:
    """What is tracked during the test, with assertions on it: ``RecordedEvents``. Nothing is sent.

    Your application is given ``recorded_events.shipper``; or it uses ``togai_shipper.track``; or it has a
    shipper of its own, which ``recorded_events.record(shipper)`` lets record.

    With the ini option ``togai_catalog`` the test fails at its end if Togai would not bill what was tracked,
    since its event schema is mistyped, for instance: ``recorded_events.assert_in_catalog()``.
    """
    from .testing import RecordedEvents  # noqa: PLC0415  requests comes with it: loaded when asked

    with RecordedEvents(togai_catalog) as recorded:
        yield recorded
        if togai_catalog is not None:
            recorded.assert_in_catalog()


@pytest.fixture
def fake_togai(togai_catalog: Path | None, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeTogai]:
    """A Togai on loopback, without its quota: ``FakeTogai``, real HTTP; needs the extra ``sandbox``.

    During the test the environment leads there (``TOGAI_API_KEY``, ``TOGAI_BASE_URL``): each ``Shipper()``
    that is made in it, and the default one, which is closed at the end. With the ini option ``togai_catalog``
    it has the event schemas of that file, and bills no other.
    """
    from .testing import FakeTogai  # noqa: PLC0415  starlette comes with it: loaded when asked

    with FakeTogai(_KEY, rate_limit=None, schemas=togai_catalog) as togai:
        monkeypatch.setenv("TOGAI_API_KEY", _KEY)
        monkeypatch.setenv("TOGAI_BASE_URL", togai.url)
        for name in ("TOGAI_ENABLED", "TOGAI_SPOOL"):
            monkeypatch.delenv(name, raising=False)
        with _default.replaced(Shipper):
            yield togai
