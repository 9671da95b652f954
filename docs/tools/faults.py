"""Makes twelve faults, one after another, and writes what each looks like: ``docs/operations/faults.md``.

``python docs/tools/faults.py``; with names of faults it makes these alone. It needs the extras ``cli``,
``sandbox``, ``redis`` and ``prometheus``, Debian's ``prometheus`` and ``redis-server``, and takes about ten
minutes. Each fault is real: an application in a process of its own, with a shipper, whose Togai, disk or
Redis is taken from it. As root the disks are small ones in memory; else a limit and a mode stand for them.
"""

from __future__ import annotations

import json
import logging
import os
import re
import resource
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import requests
from prometheus_client import CollectorRegistry, start_http_server

from togai_shipper import Shipper
from togai_shipper.contrib.prometheus import ShipperCollector
from togai_shipper.testing import FakeTogai, faults

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/operations/faults.md"
RULES = ROOT / "docs/alerts/togai-shipper.rules.yml"
OLD = 62.0  # seconds for which an event has waited at least of which TogaiLeftBehind speaks
PATIENCE = 300.0  # seconds after which a fault that does not show has failed
ALERTED = 15.0  # seconds for Prometheus to see what the shipper says: it looks once a second
SAYS = ("togai-shipper doctor --no-request", "togai-shipper spool ls", "togai-shipper top --once")
Stats = dict[str, Any]


# --- the application -------------------------------------------------------------------------------------


def application(port: int) -> None:
    """Track five events a second; at each line of standard input, say how the shipper stands, as JSON."""
    logging.basicConfig(format="%(levelname)s  %(message)s", level=logging.WARNING)
    shipper = Shipper(flush_interval=0.5)
    registry = CollectorRegistry()
    registry.register(ShipperCollector(shipper))
    start_http_server(port, "127.0.0.1", registry)
    for _ in range(int(os.environ.get("FAULTS_AT_ONCE", "0"))):
        shipper.track("api_call", "acme", {"count": 1}, {"path": "/" * 100})
    due, tracked = time.monotonic(), 0
    while True:
        if select.select([sys.stdin], [], [], max(0.0, due - time.monotonic()))[0]:
            if not sys.stdin.readline():
                return
            stats = attrs.asdict(shipper.stats())
            print(json.dumps({**stats, "healthy": shipper.healthy}, default=str), flush=True)  # noqa: T201
        else:
            due += 0.2
            tracked += 1
            shipper.track("api_call" if tracked % 3 else "storage", "acme", {"count": 1})


class Application:
    """One that runs."""

    def __init__(self, folder: Path, environment: dict[str, str], port: int) -> None:
        self._log = folder / "log"
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603  ours
                [sys.executable, __file__, "application", str(port)],
                cwd=folder,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def stats(self) -> Stats:
        """How it stands."""
        assert self.process.stdin  # noqa: S101  it is a pipe
        assert self.process.stdout  # noqa: S101  likewise
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        found: Stats = json.loads(self.process.stdout.readline())
        return found

    @property
    def log(self) -> list[str]:
        """The lines that it has logged, without tracebacks."""
        lines = self._log.read_text("utf-8").splitlines()
        return [line for line in lines if re.match("WARNING|ERROR", line)]

    def until(self, is_so: Callable[[Stats], object]) -> Stats:
        """Wait until it stands so."""
        end = time.monotonic() + PATIENCE
        while not is_so(stats := self.stats()):
            if time.monotonic() > end:
                raise TimeoutError(f"not seen: {stats}\n{self.log}")
            time.sleep(0.2)  # between looks at another process, which rings nowhere
        return stats

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.communicate()


# --- the faults ------------------------------------------------------------------------------------------


@attrs.frozen
class Scene:
    """What one fault happens to."""

    folder: Path
    togai: FakeTogai
    environment: dict[str, str]
    port: int
    left: ExitStack  # undoes what was done, the last first

    def start(self, **options: object) -> Application:
        """Start the application, and wait until it has delivered."""
        application = self.start_only(**options)
        application.until(lambda stats: stats["delivered"] or stats["relayed"])
        return application

    def start_only(self, **options: object) -> Application:
        """Start the application."""
        self.environment.update({f"TOGAI_{name.upper()}": str(value) for name, value in options.items()})
        application = Application(self.folder, self.environment, self.port)
        self.left.callback(application.kill)
        return application

    def disk(self) -> bool:
        """Mount a small disk for the spool, if this is root; whether it did."""
        place = self.folder / "spool"
        place.mkdir(mode=0o700)
        if os.geteuid():
            return False
        _mount("-t", "tmpfs", "-o", "size=1m,mode=700", "none", str(place))
        self.left.callback(_umount, place)
        return True


