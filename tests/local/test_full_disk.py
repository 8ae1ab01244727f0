"""A full disk: `make run` reports it in one line; a running brokerage refuses what it can't store and loses nothing."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import psycopg
import pytest
import urllib3

from local.console import BoundedLog
from local.harness import Brokerage
from local.plan import PROJECT
from tests.security.balancer import wait_until

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(
        subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode != 0,
        reason="only root can mount a file system",
    ),
]
TOO_SMALL_MB, SMALL_MB = 20, 400
RECOVERY_SECONDS_MAX, DEPOSITS = 60.0, 60
NO_SPACE = "No space left on device"


@contextmanager
def disk(megabytes: int) -> Iterator[Path]:
    """Mount a disk of this size."""
    folder = Path(tempfile.mkdtemp(prefix="brokerage-disk-"))
    folder.chmod(0o755)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=755", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
        folder.rmdir()


def fill(folder: Path) -> Path:
    """Write until the disk is full; return the file that takes the space."""
    path = folder / "filling"
    with open(path, "wb", buffering=0) as file:
        try:
            while file.write(bytes(65_536)):
                pass
        except OSError as error:
            assert error.strerror == NO_SPACE
    return path


def test_a_disk_too_small_for_a_new_database_is_reported_in_one_line() -> None:
    with disk(TOO_SMALL_MB) as folder:
        brokerage = Brokerage(folder / "var", is_prepared=False)
        assert brokerage.launch().wait(60) == 1
        lines = brokerage.output().splitlines()
        assert len(lines) == 1, lines
        assert lines[0].startswith("error: ")
        assert NO_SPACE in lines[0]
        brokerage.stop()


def assert_output_is_read(brokerage: Brokerage) -> None:
    """Assert that what PostgreSQL writes reaches its log: when nobody reads it, PostgreSQL stops at 64 kB."""
    with (
        psycopg.connect(brokerage.environment["DATABASE_URL"]) as connection,
        suppress(psycopg.errors.DivisionByZero),
    ):
        connection.execute("SELECT 1 / 0")
    log = brokerage.data_dir / "log" / "postgres.log"
    wait_until(lambda: "division by zero" in log.read_text(), 5)


def test_a_log_is_written_again_when_there_is_space() -> None:
    with disk(1) as folder, closing(BoundedLog(folder / "a.log")) as log:
        log.write("before")
        filler = fill(folder)
        for _ in range(100):
            log.write("lost on the full disk" * 100)
        filler.unlink()
        log.write("after")
        lines = (folder / "a.log").read_text().splitlines()
        assert (lines[0], lines[-1]) == ("before", "after")


def test_a_disk_that_fills_up_loses_nothing_and_serves_again_when_there_is_space() -> None:
    with disk(SMALL_MB) as folder, Brokerage(folder / "var") as brokerage:
        customer = json.loads(
            brokerage.manage("create_customer", "full@example.com", "--password", "a long enough one", "--json").stdout
        )
        headers = {"Authorization": f"Bearer {customer['token']}"}

        def deposit(key: str) -> int:
            """Deposit a dollar, once for each key; return the status."""
            response = urllib3.request(
                "POST",
                f"{brokerage.url}/api/v1/deposits",
                json={"amount": "1.00"},
                headers=headers | {"Idempotency-Key": key},
                retries=False,
                timeout=30,
            )
            assert response.status in {200, 201} or response.headers["Content-Type"] == "application/problem+json"
            return response.status

        assert deposit("first") == 201
        filler = fill(folder)
        keys = [f"full-{number}" for number in range(DEPOSITS)]
        statuses = [deposit(key) for key in keys]
        assert set(statuses) <= {201, 503}, "every request is answered"
        assert set(statuses) != {201}
        filler.unlink()
        deadline = time.monotonic() + RECOVERY_SECONDS_MAX
        for key in keys:
            while deposit(key) not in {200, 201}:
                assert time.monotonic() < deadline, brokerage.output()[-3000:]
                time.sleep(0.5)
        balance = urllib3.request("GET", f"{brokerage.url}/api/v1/balance", headers=headers).json()
        assert float(balance["amount"]) == 1 + DEPOSITS, "each deposit was made once"
        audit = brokerage.manage("audit_books")
        assert audit.returncode == 0, audit.stderr
        assert_output_is_read(brokerage)


COUNT = """
import sys
from contextlib import suppress
from pathlib import Path
from brokerage import http_metrics
http_metrics.share_between_workers(Path(sys.argv[1]))
from django.conf import settings
settings.configure(ROOT_URLCONF="x")
from django.http import HttpRequest, HttpResponse
for status in range(200, 600):
    http_metrics.HttpMetrics(lambda request: HttpResponse(status=status))(HttpRequest())
    if status == 210 and len(sys.argv) > 2:
        with suppress(OSError), open(sys.argv[2], "wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
counted = http_metrics.render().decode()
print(counted.count("seconds_count{"))
"""


@pytest.mark.parametrize("is_full", ["already", "later"])
def test_requests_are_answered_though_they_cannot_be_counted(is_full: str) -> None:
    with disk(1) as folder:
        if is_full == "already":
            (folder / "metrics").mkdir()
            fill(folder)
        more = [folder / "filling"] if is_full == "later" else []
        counted = subprocess.run(
            [sys.executable, "-c", COUNT, folder, *more], cwd=PROJECT, capture_output=True, text=True
        )
        assert counted.returncode == 0, (counted.returncode, counted.stderr)
        assert (int(counted.stdout) > 0) is (is_full == "later")
