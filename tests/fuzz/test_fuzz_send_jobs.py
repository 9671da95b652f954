"""Whatever is done to files and however they are sent: the bill is what they say, or the command said no."""

from __future__ import annotations

import gzip
import json
import multiprocessing
import os
import signal
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs
from click.testing import CliRunner
from hypothesis import strategies as st

from togai_shipper.cli.app import cli
from togai_shipper.testing import FakeTogai

AT = "2026-01-31T23:59:59Z"
HEADER = "schema_name,account_id,timestamp,attributes.n\n"
FOLDERS = ("a", "b", "c")
NESTED = ["account_id=who.id", "timestamp=at", "attributes.n=use.0.n", "schema_name==s"]
STARTING = multiprocessing.get_context("forkserver")
STARTING.set_forkserver_preload(["togai_shipper.cli.send.command"])

# --- formats ----------------------------------------------------------------------------------------------


@attrs.frozen
class Form:
    """How a file says its figures.

    Attributes:
        suffix: of its name.
        begin: what stands before the first of them.
        say: writes one of them.
        between: what stands between two of them.
        end: what stands behind the last one.
        encoding: of the text.
        options: those that read it.

    """

    suffix: str
    begin: str
    say: Callable[[int], str]
    between: str = "\n"
    end: str = "\n"
    encoding: str = "utf-8"
    options: Sequence[str] = ()

    def content(self, figures: Sequence[int]) -> bytes:
        return (self.begin + self.between.join(map(self.say, figures)) + self.end).encode(self.encoding)

    def until(self, figures: Sequence[int]) -> int:
        """How many bytes there are up to the end of the last figure."""
        return len(self.content(figures)) - len(self.end) * self._width()

    def begun(self, figures: Sequence[int], cut: int) -> Counter[int]:
        """The figures of which something stands in so many bytes."""
        starts = [self.until(figures[:at]) + (at > 0) * self._between() for at in range(len(figures))]
        return Counter(figure for figure, start in zip(figures, starts, strict=True) if start < cut)

    def whole(self, figures: Sequence[int], cut: int) -> Counter[int]:
        """The figures of which all stands in so many bytes, and the beginning of what follows."""
        if cut >= len(self.content(figures)):
            return Counter(figures)
        ends = [self.until(figures[: at + 1]) + self._between() + self._width() for at in range(len(figures))]
        return Counter(figure for figure, end in zip(figures, ends, strict=True) if end <= cut)

    def _between(self) -> int:
        return len(self.between) * self._width()

    def _width(self) -> int:
        return 2 if self.encoding == "utf-16" else 1


def row(figure: int) -> str:
    return f"s,x,{AT},{figure}"


def event(figure: int, indent: int | None = None) -> str:
    it = {"schema_name": "s", "account_id": "x", "timestamp": AT, "attributes": {"n": figure}}
    return json.dumps(it, indent=indent)


def nested(figure: int) -> str:
    return json.dumps({"who": {"id": "x"}, "at": AT, "use": [{"n": figure}]})


FORMS = {
    "CSV": Form("csv", HEADER, row),
    "CRLF": Form("csv", HEADER, row, "\r\n", "\r\n"),
    "UTF-16": Form("csv", HEADER, row, encoding="utf-16"),
    "tabs": Form("tsv", HEADER.replace(",", "\t"), lambda figure: row(figure).replace(",", "\t")),
    "sep=": Form("csv", "sep=;\n" + HEADER.replace(",", ";"), lambda figure: row(figure).replace(",", ";")),
    "null": Form(
        "csv", HEADER[:-1] + ",attributes.m\n", lambda it: row(it) + ",none", options=["--null", "none"]
    ),
    "NDJSON": Form("json", "", event),
    "mapped": Form("json", "", nested, options=[part for each in NESTED for part in ("--map", each)]),
    "array": Form("json", "[", event, ",\n", "]\n"),
    "array on one line": Form("json", "[", event, " , ", " ]"),
    "one after another": Form("json", "", event, " ", ""),
    "over several lines": Form("json", "", lambda figure: event(figure, indent=1), "\n", "\n"),
}

