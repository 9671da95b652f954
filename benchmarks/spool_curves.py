"""Where the spool's curves must not bend: many small files, slow disks, a file that was large.

Run: ``python -m benchmarks.spool_curves``. It needs a C compiler, ``cc``, for disks that take their time.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from togai_shipper import Shipper
from togai_shipper._engine.runtime import FOREVER
from togai_shipper._event import encode
from togai_shipper._process import boot
from togai_shipper.cli.spool.files import read_files
from togai_shipper.spool.age import FileClock
from togai_shipper.spool.file import SpoolFile
from togai_shipper.spool.folder import Folder
from togai_shipper.spool.shrinking import Shrinking
from togai_shipper.spool.tally import Tally

from .child import percentile
from .sections import Goal, Section, run, table
from .sink import sink

EVENTS = 5  # in each small file
NOWHERE = "http://127.0.0.1:9"
FILES = (1_000, 10_000)
FSYNCS = (0.0, 0.02, 0.2)  # seconds that each takes
RATE = 25_000
LARGE = 100  # times 5,000 events
SECONDS = 6.0
DISK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>
static int later(const char *name, int fd) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    usleep((useconds_t)(atof(getenv("SLOW_FSYNC")) * 1e6));
    return real(fd);
}
int fsync(int fd) { return later("fsync", fd); }
int fdatasync(int fd) { return later("fdatasync", fd); }
"""


def event(number: int) -> bytes:
    """One whose account, number and id differ from the others'."""
    dimensions = {"region": "eu-west-1", "path": f"/v1/things/{number}"}
    return encode(
        "api_call",
        f"account-{number % 1000}",
        {"count": str(number)},
        dimensions,
        f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime())}.000Z",
        os.urandom(16).hex(),
    )


def leave(folder: Path, count: int) -> None:
    """Leave so many files in a directory, as a process that starts, ships and is killed does each time."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as place:  # noqa: S108  they are made there, and copied
        for number in range(count):
            made = Path(place, f"host-{number + 1}-{number:08x}.db")
            clock = FileClock.begun(boot.boot_id(), boot.clock(), time.time())
            now_ms = int(time.time() * 1000)
            meta = {"base_url": NOWHERE, "host": "host", "pid": "1", "created_ms": str(now_ms)}
            file = SpoolFile.create(made, {**meta, "journal": os.urandom(16).hex()}, clock)
            first = file.append([(clock.time(boot.clock()), False, event(each)) for each in range(EVENTS)])
            tally = Tally()
            tally.add([event(number)], time.strftime("%Y-%m-%d", time.gmtime()), "delivered")
            file.settle([first], tally, now_ms)
            for suffix in ("", "-wal", "-shm"):
                Path(folder, f"{made.name}{suffix}").write_bytes(Path(f"{made}{suffix}").read_bytes())
            Path(folder, made.name).with_suffix(".lock").touch(0o600)
            file.close()
            made.unlink()


def adopted(count: int) -> dict[str, float]:
    """Milliseconds, of time and of CPU, that each of so many files takes; and seconds to list them."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCHMARK_DIR")) as folder:
        leave(Path(folder), count)
        begun = time.perf_counter()
        listed = sum(facts.pending for facts in read_files(Folder(folder)))
        took = time.perf_counter() - begun
        assert listed == count * (EVENTS - 1)
        shipper = Shipper("key", base_url=NOWHERE, spool=folder, max_queue_size=10**6)
        begun, cpu = time.perf_counter(), time.process_time()
        shipper.flush(0)
        while shipper.stats().recovered < listed:
            time.sleep(0.05)
        wall, cpu = time.perf_counter() - begun, time.process_time() - cpu
        shipper.close(0.0)
    return {"wall": wall / count * 1e3, "cpu": cpu / count * 1e3, "list": took}


