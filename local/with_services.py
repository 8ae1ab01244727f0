"""Runs a command with its own temporary PostgreSQL and Valkey."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType

from local import ports
from local.environment import LOCK_FILE, is_locked
from local.errors import UserError, reason_in
from local.folder import Folder
from local.launcher import Specification, command_line
from local.orphans import end, processes_of_folder
from local.postgresql import PostgreSQL
from local.valkey import Valkey

PREFIX = "brokerage-services-"
READY_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 5.0
MEMORY = "/dev/shm"  # noqa: S108 # nosec B108
MEMORY_BYTES_MIN = 4 * 2**30
"""A file system in memory is used if this much of it is free."""


def with_services(command: Sequence[str], *, fsync: bool = True) -> int:
    """Run the command; return its exit code (128 plus the signal's number if a signal ended it).

    A server that DATABASE_URL or BROKER_URL names is used as it is. Otherwise one is started in a new temporary folder,
    which is removed with all its processes however the command ends; without fsync it is in memory if there is
    plenty, unless TMPDIR names another place. DISPOSABLE_SERVICES=1 tells the command that it
    may empty both servers: its role owns the database. SIGINT, SIGTERM and SIGHUP are passed on to the command.

    Raises:
        UserError: The command or a server can't be started.
    """
    _remove_abandoned()
    folder = Folder(Path(tempfile.mkdtemp(prefix=PREFIX, dir=None if fsync else _fastest_place())))
    folder.lock()
    child: subprocess.Popen[bytes] | None = None
    signals: list[int] = []

    def forward(number: int, frame: FrameType | None) -> None:
        signals.append(number)
        if child is not None and not (number == signal.SIGINT and _in_foreground()):
            child.send_signal(number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, forward)
    servers: list[subprocess.Popen[bytes]] = []
    try:
        environment = _start_servers(folder, fsync, servers, lambda: bool(signals))
        if signals:
            return 128 + signals[0]
        try:
            child = subprocess.Popen(command, env=environment)
        except OSError as error:
            raise UserError(f"Can't run {command[0]}: {error.strerror}") from None
        code = child.wait()
        return code if code >= 0 else 128 - code
    finally:
        _stop(servers)
        for path in (folder.path, *(data.parent for data in folder.path.glob("*/postgres"))):
            end(processes_of_folder(path))
        shutil.rmtree(folder.path, ignore_errors=True)


def _fastest_place() -> str | None:
    """Return where to create the folder. PostgreSQL creates a thousand files, which may take a second on a disk."""
    try:
        has_room = shutil.disk_usage(MEMORY).free >= MEMORY_BYTES_MIN and os.access(MEMORY, os.W_OK | os.X_OK)
    except OSError:
        return None
    return MEMORY if has_room and "TMPDIR" not in os.environ else None


def _start_servers(
    folder: Folder, fsync: bool, servers: list[subprocess.Popen[bytes]], interrupted: Callable[[], bool]
) -> dict[str, str]:
    """Start the servers that the environment lacks, append them to `servers`, and return the command's environment."""
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
    """Start another PostgreSQL, without fsync, in a folder; return its owner's URL. It stops with this process.

    Raises UserError if it doesn't start.
    """
    stack = ExitStack()
    server = stack.enter_context(running_postgresql(path))
    atexit.register(stack.close)
    return server.owner_url


@contextmanager
def running_postgresql(path: Path) -> Iterator[PostgreSQL]:
    """Run a PostgreSQL, without fsync, in a folder while the context is open. Raises UserError if it doesn't start."""
    folder = Folder(path)
    server = PostgreSQL(folder, folder.keys(), ports.choose(), fsync=False)
    processes: list[subprocess.Popen[bytes]] = []
    try:
        _start([server], folder, processes, lambda: False)
        yield server
    finally:
        _stop(processes)


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
                output = (folder.logs / f"{name.lower()}.log").read_text(errors="replace")
                raise UserError(f"{name} didn't start: {reason_in(output)}")
            time.sleep(0.05)
        if isinstance(server, PostgreSQL) and not interrupted():
            server.create_roles_and_database()


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
    """Return whether Ctrl-C in the terminal reaches the command directly."""
    try:
        with open("/dev/tty") as terminal:
            return os.tcgetpgrp(terminal.fileno()) == os.getpgrp()
    except OSError:
        return False


def _remove_abandoned() -> None:
    """Remove folders left by earlier runs that were killed (their servers died with them)."""
    for path in (path for parent in (tempfile.gettempdir(), MEMORY) for path in Path(parent).glob(f"{PREFIX}*")):
        try:
            if time.time() - path.stat().st_mtime > 60 and not is_locked(path / LOCK_FILE):
                end(processes_of_folder(path))
                shutil.rmtree(path, ignore_errors=True)
        except OSError:
            continue
