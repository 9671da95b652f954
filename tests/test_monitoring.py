"""The dashboard and the alert rules speak of what is exported, and of nothing else."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from togai_shipper import Shipper
from togai_shipper.contrib.prometheus import ShipperCollector

DOCS = Path(__file__).parent.parent / "docs"
RULES = DOCS / "alerts/togai-shipper.rules.yml"
DASHBOARD = json.loads((DOCS / "grafana/togai-shipper.json").read_text("utf-8"))
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
HEADINGS = re.findall("^#+ (.+)$", (DOCS / "operations/runbook.md").read_text("utf-8"), re.MULTILINE)
ANCHORS = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in HEADINGS}
GIVEN = {"job", "instance"}  # the labels that Prometheus adds itself
SELECTOR = re.compile(r"(togai_shipper_\w+)(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)(=~|=)"([^"]*)"')


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load(RULES.read_text("utf-8"))["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def expressions() -> Iterator[str]:
    yield from (rule["expr"] for rule in rules())
    yield from (target["expr"] for panel in PANELS for target in panel["targets"])
    for variable in DASHBOARD["templating"]["list"]:
        yield from [variable["query"]["query"]] if variable["type"] == "query" else []


EXPRESSIONS = sorted(set(expressions()))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, set[str]]]:
    """Metrics, their labels, and what these say of a shipper that has done nothing yet."""
    found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    with Shipper("key", base_url="http://127.0.0.1:9", spool=tmp_path_factory.mktemp("spool")) as shipper:
        for family in ShipperCollector(shipper).collect():
            for sample in family.samples:
                for label, value in sample.labels.items():
                    found[sample.name][label].add(value)
    return found


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_an_expression_asks_only_for_metrics_labels_and_values_that_there_are(
    exported: dict[str, dict[str, set[str]]], expression: str
) -> None:
    selectors = SELECTOR.findall(expression)
    assert selectors
    for metric, matchers in selectors:
        assert metric in exported
        for label, operator, value in MATCHER.findall(matchers):
            assert label in exported[metric].keys() | GIVEN
            if not value.startswith("$"):
                assert set(value.split("|") if operator == "=~" else [value]) <= exported[metric][label]
    for labels in re.findall(r"by \(([^)]*)\)", expression):
        assert (
            set(labels.split(", "))
            <= {label for metric, _ in selectors for label in exported[metric]} | GIVEN
        )


def test_the_dashboard_shows_everything_that_is_exported(exported: dict[str, dict[str, set[str]]]) -> None:
    shown = {
        metric
        for panel in PANELS
        for target in panel["targets"]
        for metric, _ in SELECTOR.findall(target["expr"])
    }

    assert shown == set(exported)


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_an_alert_says_how_bad_it_is_and_what_to_do_by_labels_that_it_has(rule: dict[str, Any]) -> None:
    assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    assert page == "operations/runbook/"
    assert anchor in {"", *ANCHORS}
    kept = {label for labels in re.findall(r"by \(([^)]*)\)", rule["expr"]) for label in labels.split(", ")}
    assert set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"]))) <= kept


PROMTOOL = shutil.which("promtool")


@pytest.mark.skipif(PROMTOOL is None, reason="needs Prometheus' promtool")
@pytest.mark.parametrize(
    ("how", "file"),
    [
        pytest.param("check", RULES.name, id="check"),
        pytest.param("test", "togai-shipper.test.yml", id="test", marks=pytest.mark.servers),  # half a minute
    ],
)
def test_prometheus_itself_finds_the_rules_right(how: str, file: str) -> None:
    done = subprocess.run(
        [str(PROMTOOL), how, "rules", file], cwd=RULES.parent, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_is_seen_to_fire_by_promtool() -> None:
    seen = re.findall(
        r"alertname(?:=\"|: )(\w+)", RULES.with_name("togai-shipper.test.yml").read_text("utf-8")
    )

    assert set(seen) == {rule["alert"] for rule in rules()}


def test_grafana_can_import_the_dashboard() -> None:
    """What its importer asks for: no id of another Grafana, a uid, a data source to choose."""
    assert DASHBOARD["id"] is None
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,40}", DASHBOARD["uid"])
    assert isinstance(DASHBOARD["schemaVersion"], int)
    assert {panel["datasource"]["uid"] for panel in PANELS} == {"${datasource}"}
    assert DASHBOARD["templating"]["list"][0]["name"] == "datasource"


def test_panels_have_ids_of_their_own_and_do_not_overlap() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))

    cells: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        taken = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not taken & cells
        cells |= taken
    for panel in PANELS:
        refs = [target["refId"] for target in panel["targets"]]
        assert len(refs) == len(set(refs))
