"""Fixtures for pytest: what your application tracks, and a Togai for it to talk to.

Ask for it in the ``conftest.py`` at the root of your tests::

    pytest_plugins = ["togai_shipper.pytest_plugin"]

or by ``-p togai_shipper.pytest_plugin``, on the command line or in ``addopts``. It is no entry point of
pytest: that would be loaded, and this library with it, in every run of whoever has it installed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from . import _default
from ._shipper import Shipper

if TYPE_CHECKING:
    from .testing import FakeTogai, RecordedEvents

_KEY = "secret"


@pytest.fixture
def recorded_events() -> Iterator[RecordedEvents]:
    """What is tracked during the test, with assertions on it: ``RecordedEvents``. Nothing is sent.

    Your application is given ``recorded_events.shipper``; or it uses ``togai_shipper.track``; or it has a
    shipper of its own, which ``recorded_events.record(shipper)`` lets record.
    """
    from .testing import RecordedEvents  # noqa: PLC0415  requests comes with it: loaded when asked

    with RecordedEvents() as recorded:
        yield recorded


@pytest.fixture
def fake_togai(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeTogai]:
    """A Togai on loopback, without its quota: ``FakeTogai``, real HTTP; needs the extra ``sandbox``.

    During the test the environment leads there (``TOGAI_API_KEY``, ``TOGAI_BASE_URL``): each ``Shipper()``
    that is made in it, and the default one, which is closed at the end.
    """
    from .testing import FakeTogai  # noqa: PLC0415  starlette comes with it: loaded when asked

    with FakeTogai(_KEY, rate_limit=None) as togai:
        monkeypatch.setenv("TOGAI_API_KEY", _KEY)
        monkeypatch.setenv("TOGAI_BASE_URL", togai.url)
        for name in ("TOGAI_ENABLED", "TOGAI_SPOOL"):
            monkeypatch.delenv(name, raising=False)
        with _default.replaced(Shipper):
            yield togai
