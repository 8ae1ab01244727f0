"""The brokerage on one machine: it starts, recovers, continues after a crash, and cleans up."""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from local import plan, ports
from local.environment import NotRunning, running
from local.harness import Brokerage
from local.orphans import processes_of_folder
from local.plan import PROJECT

pytestmark = pytest.mark.process

Make = Callable[..., Brokerage]


@pytest.fixture(scope="module")
def up(project: Path) -> Iterator[Brokerage]:
    """Provide a running brokerage with two `web`; tests that share it leave it running normally."""
    with (
        tempfile.TemporaryDirectory(prefix="brokerage-test-") as folder,
        Brokerage(Path(folder) / "var", {"web": 2}, {"PROCFILE": str(project / "Procfile")}) as brokerage,
    ):
        yield brokerage


def eventually(condition: Callable[[], object], seconds_max: float = 10.0) -> float:
    """Wait until the condition is true; return the seconds that it took."""
    started_at = time.monotonic()
    while not condition():
        assert time.monotonic() - started_at < seconds_max, f"not true within {seconds_max} s"
        time.sleep(0.02)
    return time.monotonic() - started_at


def write(brokerage: Brokerage, value: str) -> None:
    with psycopg.connect(brokerage.environment["MIGRATE_DATABASE_URL"]) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (value text)")
        connection.execute("INSERT INTO kept VALUES (%s)", [value])


def values_of(brokerage: Brokerage) -> list[str]:
    with psycopg.connect(brokerage.environment["MIGRATE_DATABASE_URL"]) as connection:
        return [row[0] for row in connection.execute("SELECT value FROM kept ORDER BY value")]


def answers_again(brokerage: Brokerage, name: str) -> bool:
    try:
        if name == "postgres":
            psycopg.connect(brokerage.environment["DATABASE_URL"]).close()
        elif name == "valkey":
            redis.Redis.from_url(brokerage.environment["BROKER_URL"]).ping()
    except (psycopg.OperationalError, redis.RedisError):
        return False
    return True


def get(url: str) -> bytes:
    with urllib.request.urlopen(url) as response:  # noqa: S310 (ours)
        return bytes(response.read())


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def startup_error(brokerage: Brokerage) -> str:
    """Return the error line with which it refuses to start, and check that it prints nothing else."""
    process = brokerage.launch()
    assert process.wait(20) == 1
    lines = brokerage.output().splitlines()
    assert len(lines) == 1, lines
    return lines[0]


# -- while it runs


def test_every_process_runs_and_web_processes_listen_side_by_side(up: Brokerage) -> None:
    expected = {"exchange.1", "lanes.1", "postgres", "runner", "supervisord", "sweep.1", "valkey", "web.1", "web.2"}
    assert set(up.processes()) == expected
    answered = {get(url) for url in [*up.web_urls, up.exchange_url]}
    assert len(answered) == 3


def test_ready_is_printed_last_and_lines_name_their_process(up: Brokerage) -> None:
    lines = up.output().splitlines()
    assert lines[lines.index(f"Ready: {up.url}") - 1].startswith("run ")
    assert any(re.fullmatch(r"web\.2 +\| helper \d+", line) for line in lines)
    assert any(re.fullmatch(r"run +\| PostgreSQL 18\.\d+ ready \(\d+\.\d s\)", line) for line in lines)


def test_each_process_has_a_log_of_its_own_without_prefixes(up: Brokerage) -> None:
    for name in ("web.1", "web.2", "lanes.1", "sweep.1", "exchange.1", "postgres", "valkey"):
        assert (up.data_dir / "log" / f"{name}.log").exists(), name
    assert "waiting" in (up.data_dir / "log" / "lanes.1.log").read_text().splitlines()


def test_reset_removes_the_data_unless_it_is_in_use(brokerage: Make) -> None:
    stack = brokerage()
    command = [sys.executable, "-m", "local", "reset"]
    stack.start()
    refused_reset = subprocess.run(command, cwd=PROJECT, env=stack.env, capture_output=True, text=True)
    assert (refused_reset.returncode, refused_reset.stderr[:26]) == (1, "error: A brokerage is alre")
    stack.stop()
    assert stack.data_dir.exists()
    assert subprocess.run(command, cwd=PROJECT, env=stack.env, capture_output=True).returncode == 0
    assert not stack.data_dir.exists()
    stack.data_dir.mkdir()
    for name in ("holiday.jpg", "letter.pdf", "resume.pdf"):  # files of the user's, whose names resemble ours
        (stack.data_dir / name).touch()
        assert subprocess.run(command, cwd=PROJECT, env=stack.env, capture_output=True).returncode == 1
        assert (stack.data_dir / name).exists()
        (stack.data_dir / name).unlink()


