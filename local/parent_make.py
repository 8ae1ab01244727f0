"""Detect that the `make` that started this process was interrupted."""

from __future__ import annotations

import os
import signal
from pathlib import Path


class ParentMake:
    """The `make` that started this process, if any.

    If only `make` gets SIGINT (from a program rather than a terminal), it waits for its recipe without passing the
    signal on. On Linux this is visible in /proc: `make` stops catching the signal. Without such a `make`, or on another
    system, `has_ended` stays False.
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
        """Whether `make` has ended or was interrupted."""
        return self._watched and (os.getppid() != self._pid or not self._catches_interrupt())

    def _catches_interrupt(self) -> bool:
        try:
            status = Path(f"/proc/{self._pid}/status").read_text()
        except OSError:
            return False
        caught_signals = next((line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:")), "0")
        return bool(int(caught_signals, 16) >> (signal.SIGINT - 1) & 1)
