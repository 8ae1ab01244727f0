"""Runs processes under supervisord: groups, start and stop order, and restarts."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import xmlrpc.client  # nosec B411 — to our own supervisor, over a socket that only we can open
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from supervisor.xmlrpc import SupervisorTransport

from local.folder import Folder
from local.launcher import Specification, command_line

APPLICATION = "brokerage"
"""The group of every process except the servers. It starts last and stops first."""


@dataclass(frozen=True)
class Supervised:
    """A process that supervisord restarts when it dies."""

    specification: Specification
    group: str
    start_order: int
    """Groups start in this order and stop in reverse, each completely before the next."""
    stop_signal: str
    stop_seconds_max: int
    """It is killed if it takes longer to stop."""
    at_once: bool
    """Whether it starts together with supervisord; otherwise `start_application` starts it."""


class Supervision:
    """One supervisord and its processes; `announce` is called with each message for the user."""

    def __init__(self, folder: Folder, sockets: Path, announce: Callable[[str], None]) -> None:
        self.folder = folder
        self.socket = sockets / "supervisor.sock"
        self.deaths: dict[str, int] = {}
        self.last_error = ""
        self._reasons: dict[str, str] = {}
        self._announce = announce
        self._process: subprocess.Popen[bytes] | None = None

    def configure(self, processes: Iterable[Supervised]) -> None:
        """Write supervisord's configuration file."""
        processes = list(processes)
        sections: dict[str, dict[str, object]] = {
            "unix_http_server": {"file": self.socket, "chmod": "0700"},
            "rpcinterface:supervisor": {
                "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
            },
            "supervisord": {
                "nodaemon": "true",
                "logfile": self.folder.logs / "supervisord.log",
                "logfile_maxbytes": "1MB",
                "logfile_backups": "1",
                "pidfile": self.folder.state / "supervisord.pid",
                "childlogdir": self.folder.state,
                **({"user": "root"} if os.geteuid() == 0 else {}),
            },
        }
        for group in dict.fromkeys(process.group for process in processes):
            members = [process for process in processes if process.group == group]
            sections[f"group:{group}"] = {
                "programs": ",".join(process.specification.name for process in members),
                "priority": members[0].start_order,
            }
        for process in processes:
            name = process.specification.name
            file = self.folder.state / f"{name}.json"
            process.specification.write(file)
            sections[f"program:{name}"] = {
                "command": shlex.join(command_line(file)),
                "autostart": str(process.at_once).lower(),
                "autorestart": "true",
                "startsecs": 0,
                "startretries": 1_000_000,
                "stopsignal": process.stop_signal,
                "stopwaitsecs": process.stop_seconds_max,
                "killasgroup": "true",
                "redirect_stderr": "true",
                "stdout_logfile": "NONE",
            }
        with open(self._configuration, "w") as text:
            for section, options in sections.items():
                text.write(f"[{section}]\n")
                text.writelines(f"{option} = {str(value).replace('%', '%%')}\n" for option, value in options.items())

    def start(self) -> int:
        """Start supervisord and the processes that start with it.

        Call it from the main thread: when that thread ends, supervisord stops everything in order.

        Returns:
            A descriptor to read supervisord's messages from; pass each to `handle_message`.
        """
        self.socket.unlink(missing_ok=True)
        self.deaths.clear()
        self._reasons.clear()
        specification = Specification(
            name="supervisord",
            command=[sys.executable, "-m", "local.supervisord", "-c", str(self._configuration)],
            environment={
                **os.environ,
                "PYTHONUNBUFFERED": "1",
                "PYTHONPATH": str(Path(__file__).resolve().parents[1]),
            },
            directory="/",
            mark=f"{self.folder.path}#supervisord",
            death_signal=signal.SIGTERM,
        )
        file = self.folder.state / "supervisord.json"
        specification.write(file)
        messages, its_end = os.pipe()
        self._process = subprocess.Popen(
            command_line(file), stdin=subprocess.DEVNULL, stdout=its_end, stderr=its_end, start_new_session=True
        )
        os.close(its_end)
        return messages

    @property
    def is_up(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start_application(self) -> None:
        """Start the application's processes. Raises OSError if supervisord doesn't answer."""
        self._call("startProcessGroup", APPLICATION, False)

    def processes(self) -> dict[str, int]:
        """The pids of what runs, by name. Raises OSError while supervisord doesn't answer."""
        return processes(self.socket)

    def end(self) -> None:
        """Ask supervisord to stop everything in order, without waiting for it."""
        if self._process is not None and self.is_up:
            self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill supervisord. Its processes die with it, in no particular order."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def handle_message(self, line: str) -> None:
        """Count deaths and announce restarts from a line of supervisord's messages."""
        if found := re.search(r"exited: (\S+) \((.*); (?:not )?expected\)", line):
            name, reason = found.groups()
            self.deaths[name] = self.deaths.get(name, 0) + 1
            self._reasons[name] = reason.removeprefix("terminated by ")
        elif found := re.search(r"spawned: '(\S+)' with pid (\d+)", line):
            name, pid = found.groups()
            if reason := self._reasons.pop(name, ""):
                self._announce(f"{name} died ({reason}); restarted as pid {pid}")
        elif found := re.search(r"killing '(\S+)' \(\d+\) with SIGKILL", line):
            self._announce(f"{found[1]} did not stop in time; killed")
        elif "Error:" in line or "spawnerr:" in line:
            self.last_error = line
            self._announce(f"supervisord: {line}")

    @property
    def _configuration(self) -> Path:
        return self.folder.state / "supervisord.conf"

    def _call(self, method: str, *arguments: Any) -> Any:
        return call(self.socket, method, *arguments)


def processes(socket: Path) -> dict[str, int]:
    """Return the pids of supervisord's running processes by name. Raises OSError if it doesn't answer."""
    return {info["name"]: info["pid"] for info in call(socket, "getAllProcessInfo") if info["pid"]}


def call(socket: Path, method: str, *arguments: Any) -> Any:
    """Call a method of supervisord's XML-RPC interface. Raises OSError if it doesn't answer."""
    transport = SupervisorTransport(None, None, f"unix://{socket}")
    try:
        with xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport) as server:
            return getattr(server.supervisor, method)(*arguments)
    except (xmlrpc.client.Error, EOFError, ValueError) as error:
        raise OSError(f"supervisord: {error}") from error
