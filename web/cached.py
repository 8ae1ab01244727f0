"""Values that a process reads from elsewhere and keeps for a moment: rules in force, market hours, prices."""

import threading
import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Cached(Generic[Value]):
    """One value, read again when it is asked for and older than `seconds`. Threads share it, and one of them reads."""

    def __init__(
        self,
        read: Callable[[], Value],
        seconds: float,
        *,
        initial: Value | None = None,
        stale_after: tuple[type[Exception], ...] = (),
    ) -> None:
        """Make a cached value; nothing is read yet.

        Args:
            read: Returns the current value.
            seconds: How old the value may become, 0 or more.
            initial: What callers get while the first read is under way. With one, no caller ever waits for another's
                read: all but the reader get the old value. Without one, callers wait for the read.
            stale_after: Errors of `read` after which the old value serves for another `seconds`. Any other error, or
                one before there is a value, is raised.
        """
        self._read, self._seconds, self._stale_after = read, seconds, stale_after
        self._value = self._initial = initial
        self._read_at = float("-inf")
        self._reading = threading.Lock()

    def get(self, seconds: float | None = None) -> Value:
        """Return the value, reading it first where it is too old.

        Args:
            seconds: How old it may be this time, instead of the usual age.
        """
        most = self._seconds if seconds is None else seconds
        if time.monotonic() - self._read_at > most and self._reading.acquire(blocking=self._initial is None):
            try:
                if time.monotonic() - self._read_at > most:  # another thread may have read it meanwhile
                    self._refresh()
            finally:
                self._reading.release()
        return self._value  # type: ignore[return-value]  # None only where `read` returns None

    def _refresh(self) -> None:
        began = time.monotonic()
        try:
            self._value = self._read()
        except self._stale_after:
            if self._value is None:
                raise
        self._read_at = began

    def expire(self) -> None:
        """Read the value again when it is next asked for; until then the old one is kept for `stale_after`."""
        self._read_at = float("-inf")

    def clear(self) -> None:
        """Forget the value, as if it had never been read."""
        self._value = self._initial
        self.expire()


class CachedByKey(Generic[Key, Value]):
    """A cached value for each key. When there are too many keys, all of them are forgotten."""

    def __init__(
        self,
        read: Callable[[Key], Value],
        seconds: float,
        *,
        keys_max: int,
        stale_after: tuple[type[Exception], ...] = (),
    ) -> None:
        """Make an empty cache.

        Args:
            read: Returns the current value of a key.
            seconds: How old a value may become, 0 or more.
            keys_max: How many keys are kept.
            stale_after: As for `Cached`.
        """
        self._read, self._seconds, self._keys_max, self._stale_after = read, seconds, keys_max, stale_after
        self._values: dict[Key, Cached[Value]] = {}

    def get(self, key: Key) -> Value:
        """Return the value of a key, reading it first where it is too old. Callers wait for a read of the same key."""
        cached = self._values.get(key)
        if cached is None:
            if len(self._values) >= self._keys_max:
                self._values.clear()
            cached = Cached(lambda: self._read(key), self._seconds, stale_after=self._stale_after)
            cached = self._values.setdefault(key, cached)
        return cached.get()

    def clear(self) -> None:
        """Forget every key."""
        self._values.clear()
