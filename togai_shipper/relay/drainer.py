"""A drainer: the pipeline, with a relay's stream for its store, and requests that need the relay's lease."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from togai_shipper._config import Config
from togai_shipper._engine.destination import Connection
from togai_shipper._engine.key import Key
from togai_shipper._engine.runtime import Runtime
from togai_shipper._engine.store import Surroundings
from togai_shipper._engine.transport import connected
from togai_shipper._pipeline import Pipeline
from togai_shipper._process import exits

from .lease import fingerprint_of
from .lease_keeper import Keeper
from .leased import Leased
from .link import Link
from .stream import Stream
from .view import View

TIMEOUT = 3.0  # seconds for an answer of Redis: a renewal that waits for one before it has to begin in time
IN_MEMORY = 20_000  # events at most
# What a drainer does otherwise than a shipper, where its environment does not say.
USUAL = {"TOGAI_FLUSH_INTERVAL": "0.25", "TOGAI_MAX_IN_FLIGHT": "12"}
_OF_PRODUCERS = ("TOGAI_RELAY", "TOGAI_SPOOL", "TOGAI_ENABLED", "TOGAI_MAX_QUEUE_SIZE")


def load(environ: Mapping[str, str], **arguments: Any) -> Config:
    """Return the options of a drainer; raises ``ConfigurationError``."""
    ours = {name: value for name, value in environ.items() if name not in _OF_PRODUCERS}
    config = Config.load({**USUAL, **ours}, max_queue_size=IN_MEMORY, **arguments)
    config.check_journal_of_a_relay()
    return config


class Drainer:
    """Drains one relay, or stands by, in one process."""

    def __init__(
        self,
        config: Config,
        link: Link,
        name: str,
        owner: str,
        *,
        new_key: bool = False,
        runtime: Runtime | None = None,
        connect: Callable[[Config], Connection] = connected,
    ) -> None:
        runtime = runtime or Runtime()
        self.now = runtime.clock
        keeper = Keeper(
            link,
            owner,
            runtime.clock,
            runtime.bell(),
            fingerprint=fingerprint_of(Key(config.api_key).current().reveal()),
            base_url=config.base_url,
            new_key=new_key,
        )

        def make_stream(around: Surroundings) -> Stream:
            self.stream = Stream(around, link, keeper, place=f"the relay {name}")
            return self.stream

        self.pipeline = Pipeline(
            config,
            runtime,
            lambda config: Leased(connect(config), keeper, self.stream.tell_key),
            make_store=make_stream,
        )

    def start(self) -> None:
        """Look at the relay, and drain it as soon as the lease is ours."""
        exits.remember(self.pipeline)
        self.stream.wake()

    def view(self) -> View:
        """Return how the drainer and its relay stand."""
        return self.stream.view()

    def close(self) -> None:
        """Wait for the replies to what is on its way, and let another drainer take over."""
        self.stream.leave()
        self.pipeline.close(self.pipeline.close_timeout)
