"""Collector: keep values for a moment, and write them together.

It is for values that are worth a write, but not one each, and that a crash may lose: when a token was last used.
"""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

import structlog
from django.db import InterfaceError, OperationalError, close_old_connections, connection

WAIT_SECONDS = 1.0  # how long values wait for others

Key = TypeVar("Key")
Value = TypeVar("Value")
log = structlog.get_logger()


class Collector(Generic[Key, Value]):
    """Hands values, by key, to `write`: at once or, after `start`, a moment later from a thread of its own.

    Any number of threads may add values.
    """

    def __init__(self, write: Callable[[Mapping[Key, Value]], None]) -> None:
        """Create a collector that writes at once.

        Args:
            write: Writes a set of values in a transaction of its own.
        """
        self._write = write
        self._lock = threading.Lock()
        self._values: dict[Key, Value] = {}
        self._has_values = threading.Event()
        self._is_late = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Write later from now on, from a thread that begins with the first value. Idempotent."""
        self._is_late = True

    def stop(self) -> None:
        """Write at once again, from the next value on. Idempotent."""
        self._is_late = False

    def add(self, key: Key, value: Value) -> None:
        """Write a value, now or soon. A later value of the same key replaces one that still waits.

        Raises:
            Exception: It was to be written at once, and `write` failed.
        """
        if not self._is_late:
            self._write({key: value})
            return
        with self._lock:
            self._values[key] = value
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="collector", daemon=True)
                self._thread.start()
        self._has_values.set()

    def write(self) -> None:
        """Write the values that wait. Never raises: they go on waiting while the database is down."""
        self._has_values.clear()
        with self._lock:
            values, self._values = self._values, {}
        if not values:
            return
        try:
            close_old_connections()  # the server may have closed them meanwhile
            self._write(values)
        except (OperationalError, InterfaceError) as error:
            log.warning("collected values could not be written yet", values=len(values), error=repr(error))
            connection.close()
            with self._lock:
                self._values = {**values, **self._values}
            self._has_values.set()
        except Exception as error:  # whatever failed, there must be a next round
            log.exception("collected values could not be written", values=len(values), error=repr(error))
            connection.close()

    def _run(self) -> None:
        while True:
            self._has_values.wait()
            time.sleep(WAIT_SECONDS)
            self.write()
