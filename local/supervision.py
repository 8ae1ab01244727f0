"""Starts processes under supervisord, and starts again what dies; who belongs to whom and who ends first."""

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
"""The group of everything but the servers: it is started last and ended first."""


@dataclass(frozen=True)
class Supervised:
    """A process that is kept alive."""

    specification: Specification
    group: str
    start_order: int
    """Groups start in this order and end in the reverse one, each wholly before the next."""
    stop_signal: str
    stop_seconds_max: int
    """After this it is killed."""
    at_once: bool
    """Started with supervisord itself, or only when asked for."""


class Supervision:
    """One supervisord with its processes; `says` gets a line for each thing that a person should know."""

    def __init__(self, folder: Folder, sockets: Path, says: Callable[[str], None]) -> None:
        self.folder = folder
        self.socket = sockets / "supervisor.sock"
        self.deaths: dict[str, int] = {}
        self.last_error = ""
        self._reasons: dict[str, str] = {}
        self._says = says
        self._process: subprocess.Popen[bytes] | None = None

    def configure(self, processes: Iterable[Supervised]) -> None:
        """Write supervisord's configuration, replacing an earlier one."""
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
        """Start supervisord and what is to start with it; returns a descriptor with its own messages, for `hear`.

        Call it from the main thread: when that ends, supervisord ends everything in order.
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
        """Start the processes that wait to be asked for. Raises OSError while supervisord doesn't answer."""
        self._call("startProcessGroup", APPLICATION, False)

    def processes(self) -> dict[str, int]:
        """The pids of what runs, by name. Raises OSError while supervisord doesn't answer."""
        return processes(self.socket)

    def end(self) -> None:
        """Ask supervisord to end everything in order; returns at once."""
        if self._process is not None and self.is_up:
            self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill supervisord. Its processes die with it, in no particular order."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def hear(self, line: str) -> None:
        """Take a line of supervisord's own messages."""
        if found := re.search(r"exited: (\S+) \((.*); (?:not )?expected\)", line):
            name, reason = found.groups()
            self.deaths[name] = self.deaths.get(name, 0) + 1
            self._reasons[name] = reason.removeprefix("terminated by ")
        elif found := re.search(r"spawned: '(\S+)' with pid (\d+)", line):
            name, pid = found.groups()
            if reason := self._reasons.pop(name, ""):
                self._says(f"{name} died ({reason}); started again as pid {pid}")
        elif found := re.search(r"killing '(\S+)' \(\d+\) with SIGKILL", line):
            self._says(f"{found[1]} did not end in time; killed")
        elif "Error:" in line or "spawnerr:" in line:
            self.last_error = line
            self._says(f"supervisord: {line}")

    @property
    def _configuration(self) -> Path:
        return self.folder.state / "supervisord.conf"

    def _call(self, method: str, *arguments: Any) -> Any:
        return call(self.socket, method, *arguments)


def processes(socket: Path) -> dict[str, int]:
    """The pids of what runs under the supervisord of this socket, by name. Raises OSError when it doesn't answer."""
    return {info["name"]: info["pid"] for info in call(socket, "getAllProcessInfo") if info["pid"]}


def call(socket: Path, method: str, *arguments: Any) -> Any:
    """Call a method of supervisord's XML-RPC interface. Raises OSError when it doesn't answer."""
    transport = SupervisorTransport(None, None, f"unix://{socket}")
    try:
        with xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport) as server:
            return getattr(server.supervisor, method)(*arguments)
    except (xmlrpc.client.Error, EOFError, ValueError) as error:
        raise OSError(f"supervisord: {error}") from error
