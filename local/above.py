"""The `make` that started this process."""

from __future__ import annotations

import os
import signal
from pathlib import Path


class MakeAbove:
    """Whether the `make` above has been told to end, or has ended.

    A `make` that alone gets SIGINT (from a program, not from a terminal) waits for its recipe without telling it.
    It shows, on Linux: from then on it no longer catches that signal. Where there is no `make` above, or no way to
    see it, nothing ever has ended.
    """

    def __init__(self) -> None:
        self._pid = os.getppid()
        try:
            name = Path(f"/proc/{self._pid}/comm").read_text().strip()
        except OSError:
            name = ""
        self._watched = name in {"make", "gmake"} and self._catches_interrupt()

    @property
    def has_ended(self) -> bool:
        return self._watched and (os.getppid() != self._pid or not self._catches_interrupt())

    def _catches_interrupt(self) -> bool:
        try:
            status = Path(f"/proc/{self._pid}/status").read_text()
        except OSError:
            return False
        caught = next((line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:")), "0")
        return bool(int(caught, 16) >> (signal.SIGINT - 1) & 1)
