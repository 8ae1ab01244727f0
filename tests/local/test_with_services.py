"""Running a command with its own servers."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from local.harness import OWN_VARIABLES
from local.plan import PROJECT

pytestmark = pytest.mark.process

QUERY_SERVERS = """\
import os, psycopg, redis
with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
    print(connection.execute("SHOW fsync").fetchone()[0])
print(redis.Redis.from_url(os.environ["BROKER_URL"]).ping())
print(os.environ["DATA_DIR"])
raise SystemExit(7)
"""
ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in OWN_VARIABLES}


def with_services(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "local", "with-services", *arguments],
        cwd=PROJECT,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def is_used(folder: str) -> bool:
    for process in psutil.process_iter():
        try:
            if process.cwd().startswith(folder):
                return True
        except psutil.Error:
            continue
    return False


@pytest.mark.parametrize(("flags", "fsync"), [([], "on"), (["--no-fsync"], "off")])
def test_a_command_gets_both_servers_and_its_exit_code_is_returned(flags: list[str], fsync: str) -> None:
    process = with_services(*flags, "--", sys.executable, "-c", QUERY_SERVERS)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (7, "")
    lines = out.split()
    assert lines[:2] == [fsync, "True"]
    assert not Path(lines[2]).exists()
    assert not is_used(lines[2])


def test_a_signal_ends_the_command_and_everything_is_removed() -> None:
    code = "import os, time; print(os.environ['DATA_DIR'], flush=True); time.sleep(1000)"
    process = with_services("--", sys.executable, "-c", code)
    assert process.stdout is not None
    folder = process.stdout.readline().strip()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=15)
    assert process.returncode == 128 + signal.SIGTERM
    assert not Path(folder).exists()
    assert not is_used(folder)


def test_the_servers_end_if_with_services_is_killed() -> None:
    code = "import os, time; print(os.environ['DATA_DIR'], flush=True); time.sleep(2)"
    process = with_services("--", sys.executable, "-c", code)
    assert process.stdout is not None
    folder = process.stdout.readline().strip()
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 10
    while is_used(folder) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_used(folder)


def test_a_missing_command_is_reported_in_one_line() -> None:
    process = with_services("--", "no-such-command")
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (1, "")
    assert err == "error: Can't run no-such-command: No such file or directory\n"