def test_a_valkey_whose_data_is_damaged_starts_without_it(brokerage: Make) -> None:
    stack = brokerage()
    stack.start()
    stack.stop()
    (manifest,) = (stack.data_dir / "valkey" / "appendonlydir").glob("*.manifest")
    manifest.write_text("garbage\n")
    stack.start()
    assert "valkey's data was damaged and has been moved to" in stack.output()
    assert len(list(stack.data_dir.glob("valkey.damaged-*"))) == 1


def test_the_environment_is_for_the_owner_alone(up: Brokerage) -> None:
    for name in ("environment.json", "keys.json", "run/web.1.json", "valkey/valkey.conf"):
        assert (up.data_dir / name).stat().st_mode & 0o077 == 0, name
    environment = running(up.data_dir)
    assert environment["EXCHANGE_SECRET"].startswith("whsec_")
    assert environment["CALLBACK_URL"] == f"{up.url}/exchange/callbacks"


def test_the_database_is_durable_and_uses_utc(up: Brokerage) -> None:
    with psycopg.connect(up.environment["DATABASE_URL"]) as connection:
        for name, value in {
            "fsync": "on",
            "synchronous_commit": "on",
            "full_page_writes": "on",
            "data_checksums": "on",
            "TimeZone": "UTC",
            "server_encoding": "UTF8",
            "is_superuser": "off",
        }.items():
            assert connection.execute(f"SHOW {name}").fetchone() == (value,), name


def test_a_second_run_on_the_same_folder_is_refused(up: Brokerage, tmp_path: Path) -> None:
    second = subprocess.run(
        [sys.executable, "-m", "local", "run"], cwd=PROJECT, env=up.env, capture_output=True, text=True
    )
    assert second.returncode == 1
    assert len(second.stderr.splitlines()) == 1
    assert f"pid {up.processes()['runner']}" in second.stderr


@pytest.mark.parametrize("name", ["web.1", "lanes.1", "sweep.1", "exchange.1", "valkey", "postgres"])
def test_killed_processes_are_restarted_at_once(
    up: Brokerage, name: str, record_property: Callable[[str, object], None]
) -> None:
    before = up.processes()[name]
    os.kill(before, signal.SIGKILL)
    seconds = eventually(lambda: up.processes().get(name, before) != before and answers_again(up, name))
    record_property("figures", f"{name} was killed, and works again after {seconds:.1f} s")
    after = up.processes()[name]
    eventually(lambda: f"{name} died (SIGKILL); restarted as pid {after}" in up.output())
    up.wait_ready()


def test_children_of_a_killed_process_do_not_outlive_it(up: Brokerage) -> None:
    def helper() -> int:
        return int(re.findall(r"web\.2 +\| helper (\d+)", up.output())[-1])

    first = helper()
    os.kill(up.processes()["web.2"], signal.SIGKILL)
    eventually(lambda: helper() != first)
    assert not is_alive(first)
    up.wait_ready()


def test_supervisord_is_started_again_with_all_its_processes(up: Brokerage) -> None:
    write(up, "supervised")
    before = up.processes()
    up.kill("supervisord")
    eventually(lambda: "supervisord died" in up.output())
    up.wait_ready()
    after = up.processes()
    assert after.keys() == before.keys()
    assert {name for name, pid in after.items() if before[name] == pid} == {"runner"}
    assert not any(is_alive(pid) for name, pid in before.items() if name != "runner")
    assert "supervised" in values_of(up)


# -- stopping and starting again


def test_after_killing_everything_the_next_run_continues_with_the_same_data(brokerage: Make) -> None:
    stack = brokerage()
    stack.start()
    write(stack, "before")
    urls = stack.environment["DATABASE_URL"], stack.environment["BROKER_URL"]
    stack.kill_everything()
    with pytest.raises(NotRunning):
        running(stack.data_dir)
    started_at = time.monotonic()
    stack.start()
    assert time.monotonic() - started_at < 15
    assert values_of(stack) == ["before"]
    assert (stack.environment["DATABASE_URL"], stack.environment["BROKER_URL"]) == urls


def test_everything_ends_when_the_runner_is_killed(brokerage: Make) -> None:
    stack = brokerage()
    stack.start()
    stack.kill("runner")
    eventually(lambda: not processes_of_folder(stack.data_dir))
    stack.start()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_everything_in_order_and_in_time(brokerage: Make, number: signal.Signals) -> None:
    stack = brokerage()
    stack.start()
    assert stack.process is not None
    stack.process.send_signal(number)
    assert stack.process.wait(15) == 0
    assert not processes_of_folder(stack.data_dir)
    assert "Traceback" not in stack.output()
    assert "database system is shut down" in (stack.data_dir / "log" / "postgres.log").read_text()
    stopped = re.findall(r"stopped: (\S+)", (stack.data_dir / "log" / "supervisord.log").read_text())
    assert stopped[-2:] == ["valkey", "postgres"]
    assert all(map(ports.is_free, (stack.port, stack.exchange_port)))