def shrunk() -> dict[str, float]:
    """What a file takes that was large, and how long the steps take in which it becomes small."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCHMARK_DIR")) as folder:
        file = SpoolFile.create(Path(folder, "host-1-00000000.db"), {})
        body = event(1)
        for _ in range(LARGE):
            file.append([(0, False, body)] * 5000)
        seqs = range(1, file.last_seq())
        for start in range(0, len(seqs), 2000):
            file.remove(seqs[start : start + 2000])
        file.empty_wal()
        before = file.path.stat().st_size
        now, steps = 0.0, []
        shrinking = Shrinking(lambda: now)
        shrinking.note_removed()
        while shrinking.due_at < FOREVER:
            now = shrinking.due_at
            begun = time.perf_counter()
            shrinking.go_on(file)
            steps.append(time.perf_counter() - begun)
        after = file.path.stat().st_size
        file.close()
    return {
        "before": before / 1e6,
        "after": after / 1e6,
        "p50": statistics.median(steps) * 1e3,
        "most": max(steps) * 1e3,
    }


def slow_disk(folder: Path) -> Path:
    """Compile what makes each fsync take longer."""
    source, library = folder / "disk.c", folder / "disk.so"
    source.write_text(DISK)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)  # noqa: S603, S607  any compiler
    return library


def durable_under_load() -> None:
    """Milliseconds until what was tracked is durable, at ``RATE`` a second, as JSON; beside slow fsyncs."""
    url, folder = sys.argv[-2:]
    shipper = Shipper("key", base_url=url, spool=folder, rate_limit=None)
    taken: list[float] = []
    shipper.track("api_call", "account-0", {"count": 0}, {"path": "/v1/things"})
    assert shipper.sync(30)  # its file is made
    begun, number, ask_at = time.perf_counter(), 1, 0.5
    waiting: tuple[float, int] | None = None
    while (now := time.perf_counter() - begun) < SECONDS:
        while number <= now * RATE:
            shipper.track("api_call", f"account-{number % 1000}", {"count": number}, {"path": "/v1/things"})
            number += 1
        if waiting is None and now >= ask_at:
            waiting = now, number
        if waiting is not None:
            stats = shipper.stats()
            if stats.spooled + stats.delivered >= waiting[1]:
                taken.append(time.perf_counter() - begun - waiting[0])
                waiting, ask_at = None, now + 0.013
        time.sleep(0.001)
    stats = shipper.stats()
    found = {
        "p50": statistics.median(taken) * 1e3 if taken else float("inf"),
        "p90": percentile(taken, 0.9) * 1e3 if taken else float("inf"),
        "unwritten": number - stats.spooled - stats.delivered,
        "events/s": number / SECONDS,
    }
    print(json.dumps(found), flush=True)
    os._exit(0)


def beside_slow_fsyncs(seconds: float, library: Path) -> dict[str, float]:
    """The figures of a process of its own, whose disk takes so long."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCHMARK_DIR")) as folder, sink() as togai:
        done = subprocess.run(  # noqa: S603  our own
            [sys.executable, "-m", "benchmarks.spool_curves", "--durable", togai.url, folder],
            env={**os.environ, "LD_PRELOAD": str(library), "SLOW_FSYNC": str(seconds)},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            timeout=120,
        )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def medians(measure: Callable[[], dict[str, float]], rounds: int) -> dict[str, float]:
    """The median of each figure."""
    taken = [measure() for _ in range(rounds)]
    return {name: statistics.median(one[name] for one in taken) for name in taken[0]}


def measure(rounds: int) -> Section:
    """All of it."""
    rows: list[tuple[object, ...]] = []
    goals: list[Goal] = []
    for count in FILES:
        found = medians(lambda count=count: adopted(count), rounds)  # type: ignore[misc]
        rows.append((f"{count:,} small files: ms a file", f"{found['wall']:.1f}"))
        rows.append((f"{count:,} small files: ms of CPU a file", f"{found['cpu']:.1f}"))
        rows.append((f"{count:,} small files: seconds to read them for `spool ls`", f"{found['list']:.1f}"))
        goals.append(Goal(f"adoption of {count:,} small files, each", found["wall"], 3, unit=" ms"))
    goals.append(Goal(f"`spool ls`, {FILES[-1]:,} files read", found["list"], 2, unit=" s"))
    found = medians(shrunk, rounds)
    rows.append(
        (
            "a file of which all is delivered, MB before / after",
            f"{found['before']:.0f} / {found['after']:.0f}",
        )
    )
    rows.append(("steps until then, ms: p50 / longest", f"{found['p50']:.1f} / {found['most']:.1f}"))
    goals.append(Goal("a file that was large, once all is delivered", found["after"], 12, unit=" MB"))
    goals.append(Goal("the steps until then, p50", found["p50"], 20, unit=" ms"))
    with tempfile.TemporaryDirectory() as folder:
        library = slow_disk(Path(folder))
        for seconds in FSYNCS:
            found = medians(lambda seconds=seconds: beside_slow_fsyncs(seconds, library), rounds)  # type: ignore[misc]
            what = f"fsync + {seconds * 1e3:.0f} ms, {RATE:,}/s: durable after"
            rows.append((f"{what}, p50 / p90, ms", f"{found['p50']:.0f} / {found['p90']:.0f}"))
            rows.append(
                (
                    f"the same: not on disk at the end, of {found['events/s']:,.0f}/s",
                    f"{found['unwritten']:,.0f}",
                )
            )
            if seconds:
                goals.append(Goal(f"{what}, p50", found["p50"], 10 + 2e3 * seconds, unit=" ms"))
    return Section("The spool's curves", table(("what", "seen"), rows), goals)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--durable"]:
        durable_under_load()
    run(measure)
