"""The environment of the brokerage that runs on this machine, for manage.py commands run alongside it."""

from __future__ import annotations

import fcntl
import json
from pathlib import Path

ENVIRONMENT_FILE = "environment.json"
LOCK_FILE = "run.lock"


class NotRunning(Exception):
    """No brokerage runs on the folder; the message is one line that says what to do."""


def running(data_dir: Path) -> dict[str, str]:
    """Return the environment of the brokerage that runs on this folder.

    Contains DATABASE_URL, MIGRATE_DATABASE_URL, BROKER_URL, EXCHANGE_URL, EXCHANGE_SECRET, CALLBACK_URL, SECRET_KEY,
    PORT, EXCHANGE_PORT, STREAM_PORT, LANES, KEY_PREFIX, DATA_DIR and RUNNER_PID. Raises NotRunning.
    """
    not_running = NotRunning(
        f"No brokerage runs on {data_dir}: start it with `make run`, or set DATABASE_URL and BROKER_URL."
    )
    try:
        if not is_locked(data_dir / LOCK_FILE):
            raise not_running
        environment: dict[str, str] = json.loads((data_dir / ENVIRONMENT_FILE).read_text())
    except PermissionError:
        raise NotRunning(f"{data_dir} belongs to another user: run this as that user.") from None
    except FileNotFoundError:
        raise not_running from None
    return environment


def is_locked(path: Path) -> bool:
    """Return whether a runner is alive: it holds this lock, and the kernel releases it when the process ends."""
    with open(path) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
