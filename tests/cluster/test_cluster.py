"""The whole cluster, started as `make cluster` does: it serves, survives the loss of its primary, and cleans up."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3

from cluster.packages import PACKAGES, SYSTEM_PATH
from local import ports
from local.plan import PROJECT

MISSING = [name for name in PACKAGES.values() if shutil.which(name, path=SYSTEM_PATH) is None]
pytestmark = [
    pytest.mark.story,
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root"),
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
]
READY_SECONDS_MAX = 660.0
FAILOVER_SECONDS_MAX = 60.0  # Patroni takes at least 20 s; the rest allows for a busy machine
NO_ANSWER = {0, 502, 503, 504}


class Cluster:
    """A context manager that runs `python -m cluster up` on its own folder, prefix and port."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, ports.choose()
        self.env = {
            **{name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "DATA_DIR"}},
            "CLUSTER_DIR": str(folder),
            "CLUSTER_PREFIX": f"t{os.getpid() % 10_000}",
            "PORT": str(self.port),
        }

    def start(self) -> None:
        self._log = open(self.folder / "up.log", "wb")  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "-m", "cluster", "up"], cwd=PROJECT, env=self.env, stdout=self._log, stderr=self._log
        )
        deadline = time.monotonic() + READY_SECONDS_MAX
        while "Ready:" not in self.output():
            assert self._process.poll() is None, self.output()
            assert time.monotonic() < deadline, self.output()
            time.sleep(0.3)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(60)
        self._log.close()

    def output(self) -> str:
        return (self.folder / "up.log").read_text()

    def run(self, *arguments: str) -> str:
        """Run a command of the cluster's program; return its output."""
        process = subprocess.run(
            [sys.executable, "-m", "cluster", *arguments], cwd=PROJECT, env=self.env, capture_output=True, text=True
        )
        assert process.returncode == 0, process.stderr
        return process.stdout

    def place(self, key: str) -> int:
        """Place a trade as the demo customer; return the status, or 0 without a response."""
        token = re.search(r"token +(\S+)", self.output())
        assert token is not None
        try:
            return urllib3.request(
                "POST",
                f"http://127.0.0.1:{self.port}/api/v1/trades",
                json={"stockTicker": "AAPL", "type": "BUY", "quantity": 1},
                headers={"Authorization": f"Bearer {token[1]}", "Idempotency-Key": key},
                timeout=8.0,
                retries=False,
            ).status
        except urllib3.exceptions.HTTPError:
            return 0

    def place_until_answered(self, key: str, deadline: float) -> int:
        """Repeat `place` as a client does: one web may still answer 503 when another serves again."""
        while (status := self.place(key)) in NO_ANSWER:
            assert time.monotonic() < deadline, f"no new primary serves: {status}"
            time.sleep(0.5)
        return status


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    # Not in pytest's temporary folder, which the servers' user can't read.
    cluster = Cluster(Path(tempfile.mkdtemp(prefix="brokerage-cluster-")))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
        namespaces = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True).stdout
        assert cluster.env["CLUSTER_PREFIX"] not in namespaces
        shutil.rmtree(cluster.folder)


def test_a_trade_is_placed_through_the_balancer(cluster: Cluster) -> None:
    assert cluster.place("first") == 201


def test_status_shows_roles_and_lanes(cluster: Cluster) -> None:
    output = cluster.run("status", "--once")
    assert output.count("quorum standby, streaming") == 2
    assert output.count("leader, running") == 1
    assert output.count("serves 16 lanes") == 1
    assert output.count("stands by") == 2


def test_a_primary_that_is_cut_off_is_replaced_and_nothing_is_lost(cluster: Cluster) -> None:
    leader = re.search(r"^(db\d) .*leader, running", cluster.run("status", "--once"), re.MULTILINE)
    assert leader is not None
    cluster.run("fault", "cut", leader[1])
    deadline = time.monotonic() + FAILOVER_SECONDS_MAX
    assert cluster.place_until_answered("second", deadline) in {200, 201}
    assert cluster.place_until_answered("first", deadline) == 200
    assert cluster.place_until_answered("second", deadline) == 200
    cluster.run("fault", "heal", leader[1])
    while cluster.run("status", "--once").count("quorum standby, streaming") != 2:
        assert time.monotonic() < deadline + 60, "the old primary did not come back as a standby"
        time.sleep(1)
