"""Whether what is read is kept on disk until it is settled."""

from __future__ import annotations

from collections.abc import Callable

from togai_shipper import Shipper, Stats

_COMMIT = 5.0  # seconds that the disk is given for what was read last


class Keeping:
    """Watches whether the spool works, and says once if it does not.

    Args:
        spool: the directory; ``None``: nothing is kept on disk.
        say: prints a line.

    """

    def __init__(self, spool: str | None, say: Callable[[str], None]) -> None:
        self.spool = spool
        self.is_durable = spool is not None
        self._say = say
        self._has_worked = False

    def fail(self, why: str | None) -> None:
        """Note that what is read is not kept."""
        if self.is_durable:
            self.is_durable = False
            self._say(
                f"What is read is not kept on disk ({why}): if this command is killed, send the same again."
                " --spool names another place."
            )

    def look(self, stats: Stats) -> None:
        """Note that the spool has ceased to work, if so."""
        if stats.durable:
            self._has_worked = True
        elif self._has_worked and stats.state in ("open", "parked"):
            self.fail(stats.last_error)

    def end(self, shipper: Shipper) -> None:
        """Look for the last time, before the shipper is closed."""
        if self.is_durable and not shipper.sync(_COMMIT):
            self.fail(shipper.stats().last_error)
