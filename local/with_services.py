"""Runs a command with a PostgreSQL and a Valkey of its own, which are gone afterwards."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

from local import ports
from local.environment import LOCK_FILE, is_locked
from local.errors import UserError
from local.folder import Folder
from local.launcher import Specification, command_line
from local.orphans import end, of_folder
from local.postgresql import PostgreSQL
from local.valkey import Valkey

PREFIX = "brokerage-services-"
READY_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 5.0


def with_services(command: Sequence[str], *, fsync: bool = True) -> int:
    """Run the command; returns its exit code (128 and the signal's number when one ended it).

    DATABASE_URL and BROKER_URL in the environment are used as they are; what is missing of them is started in a new
    temporary folder, which is removed with all its processes however the command ends. DISPOSABLE_SERVICES=1 tells the
    command that both are its own, to empty as it likes: its role owns the database. SIGINT, SIGTERM and SIGHUP go to
    the command. Raises UserError when the command or a server can't be started.
    """
    _remove_abandoned()
    folder = Folder(Path(tempfile.mkdtemp(prefix=PREFIX)))
    folder.lock()
    child: subprocess.Popen[bytes] | None = None
    caught: list[int] = []

    def forward(number: int, frame: FrameType | None) -> None:
        caught.append(number)
        if child is not None and not (number == signal.SIGINT and _in_foreground()):
            child.send_signal(number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, forward)
    servers: list[subprocess.Popen[bytes]] = []
    try:
        environment = _start_servers(folder, fsync, servers, lambda: bool(caught))
        if caught:
            return 128 + caught[0]
        try:
            child = subprocess.Popen(command, env=environment)
        except OSError as error:
            raise UserError(f"{command[0]} can't be run: {error.strerror}") from None
        code = child.wait()
        return code if code >= 0 else 128 - code
    finally:
        _stop(servers)
        for path in (folder.path, *(data.parent for data in folder.path.glob("*/postgres"))):
            end(of_folder(path))
        shutil.rmtree(folder.path, ignore_errors=True)


def _start_servers(
    folder: Folder, fsync: bool, servers: list[subprocess.Popen[bytes]], interrupted: Callable[[], bool]
) -> dict[str, str]:
    """Start what the environment lacks, and append it to `servers`; returns the command's environment."""
    keys = folder.keys()
    environment = {
        "SECRET_KEY": keys.secret_key,
        "CALLBACK_URL": "http://127.0.0.1:8000/exchange/callbacks",
        "EXCHANGE_SECRET": keys.exchange_secret,
        **os.environ,
        "DATA_DIR": str(folder.path),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
    }
    missing: list[PostgreSQL | Valkey] = []
    if not environment.get("DATABASE_URL"):
        postgresql = PostgreSQL(folder, keys, ports.choose(), fsync)
        missing.append(postgresql)
        environment |= {"DATABASE_URL": postgresql.owner_url, "DEMO": "1"}
    if not environment.get("BROKER_URL"):
        missing.append(Valkey(folder, keys, ports.choose(), fsync))
        environment["BROKER_URL"] = missing[-1].url
    if len(missing) == 2:
        environment["DISPOSABLE_SERVICES"] = "1"
    _start(missing, folder, servers, interrupted)
    return environment


def start_postgresql(path: Path) -> str:
    """Start one more PostgreSQL, without fsync, in a folder; returns its owner's URL. It ends with this process.

    Raises UserError when it doesn't start.
    """
    folder = Folder(path)
    server = PostgreSQL(folder, folder.keys(), ports.choose(), fsync=False)
    processes: list[subprocess.Popen[bytes]] = []
    _start([server], folder, processes, lambda: False)
    atexit.register(_stop, processes)
    return server.owner_url


def _start(
    servers: Sequence[PostgreSQL | Valkey],
    folder: Folder,
    processes: list[subprocess.Popen[bytes]],
    interrupted: Callable[[], bool],
) -> None:
    """Start the servers, append their processes to `processes`, and wait until they are ready."""
    for server in servers:
        server.prepare()
        specification = server.specification(f"{folder.path}#{type(server).__name__.lower()}", None, None)
        processes.append(_launch(specification, folder))
    deadline = time.monotonic() + READY_SECONDS_MAX
    for server, process in zip(servers, list(processes), strict=True):
        while not server.is_ready() and not interrupted():
            if process.poll() is not None or time.monotonic() > deadline:
                name = type(server).__name__
                log = (folder.logs / f"{name.lower()}.log").read_text(errors="replace").strip().splitlines()
                raise UserError(f"{name} didn't start: {log[-1] if log else 'it said nothing'}")
            time.sleep(0.05)
        if isinstance(server, PostgreSQL) and not interrupted():
            server.introduce()


def _stop(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        process.send_signal(signal.SIGINT)  # PostgreSQL: a fast shutdown
    for process in processes:
        try:
            process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _launch(specification: Specification, folder: Folder) -> subprocess.Popen[bytes]:
    file = folder.state / f"{specification.name}.json"
    specification.write(file)
    with open(folder.logs / f"{specification.mark.rpartition('#')[2]}.log", "ab") as log:
        return subprocess.Popen(
            command_line(file), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )


def _in_foreground() -> bool:
    """Whether a Ctrl-C at the terminal reaches the command by itself."""
    try:
        with open("/dev/tty") as terminal:
            return os.tcgetpgrp(terminal.fileno()) == os.getpgrp()
    except OSError:
        return False


def _remove_abandoned() -> None:
    """Remove the folders of earlier calls that were killed; their servers have ended with them."""
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        try:
            if time.time() - path.stat().st_mtime > 60 and not is_locked(path / LOCK_FILE):
                end(of_folder(path))
                shutil.rmtree(path, ignore_errors=True)
        except OSError:
            continue
