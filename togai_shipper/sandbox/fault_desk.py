"""What can be made to go wrong from the page: a fault for each button, the key, and poison."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from . import faults
from .feed import text_of

if TYPE_CHECKING:
    from .credentials import Credentials
    from .script import Script

MOST_POISONS = 50


@attrs.frozen
class Button:
    """A button of the page: its name, label, what to watch for, and the fault it stands for, if one."""

    name: str
    label: str
    watch: str
    fault: faults.Fault | None = None


BUTTONS = (
    Button(
        "down",
        "Down",
        "Every request gets a 503. “Not delivered yet” grows while your application goes on; once it is off, "
        "all of it arrives, and is billed once.",
        faults.Refuse(503, "the service is unavailable"),
    ),
    Button(
        "slow",
        "Slow",
        "Each reply takes 2 seconds. Your application must not wait for it; the batches get larger.",
        faults.Slow(2.0),
    ),
    Button(
        "429",
        "429",
        "Too many requests, with Retry-After: 1. Requests come further apart, and nothing is given up.",
        faults.Throttle(retry_after=1),
    ),
    Button(
        "lost",
        "Lose the reply",
        "The events are billed, but the reply is a gateway's 502. They come again with the same ids, and are "
        "“known already”: billed twice stays 0.",
        faults.Html(502, ingest="all"),
    ),
    Button(
        "cut",
        "Cut the reply",
        "The events are billed, and the connection ends in the middle of the reply. They come again, and "
        "none is billed twice.",
        faults.Cut(),
    ),
    Button(
        "207",
        "207",
        "Of each batch the first event is refused, and all others are billed. That one comes again, alone, "
        "and is billed then: billed twice stays 0.",
        faults.Partial("A"),
    ),
    Button(
        "key",
        "Revoke the key",
        "Every request gets a 401. Your application's log says so, and its events wait for a valid key.",
    ),
)


class FaultDesk:
    """Sets what goes wrong, as the page asks, and says what is set."""

    def __init__(self, script: Script, credentials: Credentials) -> None:
        self._script = script
        self._credentials = credentials
        self._poisons: list[str] = []

    @property
    def state(self) -> dict[str, Any]:
        """What is set now: the name of the fault that requests meet, the key, and the texts of poison."""
        standing = self._script.standing
        names = [button.name for button in BUTTONS if standing is not None and button.fault == standing]
        return {
            "fault": names[0] if names else None,
            "once": bool(names) and self._script.stands_once,
            "revoked": self._credentials.is_revoked,
            "poisons": list(self._poisons),
        }

    def set(self, wish: Any) -> bool:
        """Do what the page asks; return whether that is something it can ask."""
        match wish:
            case {"name": "key", "on": bool(on)}:
                self._credentials.revoke(is_revoked=on)
            case {"name": "cure"}:
                self._poisons.clear()
                self._script.cure()
            case {"name": "poison", "text": str(text)} if text.strip() and len(self._poisons) < MOST_POISONS:
                self._poison(text.strip())
            case {"name": str(name), "on": bool(on), "once": bool(once)}:
                return self._stand(name, on=on, once=once)
            case _:
                return False
        return True

    def _poison(self, text: str) -> None:
        words = text.lower().split()
        self._poisons.append(text)
        self._script.poison(
            lambda event: all(word in text_of(event) for word in words),
            400,
            f"event was refused by the sandbox: it matches {text!r}",
        )

    def _stand(self, name: str, *, on: bool, once: bool) -> bool:
        fault = next((button.fault for button in BUTTONS if button.name == name), None)
        if fault is not None:
            self._script.stand(fault if on else None, once=once)
        return fault is not None
