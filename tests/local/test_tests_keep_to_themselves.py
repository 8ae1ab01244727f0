"""Tests started beside a running brokerage leave it alone, or refuse to start."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from local.harness import Brokerage
from local.plan import PROJECT

pytestmark = pytest.mark.process

# A test that empties Valkey and the database if it is allowed to run.
TESTS = ["tests/brokerage/test_key_prefix.py", "-p", "no:cacheprovider"]
OWN_VARIABLES = ("BROKER_URL", "DATABASE_URL", "DATA_DIR", "SERVICES_DIR", "DISPOSABLE_SERVICES", "KEY_PREFIX")


@pytest.fixture(scope="module")
def running(project: Path) -> Iterator[Brokerage]:
    folder = Path(tempfile.mkdtemp(prefix="brokerage-test-"))
    try:
        with Brokerage(folder / "var", env={"PROCFILE": str(project / "Procfile")}) as brokerage:
            yield brokerage
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run_tests(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {
        name: value for name, value in os.environ.items() if name not in OWN_VARIABLES and not name.startswith("PYTEST")
    }
    return subprocess.run(
        [*command, *TESTS], cwd=PROJECT, env=inherited | environment, capture_output=True, text=True, timeout=300
    )


@pytest.mark.parametrize("found_by", ["DATA_DIR", "the environment", "with-services"])
def test_beside_a_running_brokerage_pytest_refuses_in_one_line(running: Brokerage, found_by: str) -> None:
    environment = {"DATA_DIR": str(running.data_dir)}
    command = [str(Path(sys.executable).parent / "pytest")]
    if found_by != "DATA_DIR":
        environment = {name: running.environment[name] for name in ("DATABASE_URL", "BROKER_URL", "DATA_DIR")}
    if found_by == "with-services":
        command = [sys.executable, "-m", "local", "with-services", "--", *command]
    with redis.Redis.from_url(running.environment["BROKER_URL"], decode_responses=True) as valkey:
        valkey.set("bell:lane-00", "1")
        refused = run_tests(*command, **environment)
        assert valkey.get("bell:lane-00") == "1"
    assert refused.returncode == 4  # pytest's code for a usage error
    assert refused.stdout == ""
    (line,) = refused.stderr.strip().splitlines()
    assert line.startswith("ERROR: Tests empty the database and the Valkey they run on. Use `make quick`")


def test_tests_with_their_own_services_leave_the_brokerage_alone(running: Brokerage) -> None:
    with redis.Redis.from_url(running.environment["BROKER_URL"], decode_responses=True) as valkey:
        valkey.set("bell:lane-00", "1")
        program = str(Path(sys.executable).parent / "pytest")
        process = run_tests(sys.executable, "-m", "local", "with-services", "--no-fsync", "--", program, "-n", "2")
        assert valkey.get("bell:lane-00") == "1"
    assert (process.returncode, process.stderr) == (0, "")
    assert "1 passed" in process.stdout
