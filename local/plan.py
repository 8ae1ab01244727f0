"""The configuration of a run, read from its environment and the Procfile."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from local import ports
from local.errors import UserError
from local.ports import host_of

PROJECT = Path(__file__).resolve().parents[1]
PORT_OF = {"web": "PORT", "stream": "STREAM_PORT", "exchange": "EXCHANGE_PORT"}
"""The variable that tells each process type its port. The second process of a type listens on the next port."""
HEALTH_PORT = "HEALTH_PORT"
"""The variable that tells a `web` a second port, for health checks alone."""
DEFAULT_PORTS = {"PORT": 8000, "EXCHANGE_PORT": 8100, "STREAM_PORT": 8200}


@dataclass(frozen=True)
class Process:
    """One process of the Procfile."""

    type: str
    number: int
    command: str
    port: int | None
    """Its port, if this type listens on one."""
    health_port: int | None = None
    """The port of a `web` for health checks, if HEALTH_PORT is set."""

    @property
    def name(self) -> str:
        return f"{self.type}.{self.number}"

    @property
    def ports(self) -> dict[str, int]:
        """The ports that it listens on, by the variable that tells it each."""
        all_ports = {PORT_OF.get(self.type, ""): self.port, HEALTH_PORT: self.health_port}
        return {variable: port for variable, port in all_ports.items() if port is not None}

    @property
    def environment(self) -> dict[str, str]:
        """Variables that it gets in addition to the brokerage's environment."""
        listens = {variable: str(port) for variable, port in self.ports.items()}
        return {"PROCESS_NAME": self.name, "PYTHONUNBUFFERED": "1", **listens}


@dataclass(frozen=True)
class Plan:
    """The settings of one run."""

    root: Path
    """The folder of the Procfile, and the working directory of every process."""
    data_dir: Path
    host: str
    """The host in the URLs of `web` and `stream`."""
    ports: dict[str, int]
    lanes: int
    processes: list[Process]
    database_url: str | None
    broker_url: str | None
    exchange_url: str | None

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.ports['PORT']}"

    def check_ports(self) -> None:
        """Check that every port is free and used once. Raises UserError otherwise."""
        process_by_port: dict[int, str] = {}
        for process in self.processes:
            for variable, port in process.ports.items():
                if other := process_by_port.get(port):
                    raise UserError(f"{process.name} and {other} would both listen on {port}: set another {variable}.")
                process_by_port[port] = process.name
                if not ports.is_free_soon(port):
                    raise UserError(
                        f"Port {port} (for {process.name}) is in use by another program: stop it, or set "
                        f"{variable} to another port."
                    )


def read(environment: Mapping[str, str], project: Path) -> Plan:
    """Return the plan that these variables describe. Raises UserError for an invalid value."""
    procfile = Path(environment.get("PROCFILE") or project / "Procfile").resolve()
    numbers = {name: _number(environment, name, default, 65_535) for name, default in DEFAULT_PORTS.items()}
    has_health_port = environment.get(HEALTH_PORT, "0") not in {"", "0"}
    health_port = _number(environment, HEALTH_PORT, 0, 65_535) if has_health_port else None
    exchange_url = environment.get("EXCHANGE_URL") or None
    scale = _scale(environment.get("SCALE", ""))
    commands = read_procfile(procfile)
    if unknown := scale.keys() - commands.keys():
        raise UserError(f"SCALE names {', '.join(sorted(unknown))}, but the Procfile has {', '.join(commands)}.")
    if exchange_url:
        commands.pop("exchange", None)
    processes = []
    for kind, command in commands.items():
        for number in range(1, (1 if kind == "exchange" else scale.get(kind, 1)) + 1):
            port = numbers[PORT_OF[kind]] + number - 1 if kind in PORT_OF else None
            second = health_port + number - 1 if health_port and kind == "web" else None
            processes.append(Process(kind, number, command, port, second))
    return Plan(
        root=procfile.parent,
        data_dir=Path(environment.get("DATA_DIR") or project / "var").resolve(),
        host=host_of(environment.get("BIND", "")),
        ports=numbers,
        lanes=_number(environment, "LANES", 16, 1000),
        processes=processes,
        database_url=environment.get("DATABASE_URL") or None,
        broker_url=environment.get("BROKER_URL") or None,
        exchange_url=exchange_url,
    )


def read_procfile(procfile: Path) -> dict[str, str]:
    """Return the command of each process type. Raises UserError if the file can't be read."""
    try:
        text = procfile.read_text()
    except OSError as error:
        raise UserError(f"{procfile}: {error.strerror}") from None
    return dict(re.findall(r"^([A-Za-z0-9_-]+):[ \t]*(\S.*?)[ \t]*$", text, re.MULTILINE))


def _scale(text: str) -> dict[str, int]:
    """Parse a text such as `web=2,lanes=4`."""
    scale = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        kind, _, count = part.partition("=")
        if not count.isdecimal() or int(count) > 100:
            raise UserError(f"SCALE takes values such as web=2,lanes=4 (0 to 100 each), not {text!r}.")
        scale[kind.strip()] = int(count)
    return scale


def _number(environment: Mapping[str, str], name: str, default: int, maximum: int) -> int:
    text = environment.get(name) or str(default)
    if not text.isdecimal() or not 1 <= int(text) <= maximum:
        raise UserError(f"{name} takes a number from 1 to {maximum}, not {text!r}.")
    return int(text)