# --- what is done -----------------------------------------------------------------------------------------

folders = st.sampled_from(FOLDERS)
several = st.lists(folders, min_size=1, max_size=3, unique=True)
cuts = st.tuples(st.integers(0, 3), st.one_of(st.integers(-2, 3), st.integers(-120, 120)))
steps = st.one_of(
    st.tuples(st.just("append"), folders, st.lists(st.integers(8, 12), min_size=1, max_size=3)),
    st.tuples(st.just("send"), several, st.none()),
    st.tuples(st.just("send"), several, cuts),
    st.tuples(st.just("kill"), several, st.integers(1, 4)),
    st.tuples(st.just("move"), folders, st.none()),
    st.tuples(st.just("rename"), folders, st.none()),
    st.tuples(st.just("pack"), folders, st.none()),
    st.tuples(st.just("map"), folders, st.none()),
)
plans = st.tuples(st.sampled_from(sorted(FORMS)), st.booleans(), st.lists(steps, min_size=4, max_size=10))


def run(variables: dict[str, str], arguments: Sequence[str]) -> int:
    result = CliRunner(env=variables).invoke(cli, ["send", *arguments], catch_exceptions=False)
    return result.exit_code


class Sender:
    """A user with some files of one name in some folders, all of which are one job."""

    def __init__(self, togai: FakeTogai, base: Path, form: Form, *, spool: bool) -> None:
        self._togai = togai
        self._base = base
        self._form = form
        self._spool = spool
        self._folder = {name: name for name in FOLDERS}  # where a file is now
        self._packed: dict[str, bool] = {}
        self._figures: dict[str, list[int]] = {}
        self._surely: dict[str, Counter[int]] = {}  # what has been billed
        self._perhaps: dict[str, Counter[int]] = {}  # what may have been: a command was killed, or a row cut
        self._as_sent: set[str] = set()  # files that nothing was done to since

    def append(self, name: str, figures: list[int]) -> None:
        self._path(name).parent.mkdir(exist_ok=True)
        self._figures[name] = self._figures.get(name, []) + figures
        self._as_sent.discard(name)
        self._write(name)

    def move(self, name: str, _: None) -> None:
        if name in self._figures:
            before = self._path(name)
            self._folder[name] += "-moved"
            self._path(name).parent.mkdir()
            before.rename(self._path(name))

    def pack(self, name: str, _: None) -> None:
        if name in self._figures and not self._packed.get(name):
            self._path(name).unlink()
            self._packed[name] = True
            self._as_sent.discard(name)
            self._write(name)

    def send(self, names: list[str], cut: tuple[int, int] | None) -> None:
        """Send files; of the first one, so many figures and bytes are there, and the rest is not yet."""
        if not (names := [name for name in names if name in self._figures]):
            return
        whole = self._path(names[0]).read_bytes()
        there = len(whole)
        if cut is not None:
            figures, more = cut
            there = max(0, min(there, self._form.until(self._figures[names[0]][:figures]) + more))
        if there < len(whole):
            self._path(names[0]).write_bytes(whole[:there])
        before = self.bill()
        code = self._run(names)
        if there < len(whole):
            self._path(names[0]).write_bytes(whole)
        elif code == 0:
            self._as_sent.update(names)
        if code == 2:
            assert self._spool or self.bill() == before
        else:
            self._note(names, there, len(whole), all_is_told=code == 1)
        self._check()

    def kill(self, names: list[str], request: int) -> None:
        """Send files, one event at a time, and be killed while one of them is on its way."""
        if not (names := [name for name in names if name in self._figures]):
            return
        left = iter(range(request))
        child = STARTING.Process(
            target=run, args=({**self._variables(), "TOGAI_BATCH_SIZE": "1"}, self._arguments(names))
        )

        def end(_: object) -> None:
            if next(left, None) is None and child.pid:
                os.kill(child.pid, signal.SIGKILL)

        self._togai.on_request = end
        child.start()
        child.join()
        self._togai.on_request = None
        for name in names:
            self._perhaps[name] = self._perhaps.get(name, Counter()) | Counter(self._figures[name])
        self._check()

    def map(self, name: str, _: None) -> None:
        """Send a file with another mapping, which is refused if anything of the job was sent."""
        if name in self._figures and any(self._surely.values()):
            options = [each for each in self._form.options if each not in ("--map", NESTED[-1])]
            assert self._run([name], *options, "--ignore-unknown", "--map", "schema_name==other") == 2
            self._check()

    def rename(self, name: str, _: None) -> None:
        """Send a file under its name, and under another one, which is refused if it was sent."""
        self.send([name], None)
        if name in self._as_sent:
            path = self._path(name)
            other = path.with_name(f"other.{path.name}")
            path.rename(other)
            assert self._run_paths([other]) == 2
            other.rename(path)
            self._check()

    def finish(self) -> None:
        """Send all there is, in the end: then it is billed, unless that is refused."""
        self.send([*self._figures], None)

    def bill(self) -> Counter[int]:
        entries = [self._togai.ledger.get(each) for each in self._togai.ledger.ids]
        assert all(each.metered <= 1 for each in entries)
        return Counter(int(each.event["attributes"][0]["value"]) for each in entries if each.metered)

    def _note(self, names: list[str], there: int, size: int, *, all_is_told: bool) -> None:
        for name in names:
            figures, form = self._figures[name], self._form
            surely = perhaps = Counter(figures)
            if name == names[0] and there < size:
                if self._packed.get(name):
                    surely = Counter()
                else:
                    perhaps = form.begun(figures, there)
                    surely = form.whole(figures, there) if all_is_told else perhaps
            self._surely[name] = self._surely.get(name, Counter()) | surely
            self._perhaps[name] = self._perhaps.get(name, Counter()) | perhaps

    def _check(self) -> None:
        bill = self.bill()
        assert sum(self._surely.values(), Counter()) <= bill, "something is lost"
        assert bill <= sum(self._perhaps.values(), Counter()), "something is billed that is not in the files"

    def _path(self, name: str) -> Path:
        packed = ".gz" if self._packed.get(name) else ""
        return self._base / self._folder[name] / f"u.{self._form.suffix}{packed}"

    def _write(self, name: str) -> None:
        content = self._form.content(self._figures[name])
        self._path(name).write_bytes(gzip.compress(content) if self._packed.get(name) else content)

    def _variables(self) -> dict[str, str]:
        return {
            "TOGAI_API_KEY": "k",
            "TOGAI_BASE_URL": self._togai.url,
            "TOGAI_RATE_LIMIT": "none",
            "TOGAI_FLUSH_INTERVAL": "0.01",
            "TOGAI_VERIFY": "0",
            "XDG_STATE_HOME": str(self._base / "state"),
        }

    def _arguments(self, names: list[str], *options: str) -> list[str]:
        spool = [] if self._spool else ["--no-spool"]
        return [*spool, *(options or self._form.options), *(str(self._path(name)) for name in names)]

    def _run(self, names: list[str], *options: str) -> int:
        return run(self._variables(), self._arguments(names, *options))

    def _run_paths(self, paths: list[Path]) -> int:
        return run(self._variables(), [*self._arguments([]), *map(str, paths)])


def test_the_bill_is_what_the_files_say_or_the_command_said_no(fuzz: Any) -> None:
    @fuzz(plans, few=8, many=1_000)
    def holds(plan: tuple[str, bool, list[tuple[str, Any, Any]]]) -> None:
        form, spool, done = plan
        with FakeTogai(api_key="k", rate_limit=None) as togai, tempfile.TemporaryDirectory() as base:
            sender = Sender(togai, Path(base), FORMS[form], spool=spool)
            for name in FOLDERS[:2]:
                sender.append(name, [9 + (name == "b")])
            for what, where, given in done:
                getattr(sender, what)(where, given)
            sender.finish()
