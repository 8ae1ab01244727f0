"""Runs the real `python -m local run` for a test, the benchmark or the fault suite."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import psutil

from local import ports, prepared_data, supervision
from local.environment import NotRunning, running
from local.orphans import end, processes_of_folder
from local.plan import PROJECT
from local.ready import answers
from local.run import STOP_SECONDS_MAX

START_SECONDS_MAX = 300.0
"""A busy machine takes minutes; a brokerage that can't start ends by itself."""
READY_SECONDS_MAX = 120.0
USUAL_BOOT_SECONDS = 1.25
"""How long `manage.py version` takes on an idle machine of the kind that the fault suite was written on."""
OWN_VARIABLES = (
    "DATABASE_URL",
    "MIGRATE_DATABASE_URL",
    "BROKER_URL",
    "CACHE_URL",
    "KEY_PREFIX",
    "EXCHANGE_URL",
    "CALLBACK_URL",
    "EXCHANGE_SECRET",
    "SECRET_KEY",
    "DEMO",
    "PROCESS_NAME",
)
"""Variables that a brokerage sets for itself and must not inherit from a test's environment."""

FRUGAL = {"WEB_WORKERS": "1", "CHARTS_SECONDS": "3600"}
"""Settings with which a brokerage takes less of the machine: else the charts of all stocks are read for minutes."""


class NotReady(Exception):
    """The brokerage didn't become ready; the message ends with the last lines of its log."""


class Brokerage:
    """A context manager that runs a brokerage on its own data folder and free ports.

    The ports stay the same after a restart. `is_prepared`: whether a new data folder begins with copies of
    a migrated database and of static files; otherwise its first start makes them, as that of `make run` does.
    """

    def __init__(
        self,
        data_dir: Path,
        scale: Mapping[str, int] | None = None,
        env: Mapping[str, str] | None = None,
        *,
        is_prepared: bool = True,
    ) -> None:
        self.data_dir = data_dir.resolve()
        self.scale = dict(scale or {})
        self.is_prepared = is_prepared
        self.log = self.data_dir / "log" / "run.log"
        self.process: subprocess.Popen[bytes] | None = None
        webs = self.scale.get("web", 1)
        self.port = ports.choose(2 * webs)
        self.health_port = self.port + webs
        self.exchange_port = ports.choose(avoid=range(self.port, self.port + 100))
        self.stream_port = ports.choose(
            self.scale.get("stream", 1), [*range(self.port, self.port + 100), self.exchange_port]
        )
        self.env = {
            **{name: value for name, value in os.environ.items() if name not in OWN_VARIABLES},
            "DATA_DIR": str(self.data_dir),
            "PORT": str(self.port),
            "HEALTH_PORT": str(self.health_port),
            "EXCHANGE_PORT": str(self.exchange_port),
            "STREAM_PORT": str(self.stream_port),
            "SCALE": ",".join(f"{kind}={count}" for kind, count in self.scale.items()),
            **(env or {}),
        }

    # -- starting and stopping

    def start(self) -> None:
        """Start the brokerage and wait until it prints `Ready:`. Raises NotReady, with nothing left running."""
        process = self.launch()
        deadline = time.monotonic() + START_SECONDS_MAX
        while f"Ready: {self.url}\n" not in self.output():
            code = process.poll()
            if code is not None or time.monotonic() > deadline:
                output = self.output()
                self.stop()
                raise NotReady(f"the brokerage is not ready (exit code {code}):\n{output[-4000:]}")
            time.sleep(0.05)

    def launch(self) -> subprocess.Popen[bytes]:
        """Start the brokerage and return without waiting for it. Waits for an earlier run that is still ending."""
        if self.process is not None:
            self.process.wait(STOP_SECONDS_MAX)
        if self.is_prepared and "DATABASE_URL" not in self.env:
            prepared_data.prepare(self.data_dir)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "local", "run"],
                cwd=PROJECT,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self.process

    def stop(self) -> int:
        """Stop the brokerage with SIGTERM, kill what doesn't end in time, and return the exit code. Idempotent."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_SECONDS_MAX + 5)
            except subprocess.TimeoutExpired:
                self.kill_everything()
        end(processes_of_folder(self.data_dir))
        return self.process.wait()

    def __enter__(self) -> Brokerage:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    # -- addresses and environment

    @property
    def host(self) -> str:
        """The host of `web` and `stream`."""
        return ports.host_of(self.env.get("BIND", ""))

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def web_urls(self) -> list[str]:
        """The address of each `web` process."""
        return [f"http://{self.host}:{self.port + number}" for number in range(self.scale.get("web", 1))]

    @property
    def exchange_url(self) -> str:
        return self.environment["EXCHANGE_URL"]

    @property
    def environment(self) -> dict[str, str]:
        """The environment of its processes, plus MIGRATE_DATABASE_URL. Raises NotRunning."""
        return running(self.data_dir)

    def output(self) -> str:
        """Return everything that it has printed since it was started."""
        return self.log.read_text(errors="replace")

    # -- processes

    def processes(self) -> dict[str, int]:
        """Return pids by process name: web.1 …, postgres, valkey, supervisord and runner. Raises NotRunning."""
        environment = self.environment
        socket = Path(environment["SUPERVISOR_SOCKET"])
        try:
            found = supervision.processes(socket)
            supervisord = int(supervision.call(socket, "getPID"))
        except OSError as error:
            raise NotRunning(f"supervisord of {self.data_dir} does not answer: {error}") from error
        return {**found, "supervisord": supervisord, "runner": int(environment["RUNNER_PID"])}

    def kill(self, name: str, number: int = signal.SIGKILL) -> int:
        """Send a signal to a process and its descendants, and return its pid. Raises KeyError, NotRunning.

        supervisord and the runner started everything, so they alone get the signal.
        """
        pid = self.processes()[name]
        if name in {"supervisord", "runner"}:
            os.kill(pid, number)
            return pid
        _send_to_tree(pid, number)
        return pid

    def kill_everything(self) -> None:
        """Kill the whole process tree with SIGKILL, as a power failure would."""
        if self.process is not None:
            _send_to_tree(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def wait_ready(self, seconds_max: float = READY_SECONDS_MAX) -> float:
        """Wait until every `web` and the exchange answer; return the seconds that took. Raises NotReady."""
        began = time.monotonic()
        targets = [(self.port + n, "/readyz", self.host) for n in range(self.scale.get("web", 1))]
        if "EXCHANGE_URL" not in self.env:
            targets.append((self.exchange_port, "/healthz", ports.LOOPBACK))
        while waiting := [target for target in targets if not answers(*target)]:
            if time.monotonic() - began > seconds_max:
                raise NotReady(f"{waiting} did not answer in {seconds_max:.0f} s:\n{self.output()[-4000:]}")
            targets = waiting
            time.sleep(0.05)
        return time.monotonic() - began

    def manage(self, *arguments: str, timeout: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Run a manage.py command against the brokerage, as an operator would."""
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=PROJECT,
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    def pace(self) -> float:
        """Return how many times longer than usual a process takes to start here and now, at least 1.0.

        A fault suite that kills processes every second or two spaces them by this, or on a slow machine none would
        live long enough to work.
        """
        began = time.monotonic()
        self.manage("version")
        return max(1.0, round((time.monotonic() - began) / USUAL_BOOT_SECONDS, 1))


def _send_to_tree(pid: int, number: int) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        main = psutil.Process(pid)
        for process in [main, *main.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)