def _mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True)  # noqa: S603, S607


def _umount(place: Path) -> None:
    subprocess.run(["umount", "--lazy", place], check=True)  # noqa: S603, S607


@attrs.frozen
class Happened:
    """A fault that has happened: to whom, when, and how it showed."""

    application: Application
    began: float  # Unix time
    stats: Stats


def _unhealthy(stats: Stats) -> bool:
    return not stats["healthy"]


def key_revoked(scene: Scene) -> Happened:
    """Togai takes another key from now on."""
    app = scene.start()
    began = time.time()
    scene.togai.set_api_key("another")
    return Happened(app, began, app.until(_unhealthy))


def forbidden(scene: Scene) -> Happened:
    """Togai answers 403 to each request."""
    app = scene.start()
    began = time.time()
    scene.togai.poison(lambda _: True, status=403, message="the plan has ended")
    return Happened(app, began, app.until(_unhealthy))


def togai_down(scene: Scene) -> Happened:
    """Togai's port is closed."""
    app = scene.start()
    began = time.time()
    scene.togai.stop()
    return Happened(app, began, app.until(_unhealthy))


def togai_hangs(scene: Scene) -> Happened:
    """Togai takes requests, and never answers."""
    app = scene.start()
    began = time.time()
    scene.togai.on_request = lambda _: faults.Hang()
    return Happened(app, began, app.until(_unhealthy))


def slow_link(scene: Scene) -> Happened:
    """The way to Togai takes 6,000 bytes a second, and 2,000 events are tracked at once."""
    way = scene.left.enter_context(_slow(int(scene.togai.url.rpartition(":")[2]), 6000))
    scene.environment["FAULTS_AT_ONCE"] = "2000"
    began = time.time()
    app = scene.start_only(base_url=f"http://127.0.0.1:{way}")
    return Happened(app, began, app.until(_unhealthy))


@contextmanager
def _slow(port: int, rate: int) -> Iterator[int]:
    """Listen on a port; pass on to another what comes, at so many bytes a second in all."""
    turn = threading.Lock()
    connections: list[socket.socket] = []

    def carry(source: socket.socket, target: socket.socket, limit: int | None) -> None:
        with suppress(OSError):
            while data := source.recv(1024):
                if limit:
                    with turn:
                        time.sleep(len(data) / limit)  # this is the link
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)
        with suppress(OSError):
            source.shutdown(socket.SHUT_RDWR)

    def serve() -> None:
        with suppress(OSError):
            while True:
                client, _ = listening.accept()
                server = socket.create_connection(("127.0.0.1", port))
                connections.extend((client, server))
                for each in ((client, server, rate), (server, client, None)):
                    threading.Thread(target=carry, args=each, daemon=True).start()

    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        threading.Thread(target=serve, daemon=True).start()
        try:
            yield listening.getsockname()[1]
        finally:
            for each in connections:
                each.close()


