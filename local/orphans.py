"""Find and end processes that a killed run left behind, recognized by MARK in their environment."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path

import psutil

from local.launcher import MARK

END_SECONDS_MAX = 5.0


def processes_with_mark(mark: str, folder: Path | None = None) -> list[psutil.Process]:
    """Return processes with exactly this mark in their environment, except this process and its ancestors.

    With a folder, includes the PostgreSQL processes that work in it: these overwrite their environment.
    """
    return [process for process in _other_processes() if _mark(process) == mark or _is_postgres_of(process, folder)]


def processes_of_folder(data_dir: Path) -> list[psutil.Process]:
    """Return processes of any brokerage that ran on this data folder, except this process and its ancestors."""
    prefix = f"{data_dir}#"
    return [
        process
        for process in _other_processes()
        if _mark(process).startswith(prefix) or _is_postgres_of(process, data_dir / "postgres")
    ]


def end(processes: Iterable[psutil.Process]) -> int:
    """Kill these processes, wait until they are gone (at most END_SECONDS_MAX), and return how many there were."""
    killed = []
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
        killed.append(process)
    deadline = time.monotonic() + END_SECONDS_MAX
    while any(_alive(process) for process in killed) and time.monotonic() < deadline:
        time.sleep(0.01)
    return len(killed)


def _other_processes() -> Iterable[psutil.Process]:
    own_pids = {os.getpid(), *(process.pid for process in psutil.Process().parents())}
    return (process for process in psutil.process_iter() if process.pid not in own_pids)


def _mark(process: psutil.Process) -> str:
    try:
        return str(process.environ().get(MARK, ""))
    except (psutil.Error, OSError):
        return ""


def _is_postgres_of(process: psutil.Process, folder: Path | None) -> bool:
    if folder is None:
        return False
    try:
        return bool(process.name() == "postgres" and process.cwd() == str(folder))
    except (psutil.Error, OSError):
        return False


def _alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
