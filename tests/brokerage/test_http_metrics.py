"""Requests are counted by route and status, over all workers of a web server."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client

DASHBOARDS = sorted((settings.BASE_DIR / "deploy/grafana").glob("*.json"))
WORKER = """
import sys
from pathlib import Path
from brokerage import http_metrics
http_metrics.share_between_workers(Path(sys.argv[1]))
from django.conf import settings
settings.configure(ROOT_URLCONF="x")
from django.http import HttpRequest, HttpResponse
request = HttpRequest()
request.method = "BREW"
http_metrics.HttpMetrics(lambda request: HttpResponse(status=405))(request)
print(http_metrics.render().decode())
"""


def scrape() -> str:
    return Client().get("/metrics").content.decode()


def test_a_request_is_counted_by_its_route_and_status(db: None) -> None:
    name = 'brokerage_http_request_seconds_count{method="GET",route="/api/v1/trades/<uuid:trade_id>",status="401"}'

    def count_of_route() -> float:
        match = re.search(rf"^{re.escape(name)} (.+)$", scrape(), re.MULTILINE)
        return float(match[1]) if match else 0.0

    before = count_of_route()
    Client().get("/api/v1/trades/01a21876-4dee-71af-8fb9-efffff0beec1")
    assert count_of_route() == before + 1
    assert "01a21876" not in scrape()


@pytest.mark.process
def test_workers_count_together_and_unknown_methods_are_one(tmp_path: Path) -> None:
    for number in (1, 2):
        process = subprocess.run(
            [sys.executable, "-c", WORKER, str(tmp_path)],
            cwd=settings.BASE_DIR,
            env={"PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
        )
        assert f'seconds_count{{method="other",route="none",status="405"}} {number}.0' in process.stdout, process.stderr


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.name)
def test_dashboards_use_existing_metrics(path: Path, db: None) -> None:
    Client().get("/healthz")
    metrics = {
        metric
        for panel in json.loads(path.read_text())["panels"]
        for target in panel.get("targets", [])
        for metric in re.findall(r"brokerage_\w+", target["expr"])
    }
    assert metrics
    existing = set(re.findall(r"^# TYPE (\S+) ", scrape(), re.MULTILINE))
    assert {
        re.sub(r"_(bucket|count|sum)$", "", metric) if metric not in existing else metric for metric in metrics
    } <= existing
