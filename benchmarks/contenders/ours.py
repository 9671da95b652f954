"""The library, as its users have it, but without a quota and with room for all that is measured."""

from __future__ import annotations

from togai_shipper import Shipper

from . import Contender, calls_of


def start(url: str, in_flight: int, folder: str, *, spooled: bool = False, varied: bool = False) -> Contender:
    """One that runs; with the spool in ``folder``, if asked for."""
    shipper = Shipper(
        "key",
        base_url=url,
        rate_limit=None,
        max_in_flight=in_flight,
        spool=folder if spooled else None,
        max_queue_size=2_000_000,
        max_queue_bytes=2**31,
        timeout=(5, 10_000),
    )

    def finish() -> None:
        report = shipper.close(600)
        assert report, report

    return calls_of(shipper.track, varied=varied), finish
