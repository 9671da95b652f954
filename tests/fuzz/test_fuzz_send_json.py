"""However JSON is written, cut and packed from run to run: each of its objects is billed once in the end."""

from __future__ import annotations

import gzip
import json
import tempfile
from pathlib import Path
from typing import Any

from click.testing import CliRunner
from hypothesis import strategies as st

from togai_shipper.cli.app import cli
from togai_shipper.testing import FakeTogai

figures = st.lists(st.integers(1, 4), min_size=1, max_size=6)
#: How much is written at each run, of all; 1: whole.
cuts = st.lists(st.floats(0, 1), max_size=4)
packings = st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "gzip"])


def event(figure: int) -> dict[str, Any]:
    return {
        "schema_name": "s",
        "account_id": "x",
        "timestamp": "2026-01-31T23:59:59Z",
        "attributes": {"n": figure},
    }


def array(content: list[Any], indent: int | None) -> str:
    return json.dumps(content, indent=indent) + "\n"


def lines_in_an_array(content: list[Any], indent: int | None) -> str:
    return "[\n" + ",\n".join(" " * (indent or 0) + json.dumps(each) for each in content) + "\n]\n"


def one_after_another(content: list[Any], indent: int | None) -> str:
    return "".join(json.dumps(each, indent=indent) + "\n" * (indent is not None) for each in content)


def bill(togai: FakeTogai) -> list[int]:
    entries = map(togai.ledger.get, togai.ledger.ids)
    return sorted(int(each.event["attributes"][0]["value"]) for each in entries if each.metered)


def test_each_object_of_a_file_that_grows_is_billed_once(fuzz: Any) -> None:
    layouts = st.tuples(
        st.sampled_from([array, lines_in_an_array, one_after_another]), st.sampled_from([None, 0, 2])
    )

    @fuzz(figures, layouts, cuts, packings, few=15, many=1_000)
    def holds(some: list[int], layout: tuple[Any, int | None], written: list[float], packing: str) -> None:
        write, indent = layout
        whole = write([event(figure) for figure in some], indent)
        with FakeTogai(api_key="k") as togai, tempfile.TemporaryDirectory() as base:
            path = Path(base, "u.json")
            for share in sorted(written):
                path.write_bytes(_packed(whole[: int(len(whole) * share)], packing))
                assert _send(togai, base, path) in (0, 1)
            path.write_bytes(_packed(whole, packing))
            assert _send(togai, base, path) == 0
            assert bill(togai) == sorted(some)


def _packed(text: str, packing: str) -> bytes:
    return gzip.compress(text.encode()) if packing == "gzip" else text.encode(packing)


def _send(togai: FakeTogai, base: str, path: Path) -> int:
    variables = {
        "TOGAI_API_KEY": "k",
        "TOGAI_BASE_URL": togai.url,
        "TOGAI_RATE_LIMIT": "none",
        "TOGAI_FLUSH_INTERVAL": "0.01",
        "XDG_STATE_HOME": str(Path(base, "state")),
    }
    command = ["send", "--no-spool", str(path)]
    return CliRunner(env=variables).invoke(cli, command, catch_exceptions=False).exit_code
