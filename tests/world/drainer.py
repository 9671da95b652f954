"""A process of the world that drains the relay, or stands by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from togai_shipper._process import exits
from togai_shipper.relay.drainer import TIMEOUT, Drainer, load
from togai_shipper.relay.link import DRAINERS, Link
from togai_shipper.relay.names import new_name

from .process import Process, connected

if TYPE_CHECKING:
    from togai_shipper._pipeline import Pipeline

RELAY = "redis://redis.test"
NAME = "togai"


class DrainerProcess(Process):
    """``togai-shipper drain``."""

    is_drainer = True
    drainer: Drainer | None = None
    key = ""

    def begin(self, options: dict[str, Any]) -> None:
        """Make its drainer, on a thread of its own."""
        world = self.world
        self.key = world.key_in_use
        config = load(
            {},
            api_key=world.key_in_use,
            base_url="http://togai.test",
            allow_insecure=True,
            on_delivered=world.judge.delivered,
            on_error=world.judge.undelivered,
            **options,
        )
        owner = new_name(self._wall_here)
        self.drainer = Drainer(
            config,
            Link(RELAY, NAME, TIMEOUT, client_name=DRAINERS + owner),
            NAME,
            owner,
            new_key=world.key_in_use != world.first_key,
            runtime=self.runtime(),
            connect=connected,
        )
        self.drainer.start()

    @property
    def is_running(self) -> bool:
        """Whether it has come so far that something can be done to it."""
        return self.drainer is not None

    @property
    def pipeline(self) -> Pipeline:
        """Its drainer's."""
        assert self.drainer is not None
        return self.drainer.pipeline

    @property
    def has_begun(self) -> bool:
        """Whether it has a drainer, by now."""
        return self.drainer is not None

    @property
    def leads_and_is_done(self) -> bool:
        """Whether it leads, and nothing that can be sent is left in the relay."""
        assert self.drainer is not None
        view = self.drainer.view()
        return view.role == "leads" and view.is_empty

    def exit(self) -> None:
        """On a thread of this process: end, as the command does."""
        self.is_ending = True
        assert self.drainer is not None
        begun = self.world.scheduler.now
        self.drainer.close()
        exits.end()
        self.world.tell(self, "has ended")
        self.world.judge.relay.drainer_ended(self, begun)
        self.world.bury(self)
