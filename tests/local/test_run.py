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

MakeBrokerage = Callable[..., Brokerage]


@pytest.fixture(scope="module")
def shared(project: Path) -> Iterator[Brokerage]:
    """Provide a running brokerage with two `web`; tests that share it leave it running normally."""
    with (
        tempfile.TemporaryDirectory(prefix="brokerage-test-") as folder,
        Brokerage(
            Path(folder) / "var", {"web": 2}, {"PROCFILE": str(project / "Procfile")}, is_prepared=False
        ) as brokerage,
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
        connection.execute("CREATE TABLE IF NOT EXISTS notes (value text)")
        connection.execute("INSERT INTO notes VALUES (%s)", [value])


def values_of(brokerage: Brokerage) -> list[str]:
    with psycopg.connect(brokerage.environment["MIGRATE_DATABASE_URL"]) as connection:
        return [row[0] for row in connection.execute("SELECT value FROM notes ORDER BY value")]


def is_available(brokerage: Brokerage, name: str) -> bool:
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
    """Return the line with which the brokerage refuses to start, and check that it prints nothing else."""
    process = brokerage.launch()
    assert process.wait(20) == 1
    lines = brokerage.output().splitlines()
    assert len(lines) == 1, lines
    return lines[0]


# -- while it runs


def test_every_process_runs_and_web_processes_listen_side_by_side(shared: Brokerage) -> None:
    expected = {"exchange.1", "lanes.1", "postgres", "runner", "supervisord", "sweep.1", "valkey", "web.1", "web.2"}
    assert set(shared.processes()) == expected
    pids = {get(url) for url in [*shared.web_urls, shared.exchange_url]}
    assert len(pids) == 3


def test_ready_is_printed_after_startup_and_each_line_names_its_process(shared: Brokerage) -> None:
    lines = shared.output().splitlines()
    assert lines[lines.index(f"Ready: {shared.url}") - 1].startswith("run ")
    assert any(re.fullmatch(r"web\.2 +\| helper \d+", line) for line in lines)
    assert any(re.fullmatch(r"run +\| PostgreSQL 18\.\d+ ready \(\d+\.\d s\)", line) for line in lines)


def test_each_process_has_its_own_log_without_prefixes(shared: Brokerage) -> None:
    for name in ("web.1", "web.2", "lanes.1", "sweep.1", "exchange.1", "postgres", "valkey"):
        assert (shared.data_dir / "log" / f"{name}.log").exists(), name
    assert "waiting" in (shared.data_dir / "log" / "lanes.1.log").read_text().splitlines()


def test_reset_removes_the_data_unless_it_is_in_use(brokerage: MakeBrokerage) -> None:
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
    for name in ("holiday.jpg", "letter.pdf", "resume.pdf"):  # the user's files, whose names resemble ours
        (stack.data_dir / name).touch()
        assert subprocess.run(command, cwd=PROJECT, env=stack.env, capture_output=True).returncode == 1
        assert (stack.data_dir / name).exists()
        (stack.data_dir / name).unlink()


def test_a_valkey_whose_data_is_damaged_starts_without_it(brokerage: MakeBrokerage) -> None:
    stack = brokerage()
    stack.start()
    stack.stop()
    (manifest,) = (stack.data_dir / "valkey" / "appendonlydir").glob("*.manifest")
    manifest.write_text("garbage\n")
    stack.start()
    assert "valkey's data was damaged and has been moved to" in stack.output()
    assert len(list(stack.data_dir.glob("valkey.damaged-*"))) == 1


def test_only_the_owner_can_read_the_environment(shared: Brokerage) -> None:
    for name in ("environment.json", "keys.json", "run/web.1.json", "valkey/valkey.conf"):
        assert (shared.data_dir / name).stat().st_mode & 0o077 == 0, name
    environment = running(shared.data_dir)
    assert environment["EXCHANGE_SECRET"].startswith("whsec_")
    assert environment["CALLBACK_URL"] == f"{shared.url}/exchange/callbacks"


def test_the_database_is_durable_and_uses_utc(shared: Brokerage) -> None:
    with psycopg.connect(shared.environment["DATABASE_URL"]) as connection:
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


def test_a_second_run_on_the_same_folder_is_refused(shared: Brokerage, tmp_path: Path) -> None:
    second = subprocess.run(
        [sys.executable, "-m", "local", "run"], cwd=PROJECT, env=shared.env, capture_output=True, text=True
    )
    assert second.returncode == 1
    assert len(second.stderr.splitlines()) == 1
    assert f"pid {shared.processes()['runner']}" in second.stderr


@pytest.mark.parametrize("name", ["web.1", "lanes.1", "sweep.1", "exchange.1", "valkey", "postgres"])
def test_a_killed_process_is_restarted_immediately(
    shared: Brokerage, name: str, record_property: Callable[[str, object], None]
) -> None:
    killed_pid = shared.processes()[name]
    os.kill(killed_pid, signal.SIGKILL)
    seconds = eventually(lambda: shared.processes().get(name, killed_pid) != killed_pid and is_available(shared, name))
    record_property("figures", f"{name} was killed, and worked again after {seconds:.1f} s")
    new_pid = shared.processes()[name]
    eventually(lambda: f"{name} died (SIGKILL); restarted as pid {new_pid}" in shared.output())
    shared.wait_ready()


def test_children_of_a_killed_process_do_not_outlive_it(shared: Brokerage) -> None:
    def helper_pid() -> int:
        return int(re.findall(r"web\.2 +\| helper (\d+)", shared.output())[-1])

    first_pid = helper_pid()
    os.kill(shared.processes()["web.2"], signal.SIGKILL)
    eventually(lambda: helper_pid() != first_pid)
    assert not is_alive(first_pid)
    shared.wait_ready()


def test_supervisord_is_started_again_with_all_its_processes(shared: Brokerage) -> None:
    write(shared, "supervised")
    before = shared.processes()
    shared.kill("supervisord")
    eventually(lambda: "supervisord died" in shared.output())
    shared.wait_ready()
    after = shared.processes()
    assert after.keys() == before.keys()
    assert {name for name, pid in after.items() if before[name] == pid} == {"runner"}
    assert not any(is_alive(pid) for name, pid in before.items() if name != "runner")
    assert "supervised" in values_of(shared)


# -- stopping and starting again


def test_after_killing_everything_the_next_run_continues_with_the_same_data(brokerage: MakeBrokerage) -> None:
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


def test_all_processes_end_when_the_runner_is_killed(brokerage: MakeBrokerage) -> None:
    stack = brokerage()
    stack.start()
    stack.kill("runner")
    eventually(lambda: not processes_of_folder(stack.data_dir))
    stack.start()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_everything_in_order_and_in_time(brokerage: MakeBrokerage, number: signal.Signals) -> None:
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


def test_a_second_signal_kills_a_process_that_ignores_the_first(brokerage: MakeBrokerage) -> None:
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


def test_a_signal_during_startup_stops_the_brokerage(brokerage: MakeBrokerage) -> None:
    stack = brokerage()
    process = stack.launch()
    time.sleep(0.7)
    process.send_signal(signal.SIGINT)
    assert process.wait(15) == 0
    assert "Traceback" not in stack.output()
    assert not processes_of_folder(stack.data_dir)


def test_interrupting_only_make_stops_the_brokerage(brokerage: MakeBrokerage, tmp_path: Path) -> None:
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


def test_a_long_data_folder_path_works(brokerage: MakeBrokerage, tmp_path: Path) -> None:
    stack = brokerage(tmp_path / ("long" * 25) / "%s and a space")
    stack.start()
    write(stack, "far away")
    assert values_of(stack) == ["far away"]


# -- errors are one clear line


def test_it_listens_on_the_address_in_bind(brokerage: MakeBrokerage) -> None:
    stack = brokerage(env={"BIND": "127.0.0.3"})
    stack.start()
    assert f"Ready: http://127.0.0.3:{stack.port}\n" in stack.output()
    with pytest.raises(OSError):
        urllib.request.urlopen(f"http://127.0.0.1:{stack.port}/", timeout=2)
    assert stack.environment["CALLBACK_URL"] == f"http://127.0.0.3:{stack.port}/exchange/callbacks"


@pytest.mark.parametrize(
    ("bind", "host"),
    [("", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("::1", "[::1]"), ("10.1.2.3", "10.1.2.3")],  # noqa: S104
)
def test_the_url_of_an_address_to_listen_on(bind: str, host: str) -> None:
    assert plan.read({"BIND": bind}, PROJECT).url == f"http://{host}:8000"


def test_a_taken_port_is_refused(brokerage: MakeBrokerage) -> None:
    stack = brokerage()
    with socket.create_server(("127.0.0.1", stack.port)):
        assert f"Port {stack.port} (for web.1) is in use" in startup_error(stack)
    with socket.create_server(("127.0.0.1", stack.exchange_port)):
        assert f"Port {stack.exchange_port} (for exchange.1) is in use" in startup_error(stack)


def test_data_of_another_postgresql_is_refused(brokerage: MakeBrokerage) -> None:
    stack = brokerage()
    data = stack.data_dir / "postgres"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("12\n")
    assert "was created by PostgreSQL 12, but this is 18" in startup_error(stack)


def test_a_folder_with_other_content_is_refused(brokerage: MakeBrokerage) -> None:
    stack = brokerage()
    data = stack.data_dir / "postgres"
    data.mkdir(parents=True)
    (data / "holiday.jpg").touch()
    assert "is not a PostgreSQL data folder" in startup_error(stack)


@pytest.mark.parametrize(
    ("variable", "url"),
    [("DATABASE_URL", "postgres://me:secret@127.0.0.1:9/x"), ("BROKER_URL", "redis://:secret@127.0.0.1:9/0")],
)
def test_a_server_that_does_not_answer_is_refused(brokerage: MakeBrokerage, variable: str, url: str) -> None:
    line = startup_error(brokerage(env={variable: url}))
    assert f"{variable} does not answer" in line
    assert "secret" not in line


@pytest.mark.parametrize(("variable", "value"), [("PORT", "http"), ("LANES", "0"), ("SCALE", "web=many")])
def test_an_invalid_value_is_refused(brokerage: MakeBrokerage, variable: str, value: str) -> None:
    assert variable in startup_error(brokerage(env={variable: value}))


def test_startup_fails_if_a_process_keeps_dying(brokerage: MakeBrokerage) -> None:
    stack = brokerage(procfile="web: python -c \"raise SystemExit('no luck')\"\n")
    process = stack.launch()
    assert process.wait(30) == 1
    lines = stack.output().splitlines()
    assert lines[-1] == "error: web.1 keeps dying; see its output above."
    assert any(re.fullmatch(r"web\.1 +\| no luck", line) for line in lines)
    assert not processes_of_folder(stack.data_dir)
