"""A full disk: `make run` says so in one line; while it runs, what can't be kept is refused, and nothing is lost."""

import json
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import urllib3

from local.harness import Brokerage

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(
        subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode != 0,
        reason="mounting a file system needs to be root",
    ),
]
TOO_SMALL_MB, SMALL_MB = 20, 400
BACK_SECONDS_MAX, DEPOSITS = 60.0, 60
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
    """Write until nothing more fits; return the file that takes the space."""
    path = folder / "filling"
    with open(path, "wb", buffering=0) as file:
        try:
            while file.write(bytes(65_536)):
                pass
        except OSError as error:
            assert error.strerror == NO_SPACE
    return path


def test_a_disk_too_small_for_a_new_database_is_told_in_one_line() -> None:
    with disk(TOO_SMALL_MB) as folder:
        it = Brokerage(folder / "var")
        assert it.launch().wait(60) == 1
        lines = it.output().splitlines()
        assert len(lines) == 1, lines
        assert lines[0].startswith("error: ")
        assert NO_SPACE in lines[0]
        it.stop()


def test_a_disk_that_fills_up_loses_nothing_and_serves_again_when_there_is_space() -> None:
    with disk(SMALL_MB) as folder, Brokerage(folder / "var") as brokerage:
        made = json.loads(
            brokerage.manage("create_customer", "full@example.com", "--password", "a long enough one", "--json").stdout
        )
        headers = {"Authorization": f"Bearer {made['token']}"}

        def deposit(key: str) -> int:
            """Deposit a dollar, once for each key; the status, or 0 where the connection broke."""
            try:
                return urllib3.request(
                    "POST",
                    f"{brokerage.url}/api/v1/deposits",
                    json={"amount": "1.00"},
                    headers=headers | {"Idempotency-Key": key},
                    retries=False,
                    timeout=30,
                ).status
            except urllib3.exceptions.HTTPError:
                return 0

        assert deposit("first") == 201
        filling = fill(folder)
        keys = [f"full-{number}" for number in range(DEPOSITS)]
        statuses = [deposit(key) for key in keys]
        assert set(statuses) <= {0, 201, 503}
        assert set(statuses) != {201}
        filling.unlink()
        deadline = time.monotonic() + BACK_SECONDS_MAX
        for key in keys:
            while deposit(key) not in {200, 201}:
                assert time.monotonic() < deadline, brokerage.output()[-3000:]
                time.sleep(0.5)
        told = urllib3.request("GET", f"{brokerage.url}/api/v1/balance", headers=headers).json()
        assert float(told["amount"]) == 1 + DEPOSITS, "each was made once"
        audited = brokerage.manage("audit_books")
        assert audited.returncode == 0, audited.stderr
