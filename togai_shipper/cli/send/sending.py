"""Send all inputs, show the progress, and end early where a signal says so."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial

from togai_shipper.cli.captured_log import captured_log
from togai_shipper.cli.display import display_on, shown_by_a_thread
from togai_shipper.cli.screen import Screen
from togai_shipper.cli.terminal import print_line
from togai_shipper.cli.watching import ended_as_by_ctrl_c

from .inputs import Input, total
from .keeping import Keeping
from .progress import SendLines, SendPicture, SendProgress
from .results import LineResults, Tally
from .shipment import Shipment


def send_all(
    sent: Shipment,
    results: LineResults,
    inputs: Sequence[tuple[Input, str]],
    screen: Screen,
    say: Callable[[str], None],
    keeping: Keeping,
    *,
    dry_run: bool,
) -> Tally:
    """Send everything, and show the progress; Ctrl-C, SIGTERM and SIGHUP end it early."""
    sources = [source for source, _ in inputs]
    began = time.monotonic()
    size = total(sources)

    def look() -> SendProgress:
        stats = sent.shipper.stats()
        keeping.look(stats)
        return SendProgress(
            seconds=time.monotonic() - began,
            lines=results.lines,
            delivered=stats.delivered,
            bad=results.bad + stats.rejected,
            done=sum(source.position() for source in sources),
            total=size,
            trouble=stats.last_error,
        )

    complete = False
    # Log lines are not shown: problems of events are printed with their lines, all else is in the progress.
    with ended_as_by_ctrl_c(), captured_log():
        try:
            with (
                display_on(screen, SendPicture().draw, SendLines(say).print) as show,
                shown_by_a_thread(show, look),
            ):
                complete = sent.run(inputs)
        except KeyboardInterrupt:
            say("Stopping. Waiting for what is being sent; press Ctrl-C again to stop at once.")
        finally:
            try:
                keeping.end(sent.shipper)
                sent.shipper.close()
            except KeyboardInterrupt:  # a second Ctrl-C
                sent.shipper.close(0.0)
    return results.close(
        sent.shipper.stats(),
        complete=complete,
        dry_run=dry_run,
        seconds=time.monotonic() - began,
        spool=keeping.spool,
        durable=keeping.is_durable,
    )


def say_on(screen: Screen) -> Callable[[str], None]:
    """Return what prints a line; beside a picture that is redrawn, only its screen may."""
    return screen.say if screen.is_interactive else partial(print_line, err=True)
