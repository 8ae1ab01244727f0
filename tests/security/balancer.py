"""HAProxy with the unmodified deploy/haproxy.cfg, in front of two real `web` processes."""

from __future__ import annotations

import csv
import grp
import os
import pwd
import shutil
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from local.plan import PROJECT
from local.ports import LOOPBACK

BINARY = shutil.which("haproxy", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
CONFIGURATION = PROJECT / "deploy/haproxy.cfg"


class Balancer:
    """HAProxy with the configuration that we ship, completed with the test's addresses."""

    def __init__(self, folder: Path, port: int, **more: str) -> None:
        self.port, self._folder, self._more = port, folder, more
        self._socket = folder / "stats"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    def start(self, web: list[str], health_port: int, stream: str) -> None:
        """Start HAProxy in front of these processes, and wait until its health checks find each `web` up.

        `health_port`: the first `web`'s port for health checks; the second one's is the next.
        """
        addresses = {
            "LISTEN": f"{LOOPBACK}:{self.port}",
            "WEB_1": web[0],
            "WEB_2": web[1],
            "HEALTH_1": str(health_port),
            "HEALTH_2": str(health_port + 1),
            "STREAM_1": stream,
            "INSIDE": LOOPBACK,
            "EXCHANGE": LOOPBACK,
            "STATS_SOCKET": str(self._socket),
            "RUN_USER": pwd.getpwuid(os.getuid()).pw_name,
            "RUN_GROUP": grp.getgrgid(os.getgid()).gr_name,
        } | self._more
        with open(self._folder / "haproxy.log", "wb") as log:
            self._process = subprocess.Popen(
                [str(BINARY), "-db", "-f", str(CONFIGURATION)], env=os.environ | addresses, stdout=log, stderr=log
            )
        wait_until(lambda: self._socket.exists() and set(self.states().values()) == {"UP"}, explain=self.log)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._socket.unlink(missing_ok=True)

    def log(self) -> str:
        return (self._folder / "haproxy.log").read_text(errors="replace")[-3000:]

    def states(self) -> dict[str, str]:
        """Return each `web`'s state according to the health checks."""
        return {row["svname"]: row["status"].split()[0] for row in self._rows("web")}

    def served(self) -> Counter[str]:
        """Return how many requests each `web` has received so far."""
        return Counter({row["svname"]: int(row["stot"]) for row in self._rows("web")})

    def concurrent_requests_max(self, backend: str) -> int:
        """Return the most concurrent requests of a backend that any `web` has had."""
        return max(int(row["smax"]) for row in self._rows(backend))

    def _rows(self, backend: str) -> list[dict[str, str]]:
        with socket.socket(socket.AF_UNIX) as stats:
            stats.connect(str(self._socket))
            stats.sendall(b"show stat\n")
            table = b"".join(iter(lambda: stats.recv(65536), b"")).decode()
        rows = list(csv.DictReader(table.removeprefix("# ").splitlines()))
        return [row for row in rows if row["pxname"] == backend and row["svname"] != "BACKEND"]


def wait_until(condition: Callable[[], bool], seconds_max: float = 120, explain: Callable[[], Any] = str) -> float:
    """Wait until the condition is true; return how many seconds that took.

    A test that asserts no speed has time for a process to start again on a busy machine.
    """
    started_at = time.monotonic()
    while not condition():
        assert time.monotonic() < started_at + seconds_max, explain()
        time.sleep(0.05)
    return time.monotonic() - started_at