def disk_full(scene: Scene) -> Happened:
    """The disk of the spool is full; Togai works."""
    is_mounted = scene.disk()
    app = scene.start()
    began = time.time()
    if is_mounted:
        with suppress(OSError), (scene.folder / "spool" / "fills-the-disk").open("wb", buffering=0) as file:
            while True:
                file.write(bytes(512))
    else:
        resource.prlimit(app.process.pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
    return Happened(app, began, app.until(_unhealthy))


def disk_read_only(scene: Scene) -> Happened:
    """The disk of the spool is mounted for reading alone when the application starts."""
    place = scene.folder / "spool"
    if scene.disk():
        _mount("-o", "remount,ro", str(place))
    else:
        place.chmod(0o500)
    began = time.time()
    app = scene.start_only()
    return Happened(app, began, app.until(_unhealthy))


def queue_full(scene: Scene) -> Happened:
    """There is no spool, room for 50 events, and Togai answers 503."""
    del scene.environment["TOGAI_SPOOL"]
    app = scene.start(max_queue_size=50)
    began = time.time()
    scene.togai.poison(lambda _: True, status=503, message="try later")
    return Happened(app, began, app.until(lambda stats: stats["refused"].get("full")))


def spool_full(scene: Scene) -> Happened:
    """The spool has room for 20,000 bytes, and Togai answers 503."""
    app = scene.start(max_spool_bytes=20_000)
    began = time.time()
    scene.togai.poison(lambda _: True, status=503, message="try later")
    return Happened(app, began, app.until(lambda stats: stats["refused"].get("full")))


def poison_events(scene: Scene) -> Happened:
    """Togai rejects every third event: its schema is not there."""
    app = scene.start()
    began = time.time()
    scene.togai.poison(
        lambda event: event["schemaName"] == "storage", status=400, message="no such schema: storage"
    )
    return Happened(app, began, app.until(lambda stats: stats["rejected"] > 2))  # noqa: PLR2004  some


def dead_process(scene: Scene) -> Happened:
    """The application was killed while Togai was down; Togai works again, and nothing has been started."""
    app = scene.start()
    scene.togai.stop()
    stats = app.until(lambda stats: stats["oldest_pending_age"] > OLD)
    began = time.time()
    app.kill()
    scene.togai.start()
    return Happened(app, began, stats)


def redis_gone(scene: Scene) -> Happened:
    """The application hands over to a relay, whose Redis ends."""
    redis = scene.left.enter_context(_redis(scene.folder))
    app = scene.start(relay=f"unix://{scene.folder}/redis.sock")
    began = time.time()
    redis.kill()
    return Happened(app, began, app.until(_unhealthy))


@contextmanager
def _redis(folder: Path) -> Iterator[subprocess.Popen[str]]:
    words = ["--port", "0", "--unixsocket", f"{folder}/redis.sock", "--save", "", "--dir", str(folder)]
    with subprocess.Popen(["redis-server", *words], stdout=subprocess.PIPE, text=True) as process:  # noqa: S603, S607
        assert process.stdout  # noqa: S101  it is a pipe
        next(line for line in process.stdout if "ready to accept connections" in line.lower())
        try:
            yield process
        finally:
            process.kill()


@attrs.frozen
class Fault:
    """One of the twelve."""

    title: str
    happen: Callable[[Scene], Happened]
    alerts: str  # those that are waited for
    later: str = ""  # what is known of the others from the rules alone


WAITS = (
    "`TogaiOldestPending` follows 20 minutes after the first event that waits (900 s in the rule, `for: 5m`)."
)
SOME_GET_THROUGH = (
    "`TogaiUnhealthy` fires if no request gets through for all of that time. Where some do, slowly,"
    " `TogaiOldestPending` tells, 20 minutes after the first event that waits for so long (900 s in the rule,"
    " `for: 5m`)."
)
IT_FLAPS = (
    "On a disk that nobody empties, every few seconds all in the file is delivered, the file is removed, a"
    " new one is begun in its room, and for half a second the spool works. Both alerts count on that: they"
    " ask for the worst of five minutes, and of two."
)
FAULTS = {
    "key-revoked": Fault("The key was revoked", key_revoked, "TogaiParked TogaiUnhealthy", WAITS),
    "forbidden": Fault("Every request gets a 403", forbidden, "TogaiParked TogaiUnhealthy", WAITS),
    "togai-down": Fault("Togai is down", togai_down, "TogaiUnhealthy", WAITS),
    "togai-hangs": Fault("Togai hangs", togai_hangs, "TogaiUnhealthy", WAITS),
    "slow-link": Fault("The link is slow", slow_link, "TogaiUnhealthy", SOME_GET_THROUGH),
    "disk-full": Fault("The disk is full", disk_full, "TogaiNotDurable TogaiUnhealthy", IT_FLAPS),
    "disk-read-only": Fault("The disk is read-only", disk_read_only, "TogaiNotDurable TogaiUnhealthy"),
    "queue-full": Fault("The queue is full", queue_full, "TogaiRefusedFull TogaiUnhealthy", WAITS),
    "spool-full": Fault("The spool is full", spool_full, "TogaiRefusedFull TogaiUnhealthy", WAITS),
    "poison-events": Fault("Some events are poison", poison_events, "TogaiDeadLetters TogaiRejected"),
    "dead-process": Fault(
        "A dead process has left its spool",
        dead_process,
        "TogaiLeftBehind",
        "`TogaiNoData` comes 10 minutes after the job's last process has ended, if it had run for an hour"
        " (`offset 1h`, `for: 10m`). `TogaiLeftBehind` comes while others of the job live, too, if what was"
        " left had waited for over a minute, and ends once one of them has taken it over.",
    ),
    "redis-gone": Fault("Redis is gone", redis_gone, "TogaiUnhealthy", WAITS),
}


# --- Prometheus ------------------------------------------------------------------------------------------


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


@contextmanager
def prometheus(folder: Path, ports: dict[str, int]) -> Iterator[Callable[[str], Any]]:
    """Start one that looks at each port once a second, each as a job of the fault's name; ask it."""
    jobs = [
        {"job_name": name, "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}
        for name, port in ports.items()
    ]
    often = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config = folder / "prometheus.json"  # which is YAML, too
    config.write_text(json.dumps({"global": often, "rule_files": [str(RULES)], "scrape_configs": jobs}))
    at = f"127.0.0.1:{_free_port()}"
    words = ["prometheus", "--log.level=error", f"--web.listen-address={at}"]
    words += [f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}"]

    def ask(what: str) -> Any:
        return requests.get(f"http://{at}/api/v1/{what}", timeout=30).json()["data"]

    with subprocess.Popen(words) as process:  # noqa: S603  Debian's
        try:
            end = time.monotonic() + PATIENCE
            while time.monotonic() < end:
                with suppress(requests.ConnectionError, ValueError, KeyError):
                    ask("alerts")
                    break
                time.sleep(0.2)  # likewise
            yield ask
        finally:
            process.terminate()


def _alerts(ask: Callable[[str], Any], name: str, fault: Fault, began: float) -> Iterator[str]:
    """Say which alerts are on their way, and when each fires."""

    def on_their_way() -> dict[str, dict[str, Any]]:
        found = (each for each in ask("alerts")["alerts"] if each["labels"].get("job") == name)
        return {each["labels"]["alertname"]: each for each in found}

    end = time.monotonic() + (ALERTED if fault.alerts else 3)
    while time.monotonic() < end and set(fault.alerts.split()) - on_their_way().keys():
        time.sleep(0.2)  # likewise
    rules = {rule["name"]: rule for rule in ask("rules")["groups"][0]["rules"]}
    for alert, found in sorted(on_their_way().items()):
        rule = rules[alert]
        since = max(0.0, _unix(found["activeAt"]) - began)
        waits = rule["duration"]
        held = f"its condition held after {_time(since)}, and it has `for: {waits // 60:.0f}m`"
        reason = held if waits else "it has no `for`"
        yield f"`{alert}` ({rule['labels']['severity']}) after {_time(since + waits)}: {reason}"


def _unix(moment: str) -> float:
    return datetime.fromisoformat(re.sub(r"(\.\d{6})\d*", r"\1", moment).replace("Z", "+00:00")).timestamp()


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return " ".join([f"{minutes} min"] * bool(minutes) + [f"{rest} s"] * bool(rest or not minutes))


# --- the page --------------------------------------------------------------------------------------------


def seen(name: str, ask: Callable[[str], Any] | None, port: int) -> str:
    """Make a fault; return its section."""
    fault = FAULTS[name]
    with ExitStack() as left, FakeTogai(api_key="the-key") as togai:
        folder = Path(tempfile.mkdtemp(prefix="f"))
        left.callback(shutil.rmtree, folder, ignore_errors=True)
        environment = {key: value for key, value in os.environ.items() if not key.startswith("TOGAI_")}
        environment |= {"TOGAI_API_KEY": "the-key", "TOGAI_BASE_URL": togai.url, "TOGAI_SPOOL": "spool"}
        environment |= {"COLUMNS": "80", "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        scene = Scene(folder, togai, environment, port, left)
        happened = fault.happen(scene)
        alerts = [*_alerts(ask, name, fault, happened.began)] if ask else []
        printed = "".join(_printed(command, scene) for command in SAYS)
        app = happened.application
        stats = happened.stats if app.process.poll() is not None else app.stats()
        plain = partial(_shortened, scene=scene, app=app)
        said = "\n".join(_wrapped(line) for line in dict.fromkeys(map(plain, app.log)))
        doing = (fault.happen.__doc__ or "").strip()
        return (
            f"## {fault.title}\n\n{doing}\n\n```text\n"
            f"healthy     {stats['healthy']}\n"
            f"{_wrapped('last_error  ' + plain(str(stats['last_error'])))}\n```\n\n"
            f"The log:\n\n```text\n{said or '(nothing)'}\n```\n\n"
            f"```text\n{plain(printed).rstrip()}\n```\n\n"
            "Alerts:\n\n"
            + "".join(f"- {each}\n" for each in [*(alerts or ["none was on its way"]), fault.later] if each)
        )


def _printed(command: str, scene: Scene) -> str:
    done = subprocess.run(  # noqa: S603  ours
        command.split(),
        cwd=scene.folder,
        env=scene.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    status = f"  # exit status {done.returncode}" if done.returncode else ""
    return f"$ {command}{status}\n{done.stdout.rstrip()}\n\n"


def _shortened(text: str, scene: Scene, app: Application) -> str:
    """Without what differs from run to run and says nothing."""
    text = text.replace(f"{scene.folder}/", "/app/").replace(str(scene.folder), "/app")
    text = re.sub(r"(127\.0\.0\.1:)\d+", r"\g<1>8080", text)
    text = re.sub(r"[\w.-]+-(\d+)-[0-9a-f]{8}\.db", r"host-\1-0123abcd.db", text)
    pid = str(app.process.pid)
    text = re.sub(rf"\b{pid}\b", "123456789"[: len(pid)], text)
    return "\n".join(map(str.rstrip, text.split("\n")))


def _wrapped(line: str) -> str:
    indent = " " * (len(line) - len(re.sub(r"^\w+ +", "", line)))
    return "\n".join(textwrap.wrap(line, 80, subsequent_indent=indent, break_on_hyphens=False))


INTRODUCTION = """\
# Twelve faults, as they look

Each of these was made, and what was seen is written down: the application's log from WARNING on, its
`stats().last_error`, and what the three commands of [the runbook](runbook.md) print, 80 columns wide. Paths,
ports and process ids are other ones; all else is as it was printed, less the spaces at the ends of lines. The
application tracks five events a second, has a spool unless the section says otherwise, and delivers to a
stand-in for Togai.

A Prometheus that looks once a second evaluated [the rules](../alerts/togai-shipper.rules.yml). When an
alert's condition held, counted from the fault, was measured; the time that its `for:` adds was not waited
for: it is taken from the rule, and so is what is said of alerts that come later. A Prometheus that looks less
often adds up to one scrape and one evaluation.

`python docs/tools/faults.py` makes them again, and writes this page.

| fault | `last_error` | `doctor --no-request` ends with | `top` shows | the first alert, and when it fires |
|---|---|---|---|---|
"""


def _row(section: str) -> str:
    """Say in one line of the table what a section shows."""
    title = section.partition("\n")[0].removeprefix("## ")
    anchor = title.lower().replace(" ", "-")
    error = re.search(r"^last_error  (.*?)\n```", section, re.MULTILINE | re.DOTALL)
    doctor = re.search(r"^(All is well|\d+ (?:failure|warning)[^:\n]*)[.:]", section, re.MULTILINE)
    state = re.search(r"^all .*\n(\w+(?: \w+)?) +(?:pid|host)", section, re.MULTILINE)
    alerts = re.findall(r"^- `(\w+)` \(\w+\) after ((?:\d+ min ?)?(?:\d+ s)?)", section, re.MULTILINE)
    first = min(alerts, key=lambda alert: _seconds(alert[1]), default=("none by itself", ""))
    told = " ".join(error[1].split()) if error else ""
    shown = state[1] if state else "nothing"
    alert = f"`{first[0]}`, {first[1]}" if first[1] else first[0]
    return f"| [{title}](#{anchor}) | `{told}` | {doctor[1] if doctor else ''} | {shown} | {alert} |\n"


def _seconds(text: str) -> int:
    minutes, seconds = re.search(r"(\d+) min", text), re.search(r"(\d+) s", text)
    return (60 * int(minutes[1]) if minutes else 0) + (int(seconds[1]) if seconds else 0)


def main(names: list[str]) -> None:
    """Make the faults of these names, or all, print their sections, and write them into the page."""
    before = PAGE.read_text("utf-8") if PAGE.exists() else ""
    sections = {part.partition("\n")[0]: f"## {part}".rstrip() + "\n" for part in before.split("\n## ")[1:]}
    ports = {name: _free_port() for name in FAULTS}
    with tempfile.TemporaryDirectory() as folder, prometheus(Path(folder), ports) as ask:
        for name in names or FAULTS:
            sections[FAULTS[name].title] = seen(name, ask, ports[name])
            print(sections[FAULTS[name].title], flush=True)  # noqa: T201  its result
    made = [sections[each.title] for each in FAULTS.values() if each.title in sections]
    PAGE.write_text(INTRODUCTION + "".join(map(_row, made)) + "\n" + "\n".join(made), "utf-8")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    application(int(sys.argv[2])) if sys.argv[1:2] == ["application"] else main(sys.argv[1:])
