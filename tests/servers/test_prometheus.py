"""The dashboard's queries and the alert rules in a real Prometheus, which scrapes a real shipper."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests
from prometheus_client import CollectorRegistry, start_http_server
from serving import PATIENCE

from togai_shipper import Shipper
from togai_shipper.contrib.prometheus import ShipperCollector
from togai_shipper.testing import FakeTogai

DOCS = Path(__file__).parents[2] / "docs"
RULES = DOCS / "alerts/togai-shipper.rules.yml"
PANELS = json.loads((DOCS / "grafana/togai-shipper.json").read_text("utf-8"))["panels"]
PROMETHEUS = shutil.which("prometheus")
CONFIG = """
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: ["{rules}"]
scrape_configs:
  - job_name: app
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""

pytestmark = [
    pytest.mark.servers,
    pytest.mark.skipif(PROMETHEUS is None, reason="needs Debian's prometheus"),
]


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port: int = taken.getsockname()[1]
        return port


def is_ready(at: str) -> bool:
    try:
        return requests.get(f"http://{at}/-/ready", timeout=PATIENCE).status_code == 200
    except requests.ConnectionError:
        return False


@pytest.fixture
def ask(tmp_path: Path, togai: FakeTogai) -> Iterator[Any]:
    """Ask a Prometheus that has scraped a parked shipper with a spool more than once."""
    registry, port = CollectorRegistry(), free_port()
    togai.poison(lambda event: True, status=403, message="the plan has ended")
    shipper = Shipper(togai.api_key, base_url=togai.url, spool=tmp_path / "spool")
    registry.register(ShipperCollector(shipper))
    server, thread = start_http_server(port, "127.0.0.1", registry)
    at = f"127.0.0.1:{free_port()}"
    config = tmp_path / "prometheus.yml"
    config.write_text(CONFIG.format(rules=RULES, port=port))
    started = [
        *(str(PROMETHEUS), f"--config.file={config}", f"--storage.tsdb.path={tmp_path / 'data'}"),
        *(f"--web.listen-address={at}", "--log.level=error"),
    ]

    def get(path: str, **query: str) -> Any:
        reply = requests.get(f"http://{at}/api/v1/{path}", query, timeout=PATIENCE)
        assert reply.status_code == 200, reply.text
        return reply.json()["data"]

    with subprocess.Popen(started) as process:
        try:
            shipper.track("api_call", "acme", {"count": 1})
            until = time.monotonic() + PATIENCE
            scraped = "sum(count_over_time(togai_shipper_healthy[1h])) > 2"
            while not (is_ready(at) and get("query", query=scraped)["result"]):
                assert time.monotonic() < until
                assert process.poll() is None
                time.sleep(0.1)  # between looks at another process, which rings nowhere
            yield get
        finally:
            process.terminate()
            server.shutdown()
            server.server_close()
            thread.join()
            shipper.close(timeout=0)


def test_every_query_of_the_dashboard_is_answered_and_every_rule_can_be_evaluated(ask: Any) -> None:
    silent = set()
    for panel in PANELS:
        for target in panel.get("targets", ()):
            query = target["expr"].replace("$__rate_interval", "1m").replace("$__range", "1m")
            for variable in ("job", "instance", "shipper"):
                query = query.replace(f"${variable}", ".*")
            if not ask("query", query=query)["result"]:
                silent.add(panel["title"])
    assert silent <= {"Time until full", "Events a request", "Time of a request"}, (
        "what divides by what did not come"
    )

    (group,) = ask("rules")["groups"]
    assert len(group["rules"]) == RULES.read_text("utf-8").count("- alert:")
    assert {(rule["health"], rule.get("lastError", "")) for rule in group["rules"]} <= {
        ("ok", ""),
        ("unknown", ""),
    }


def test_the_alert_of_a_parked_line_is_on_its_way(ask: Any) -> None:
    until = time.monotonic() + PATIENCE
    while "TogaiParked" not in {alert["labels"]["alertname"] for alert in ask("alerts")["alerts"]}:
        assert time.monotonic() < until
        time.sleep(0.1)  # likewise
