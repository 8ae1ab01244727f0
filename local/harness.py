"""The real `python -m local run` under the control of a test, or of the fault suite."""

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

from local import ports, supervision
from local.environment import NotRunning, running
from local.orphans import end, of_folder
from local.plan import PROJECT
from local.ports import LOOPBACK
from local.ready import answers
from local.run import STOP_SECONDS_MAX

START_SECONDS_MAX = 120.0
READY_SECONDS_MAX = 30.0
OWN = (
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
"""What a brokerage makes for itself, and must not take from a test's environment."""


class NotReady(Exception):
    """It did not get ready; the message ends with the last lines of its log."""


class Brokerage:
    """A brokerage on a data folder of its own and on free ports; a context manager that starts and stops it.

    The ports stay the same when it is started again.
    """

    def __init__(
        self, data_dir: Path, scale: Mapping[str, int] | None = None, env: Mapping[str, str] | None = None
    ) -> None:
        self.data_dir = data_dir.resolve()
        self.scale = dict(scale or {})
        self.log = self.data_dir / "log" / "run.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.port = ports.choose(self.scale.get("web", 1))
        self.exchange_port = ports.choose(avoid=range(self.port, self.port + 100))
        self.stream_port = ports.choose(
            self.scale.get("stream", 1), [*range(self.port, self.port + 100), self.exchange_port]
        )
        self.env = {
            **{name: value for name, value in os.environ.items() if name not in OWN},
            "DATA_DIR": str(self.data_dir),
            "PORT": str(self.port),
            "EXCHANGE_PORT": str(self.exchange_port),
            "STREAM_PORT": str(self.stream_port),
            "SCALE": ",".join(f"{kind}={count}" for kind, count in self.scale.items()),
            **(env or {}),
        }

    # -- starting and stopping

    def start(self) -> None:
        """Start it and wait until it says that it is ready. Raises NotReady, with nothing left running."""
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
        """Start it and return at once. What was started earlier has to have ended, or does so now."""
        if self.process is not None:
            self.process.wait(STOP_SECONDS_MAX)
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
        """End it as SIGTERM does; returns its exit code. What doesn't end in time is killed. Repeating is harmless."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_SECONDS_MAX + 5)
            except subprocess.TimeoutExpired:
                self.kill_everything()
        end(of_folder(self.data_dir))
        return self.process.wait()

    def __enter__(self) -> Brokerage:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    # -- where it is

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def web_urls(self) -> list[str]:
        """Each `web` process's own address."""
        return [f"http://{LOOPBACK}:{self.port + number}" for number in range(self.scale.get("web", 1))]

    @property
    def exchange_url(self) -> str:
        return self.environment["EXCHANGE_URL"]

    @property
    def environment(self) -> dict[str, str]:
        """What its processes have, and MIGRATE_DATABASE_URL. Raises NotRunning."""
        return running(self.data_dir)

    def output(self) -> str:
        """All that it has written since it was started."""
        return self.log.read_text(errors="replace")

    # -- looking and breaking

    def processes(self) -> dict[str, int]:
        """The pids of what runs, by name: web.1 …, postgres, valkey, supervisord and runner. Raises NotRunning."""
        environment = self.environment
        socket = Path(environment["SUPERVISOR_SOCKET"])
        try:
            found = supervision.processes(socket)
            supervisord = int(supervision.call(socket, "getPID"))
        except OSError as error:
            raise NotRunning(f"supervisord of {self.data_dir} does not answer: {error}") from error
        return {**found, "supervisord": supervisord, "runner": int(environment["RUNNER_PID"])}

    def kill(self, name: str, number: int = signal.SIGKILL) -> int:
        """Send a signal to a process and to all that it started; returns its pid. Raises KeyError, NotRunning.

        For supervisord and the runner, which started everything, only to that one.
        """
        pid = self.processes()[name]
        if name in {"supervisord", "runner"}:
            os.kill(pid, number)
            return pid
        _send_to_tree(pid, number)
        return pid

    def kill_everything(self) -> None:
        """kill -9 of the whole tree, as a power cut would."""
        if self.process is not None:
            _send_to_tree(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def wait_ready(self, seconds_max: float = READY_SECONDS_MAX) -> float:
        """Wait until every `web` and the exchange answer; returns the seconds that it took. Raises NotReady."""
        began = time.monotonic()
        targets: list[tuple[int, str]] = [(self.port + n, "/readyz") for n in range(self.scale.get("web", 1))]
        if "EXCHANGE_URL" not in self.env:
            targets.append((self.exchange_port, "/healthz"))
        while waiting := [target for target in targets if not answers(*target)]:
            if time.monotonic() - began > seconds_max:
                raise NotReady(f"{waiting} did not answer in {seconds_max:.0f} s:\n{self.output()[-4000:]}")
            targets = waiting
            time.sleep(0.05)
        return time.monotonic() - began

    def manage(self, *arguments: str, timeout: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Run a manage.py command beside it, as an operator would."""
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=PROJECT,
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
        )


def _send_to_tree(pid: int, number: int) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        main = psutil.Process(pid)
        for process in [main, *main.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)
