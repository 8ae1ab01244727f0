"""Terminal output and log files: progress messages, and each process's lines prefixed with its name."""

from __future__ import annotations

import logging
import os
import selectors
import sys
import threading
from collections.abc import Callable, Iterable
from logging.handlers import RotatingFileHandler
from pathlib import Path

COLORS = (36, 33, 32, 35, 34, 96, 93, 92, 95, 94)
LINE_BYTES_MAX = 65_536
LOG_BYTES_MAX = 5_000_000


class Console:
    """Writes whole lines to stdout, from any thread; carries on silently once stdout is closed."""

    def __init__(self, names: Iterable[str]) -> None:
        names = ["run", *names]
        self._width = max(map(len, names))
        self._colors = {name: COLORS[index % len(COLORS)] for index, name in enumerate(names[1:])}
        self._colored = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        self._lock = threading.Lock()

    def line(self, name: str, text: str) -> None:
        """Print one line of a process's output, prefixed with the process's name."""
        prefix = f"{name:<{self._width}} |"
        if self._colored:
            color = self._colors.get(name)
            prefix = f"\x1b[{color}m{prefix}\x1b[0m" if color else f"\x1b[1m{prefix}\x1b[0m"
        self.say(f"{prefix} {text}")

    def announce(self, text: str) -> None:
        """Print one line from the runner itself."""
        self.line("run", text)

    def say(self, text: str) -> None:
        """Print the text without a prefix."""
        data = f"{text}\n".encode(errors="replace")
        with self._lock:
            try:
                while data:
                    data = data[os.write(1, data) :]
            except OSError:
                return


class BoundedLog(RotatingFileHandler):
    """A log file that is rotated to NAME.1 when it exceeds LOG_BYTES_MAX."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, maxBytes=LOG_BYTES_MAX, backupCount=1, errors="replace")

    def write(self, line: str) -> None:
        """Append a line. What cannot be written is lost, for example to a full disk, and no error is raised."""
        self.handle(logging.makeLogRecord({"msg": line}))

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (the name that logging calls)
        """Ignore the error: whoever writes a log would otherwise stop reading what it is written from."""


class Reader:
    """Reads lines from many processes in one background thread, and passes each to its handler."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._pending: dict[int, bytes] = {}
        self._wake, self._waker = os.pipe()
        self._selector.register(self._wake, selectors.EVENT_READ)
        self._ending = False
        self._thread = threading.Thread(target=self._read, name="reader", daemon=True)
        self._thread.start()

    def read(self, descriptor: int, take: Callable[[str], None]) -> None:
        """Call `take` with every line from this descriptor until end of file, then close it."""
        os.set_blocking(descriptor, False)
        self._pending[descriptor] = b""
        self._selector.register(descriptor, selectors.EVENT_READ, take)
        os.write(self._waker, b".")

    def read_pipe(self, path: Path, take: Callable[[str], None]) -> None:
        """Create a named pipe and call `take` with every line; processes may open and close it at any time."""
        path.unlink(missing_ok=True)
        os.mkfifo(path, 0o600)
        self.read(os.open(path, os.O_RDWR | os.O_NONBLOCK), take)

    def close(self) -> None:
        """Handle the remaining output, then stop the thread."""
        self._ending = True
        os.write(self._waker, b".")
        self._thread.join(2)

    def _read(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.fd == self._wake:
                    os.read(self._wake, 100)
                else:
                    self._take(key.fd, key.data)
            if self._ending:
                break
        for key in list(self._selector.get_map().values()):
            if key.fd == self._wake:
                continue
            while self._take(key.fd, key.data):
                pass
            if self._pending.get(key.fd):
                key.data(self._pending[key.fd].decode(errors="replace"))

    def _take(self, descriptor: int, take: Callable[[str], None]) -> bool:
        """Read once, and return whether there was any data."""
        try:
            data = os.read(descriptor, LINE_BYTES_MAX)
        except BlockingIOError:
            return False
        if not data:
            self._selector.unregister(descriptor)
            os.close(descriptor)
            return False
        *lines, incomplete = (self._pending[descriptor] + data).split(b"\n")
        if len(incomplete) > LINE_BYTES_MAX:
            lines, incomplete = [*lines, incomplete], b""
        self._pending[descriptor] = incomplete
        for line in lines:
            take(line.decode(errors="replace").rstrip("\r"))
        return True
