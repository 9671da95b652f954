"""``python -m tests.world --seeds N``: runs worlds, and tells of those in which a promise was broken."""

from __future__ import annotations

import argparse
import os
import sys
import time

from . import bugs
from .kernel import simulated
from .relay_plan import EVERY, drawn
from .running import Tally, run_apart
from .shrink import kind, shrunk
from .world import live

SHOWN = 3  # failing seeds whose story is told, each of another kind


def main() -> int:
    """Run what the command line asks for; return 1 where a seed fails."""
    parser = argparse.ArgumentParser(prog="python -m tests.world", description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, help="how many (default 200)")
    parser.add_argument("--first", type=int, default=0, help="the first one (default 0)")
    parser.add_argument("--relay", action="store_true", help="run only seeds whose worlds have a relay")
    parser.add_argument("--jobs", type=int, default=1, help="how many processes at a time (default 1)")
    parser.add_argument(
        "--bug", choices=sorted(bugs.BUGS), help="put this bug in, and stop where it is found"
    )
    parser.add_argument("--story", type=int, metavar="SEED", help="tell what happens in one world, unshrunk")
    parser.add_argument("--quiet", action="store_true", help="tell no stories, and do not shrink")
    given = parser.parse_args()
    if given.story is not None:
        return _tell(given.story, given.bug, shrinks=False)
    tally = _run(given)
    _print_figures(tally, given)
    kinds: set[str] = set()
    for seed, failure in sorted(tally.failures):
        print(f"seed {seed}: {failure}", flush=True)
        if not given.quiet and kind(failure) not in kinds and len(kinds) < SHOWN:
            kinds.add(kind(failure))
            _in_a_child(seed, given.bug)
    return 1 if tally.failures else 0


def _run(given: argparse.Namespace) -> Tally:
    tally, begun = Tally(), time.perf_counter()
    seeds = range(given.first, given.first + given.seeds)
    if given.relay:
        first = -(-given.first // EVERY) * EVERY
        seeds = range(first, first + given.seeds * EVERY, EVERY)
    for part in run_apart(seeds, given.jobs, given.bug, until_found=bool(given.bug)):
        tally.join(part)
        if sys.stderr.isatty():
            rate = tally.seeds / (time.perf_counter() - begun)
            print(f"\r{tally.seeds} seeds, {rate:.0f} a second", end="", file=sys.stderr, flush=True)
    return tally


def _print_figures(tally: Tally, given: argparse.Namespace) -> None:
    seconds = tally.seconds / max(1, tally.seeds)
    print(
        f"{tally.seeds} seeds from {given.first}, {len(tally.failures)} failed; {tally.steps} steps; "
        f"{seconds:.3f} s a seed, {tally.slowest:.3f} s the slowest"
    )
    print(", ".join(f"{kind} {count}" for kind, count in sorted(tally.counts.items())))


def _in_a_child(seed: int, bug: str | None) -> None:
    sys.stdout.flush()
    pid = os.fork()
    if not pid:
        try:
            _tell(seed, bug, shrinks=True)
            sys.stdout.flush()
        finally:
            os._exit(0)
    os.waitpid(pid, 0)


def _tell(seed: int, bug: str | None, *, shrinks: bool) -> int:
    """Tell the story of a seed: that of the smallest plan which fails as it does, if asked to."""
    with simulated(), bugs.seeded(bug):
        result = live(drawn(seed))
        if shrinks and result.failure is not None:
            result = shrunk(result)
        result = live(result.plan, tells=True)
    plan = result.plan
    print(f"  spool {plan.spool}, callbacks {plan.callbacks}, preempting {plan.preempting}, {plan.options}")
    print(f"  relay {plan.relay or None}")
    print("\n".join(f"  {entry}" for entry in plan.entries))
    print("\n".join(f"    {line}" for line in result.story))
    print(f"  => {result.failure}")
    sys.stdout.flush()
    return 1 if result.failure else 0


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":  # sets are gone through in the same order each time
        environment = {**os.environ, "PYTHONHASHSEED": "0"}
        os.execve(sys.executable, [sys.executable, "-m", "tests.world", *sys.argv[1:]], environment)  # noqa: S606
    status = main()
    sys.stdout.flush()
    os._exit(status)  # dead tasks are not unwound
