"""Start a command that ends when the process that started it ends.

    python launcher.py SPECIFICATION.json

The parent (supervisord, or the runner) starts this launcher instead of the command. It

* ends orphans: children left over from an earlier process of the same name that was killed,
* waits, so that a command that dies at once is retried about once a second,
* redirects the output to a named pipe that the runner reads,
* asks Linux to signal it when the parent dies, however it dies,

and then replaces itself with the command, so that the parent sees the command's own pid and exit status.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

PAUSE_SECONDS = 1.0
"""Least time between two starts of a process."""

MARK = "BROKERAGE_PROCESS"
"""The environment variable that identifies the data folder and the process that a process belongs to."""


@dataclass(frozen=True)
class Specification:
    """The command that the launcher runs, with its environment and its settings."""

    name: str
    command: list[str]
    environment: dict[str, str]
    directory: str
    mark: str
    """Value of MARK. Children inherit it, which is how orphans are recognized."""
    death_signal: int = signal.SIGKILL
    """Sent to the process when its parent dies."""
    user: int | None = None
    """Run as this user id (only root can)."""
    output: str | None = None
    """A named pipe or file for stdout and stderr. None: inherit the parent's."""
    orphans_folder: str | None = None
    """Processes whose working directory is this are orphans too (PostgreSQL overwrites its environment)."""
    started: str | None = None
    """A file whose modification time is when the process was last started. None: never wait."""

    def write(self, path: Path) -> None:
        """Write it to a file that only this user can read: the environment contains secrets."""
        path.unlink(missing_ok=True)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(asdict(self), file)

    @classmethod
    def read(cls, path: Path) -> Specification:
        return cls(**json.loads(path.read_text()))


def command_line(specification: Path) -> list[str]:
    """Return the command that starts the launcher with this specification."""
    return [sys.executable, "-I", os.path.abspath(__file__), str(specification)]


def die_with_parent(number: int = signal.SIGKILL) -> None:
    """Have the kernel send this process the signal `number` when the thread that started it ends (Linux only).

    Call it after any change of user (which would undo it). The setting survives exec, not fork.
    """
    if sys.platform != "linux":
        return
    parent = os.getppid()
    libc = ctypes.CDLL(None, use_errno=True)
    pr_set_pdeathsig = 1
    if libc.prctl(pr_set_pdeathsig, number, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:  # the parent died before prctl took effect
        os.kill(os.getpid(), number)


def pause(started: Path) -> None:
    """Sleep until PAUSE_SECONDS after the last call for the same file."""
    try:
        age_seconds = time.time() - started.stat().st_mtime
    except FileNotFoundError:
        age_seconds = PAUSE_SECONDS
    if 0 <= age_seconds < PAUSE_SECONDS:
        time.sleep(PAUSE_SECONDS - age_seconds)
    started.touch()
    os.utime(started)


def become(specification: Specification) -> None:
    """Replace this process with the specified one; never returns."""
    if specification.output is not None:
        output = os.open(specification.output, os.O_WRONLY | os.O_APPEND)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.close(output)
    die_with_parent(specification.death_signal)  # while we wait, too
    if specification.started is not None:
        from_here = str(Path(__file__).resolve().parents[1])
        sys.path.append(from_here)
        from local.orphans import end, processes_with_mark

        folder = Path(specification.orphans_folder) if specification.orphans_folder else None
        end(processes_with_mark(specification.mark, folder))
        pause(Path(specification.started))
    os.chdir(specification.directory)
    if specification.user is not None and os.geteuid() == 0 and specification.user != 0:
        import pwd

        account = pwd.getpwuid(specification.user)
        os.initgroups(account.pw_name, account.pw_gid)
        os.setgid(account.pw_gid)
        os.setuid(account.pw_uid)
        die_with_parent(specification.death_signal)  # the change of user cleared it
    environment = {**specification.environment, MARK: specification.mark}
    try:
        os.execvpe(specification.command[0], specification.command, environment)  # noqa: S606 (the command is ours)
    except OSError as error:
        sys.exit(f"{specification.command[0]}: {error.strerror}")


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    become(Specification.read(Path(sys.argv[1])))