def test_a_stubborn_process_is_killed_and_a_second_signal_speeds_up(brokerage: Make) -> None:
    stubborn = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(1000)"
    stack = brokerage(procfile=f'sweep: python -c "{stubborn}"\n')
    stack.start()
    assert stack.process is not None
    time.sleep(0.5)
    stack.process.send_signal(signal.SIGINT)
    eventually(lambda: "stopping" in stack.output())
    started_at = time.monotonic()
    stack.process.send_signal(signal.SIGINT)
    assert stack.process.wait(15) == 0
    assert time.monotonic() - started_at < 4
    assert not processes_of_folder(stack.data_dir)


def test_a_signal_while_it_starts_ends_it_too(brokerage: Make) -> None:
    stack = brokerage()
    process = stack.launch()
    time.sleep(0.7)
    process.send_signal(signal.SIGINT)
    assert process.wait(15) == 0
    assert "Traceback" not in stack.output()
    assert not processes_of_folder(stack.data_dir)


def test_interrupting_only_make_stops_it_too(brokerage: Make, tmp_path: Path) -> None:
    stack = brokerage()
    makefile = tmp_path / "Makefile"
    makefile.write_text(f"run:\n\t@exec {sys.executable} -m local run\n")
    with open(tmp_path / "output", "wb") as output:
        make = subprocess.Popen(
            ["make", "-f", str(makefile), "run"], cwd=PROJECT, env=stack.env, stdout=output, stderr=output
        )
    eventually(lambda: "Ready: " in (tmp_path / "output").read_text(), 30)
    make.send_signal(signal.SIGINT)
    make.wait(15)
    assert not processes_of_folder(stack.data_dir)


def test_a_long_data_folder_path_works(brokerage: Make, tmp_path: Path) -> None:
    stack = brokerage(tmp_path / ("long" * 25) / "%s and a space")
    stack.start()
    write(stack, "far away")
    assert values_of(stack) == ["far away"]


# -- errors are one clear line


def test_it_is_ready_where_bind_says(brokerage: Make) -> None:
    run = brokerage(env={"BIND": "127.0.0.3"})
    run.start()
    assert f"Ready: http://127.0.0.3:{run.port}\n" in run.output()
    with pytest.raises(OSError):
        urllib.request.urlopen(f"http://127.0.0.1:{run.port}/", timeout=2)
    assert run.environment["CALLBACK_URL"] == f"http://127.0.0.3:{run.port}/exchange/callbacks"


@pytest.mark.parametrize(
    ("bind", "host"),
    [("", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("::1", "[::1]"), ("10.1.2.3", "10.1.2.3")],  # noqa: S104
)
def test_the_url_of_an_address_to_listen_on(bind: str, host: str) -> None:
    assert plan.read({"BIND": bind}, PROJECT).url == f"http://{host}:8000"


def test_a_taken_port_is_refused(brokerage: Make) -> None:
    stack = brokerage()
    with socket.create_server(("127.0.0.1", stack.port)):
        assert f"Port {stack.port} (for web.1) is in use" in startup_error(stack)
    with socket.create_server(("127.0.0.1", stack.exchange_port)):
        assert f"Port {stack.exchange_port} (for exchange.1) is in use" in startup_error(stack)


def test_data_of_another_postgresql_is_refused(brokerage: Make) -> None:
    stack = brokerage()
    data = stack.data_dir / "postgres"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("12\n")
    assert "was created by PostgreSQL 12, but this is 18" in startup_error(stack)


def test_a_folder_with_other_content_is_refused(brokerage: Make) -> None:
    stack = brokerage()
    data = stack.data_dir / "postgres"
    data.mkdir(parents=True)
    (data / "holiday.jpg").touch()
    assert "is not a PostgreSQL data folder" in startup_error(stack)


@pytest.mark.parametrize(
    ("variable", "url"),
    [("DATABASE_URL", "postgres://me:secret@127.0.0.1:9/x"), ("BROKER_URL", "redis://:secret@127.0.0.1:9/0")],
)
def test_a_server_that_does_not_answer_is_refused(brokerage: Make, variable: str, url: str) -> None:
    line = startup_error(brokerage(env={variable: url}))
    assert f"{variable} does not answer" in line
    assert "secret" not in line


@pytest.mark.parametrize(("variable", "value"), [("PORT", "http"), ("LANES", "0"), ("SCALE", "web=many")])
def test_an_invalid_value_is_refused(brokerage: Make, variable: str, value: str) -> None:
    assert variable in startup_error(brokerage(env={variable: value}))


def test_a_process_that_keeps_dying_stops_the_start(brokerage: Make) -> None:
    stack = brokerage(procfile="web: python -c \"raise SystemExit('no luck')\"\n")
    process = stack.launch()
    assert process.wait(30) == 1
    lines = stack.output().splitlines()
    assert lines[-1] == "error: web.1 keeps dying; see its output above."
    assert any(re.fullmatch(r"web\.1 +\| no luck", line) for line in lines)
    assert not processes_of_folder(stack.data_dir)
