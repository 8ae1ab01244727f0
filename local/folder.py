"""The data folder of a brokerage on this machine: its layout, secrets, ports and lock."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import secrets
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from local import ports
from local.environment import ENVIRONMENT_FILE, LOCK_FILE
from local.errors import UserError

SOCKET_PATH_BYTES_MAX = 90
"""The kernel allows 107 bytes, and supervisord appends its pid."""


@dataclass(frozen=True)
class Keys:
    """The secrets of one data folder, generated once."""

    secret_key: str
    exchange_secret: str
    postgres_admin_password: str
    postgres_password: str
    postgres_runtime_password: str
    valkey_password: str

    @classmethod
    def make(cls) -> Keys:
        return cls(
            secret_key=secrets.token_urlsafe(48),
            exchange_secret="whsec_" + base64.b64encode(secrets.token_bytes(32)).decode(),
            postgres_admin_password=secrets.token_hex(24),
            postgres_password=secrets.token_hex(24),
            postgres_runtime_password=secrets.token_hex(24),
            valkey_password=secrets.token_hex(24),
        )


class Folder:
    """A data folder, created if it doesn't exist. Raises UserError if it can't be used."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self._lock: IO[str] | None = None
        for folder in (self.path, self.logs, self.state):
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise UserError(
                    f"{folder} can't be created: {error.strerror}. Set DATA_DIR to a folder that you can write to."
                ) from None
            if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
                raise UserError(f"You can't write to {folder}. Set DATA_DIR to a folder that you can write to.")

    @property
    def logs(self) -> Path:
        return self.path / "log"

    @property
    def state(self) -> Path:
        """The files of the current run, which can be deleted once it has ended."""
        return self.path / "run"

    @property
    def environment(self) -> Path:
        return self.path / ENVIRONMENT_FILE

    def lock(self) -> None:
        """Lock the folder until this process ends, however it ends. Raises UserError if another run has the lock."""
        file = open(self.path / LOCK_FILE, "a+")  # noqa: SIM115 (open as long as the process lives)
        deadline = time.monotonic() + 1.0  # `is_locked` holds the lock for a moment while it checks
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    file.seek(0)
                    pid = file.read().strip() or "unknown"
                    raise UserError(
                        f"A brokerage is already running on {self.path} (pid {pid}). "
                        "Stop it, or set DATA_DIR, PORT, EXCHANGE_PORT and STREAM_PORT to run another one."
                    ) from None
                time.sleep(0.05)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        self._lock = file

    def keys(self) -> Keys:
        """Return the folder's secrets. Missing ones are generated and saved, so later calls return the same values."""
        file = self.path / "keys.json"
        try:
            stored = json.loads(file.read_text()) if file.exists() else {}
            keys = Keys(**{**vars(Keys.make()), **stored})
            if vars(keys) != stored:
                write_private(file, vars(keys))
            return keys
        except (ValueError, TypeError):
            raise UserError(f"{file} is damaged. Restore it, or move {self.path} away to start over.") from None

    def port(self, server: str) -> int:
        """Return a free port for one of our servers: the same as last time, if that is still free."""
        file = self.path / "ports.json"
        try:
            stored_ports: dict[str, int] = json.loads(file.read_text())
        except (OSError, ValueError):
            stored_ports = {}
        port = stored_ports.get(server)
        if port is None or not ports.is_free(port):
            port = ports.choose(avoid=stored_ports.values())
            write_private(file, {**stored_ports, server: port})
        return port

    def sockets(self) -> Path:
        """Return an empty folder whose path is short enough for sockets, and remove the previous run's."""
        pointer = self.state / "sockets"
        if pointer.exists():
            shutil.rmtree(pointer.read_text(), ignore_errors=True)
        own_folder = self.state / "s"
        if len(os.fsencode(own_folder / "supervisor.sock")) <= SOCKET_PATH_BYTES_MAX:
            own_folder.mkdir(mode=0o700, exist_ok=True)
            chosen = own_folder
        else:
            # The data folder's path is too long for a socket.
            chosen = Path(tempfile.mkdtemp(prefix="brokerage-", dir="/tmp"))  # nosec B108
        pointer.write_text(str(chosen))
        return chosen


def write_private(path: Path, content: Any) -> None:
    """Write JSON atomically to a file that only this user can read."""
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(content, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
