"""A real RabbitMQ (Debian's package), for one test session."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import psutil

from local import ports

SCRIPTS = Path("/usr/lib/rabbitmq/bin")
START_SECONDS_MAX = 90.0


def is_installed() -> bool:
    return (SCRIPTS / "rabbitmq-server").exists()


class RabbitMQ:
    """One node with its own folder and ports: a context manager."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port, self._dist_port, self._epmd_port = ports.choose(), ports.choose(), ports.choose()
        self.node = f"brokerage{self.port}@localhost"
        self.env = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(folder),
            "RABBITMQ_NODENAME": self.node,
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none",
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "plugins").write_text("[].\n")
        (self.folder / "rabbitmq.conf").write_text("heartbeat = 5\nloopback_users.guest = true\n")
        with open(self.folder / "output", "ab") as output:
            self._process = subprocess.Popen(
                [SCRIPTS / "rabbitmq-server"], env=self.env, stdout=output, stderr=output, start_new_session=True
            )
        deadline = time.monotonic() + START_SECONDS_MAX
        while not self.is_ready():
            assert time.monotonic() < deadline, (self.folder / "output").read_text()[-3000:]
            assert self._process.poll() is None, (self.folder / "output").read_text()[-3000:]
            time.sleep(0.3)

    def is_ready(self) -> bool:
        from local.valkey import answers

        return answers(self.url) is None

    def control(self, *arguments: str) -> str:
        """Run rabbitmqctl and return its output."""
        command = [str(SCRIPTS / "rabbitmqctl"), "-n", self.node, "-q", *arguments]
        return subprocess.run(command, env=self.env, check=True, capture_output=True, text=True).stdout

    def kill(self) -> None:
        """Kill the node with SIGKILL, and keep its data."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def __enter__(self) -> RabbitMQ:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        # The node has started Erlang's port mapper, which outlives it.
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get("ERL_EPMD_PORT") == self.env["ERL_EPMD_PORT"]:
                    process.kill()
