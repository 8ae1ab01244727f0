"""Short-lived caches, local to a process, of values from elsewhere: trading controls, market hours, prices."""

import threading
import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from web.patience import deduct, seconds_left, waiting

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Cached(Generic[Value]):
    """One value, refreshed on access once it is older than `seconds`. Threads share it; only one refreshes it."""

    def __init__(
        self,
        read: Callable[[], Value],
        seconds: float,
        *,
        initial: Value | None = None,
        stale_after: tuple[type[Exception], ...] = (),
    ) -> None:
        """Create a cached value; nothing is read yet.

        Args:
            read: Returns the current value.
            seconds: The maximum age of the value, 0 or more.
            initial: The value until the first read is done. If given, callers never wait for another caller's read:
                they get the old value. Otherwise they wait.
            stale_after: Errors of `read` after which the old value is served for another `seconds`. Any other error,
                or an error before there is a value, is raised.
        """
        self._read, self._seconds, self._stale_after = read, seconds, stale_after
        self._value = self._initial = initial
        self._read_at = float("-inf")
        self._reading = threading.Lock()

    def get(self, seconds: float | None = None) -> Value:
        """Return the value, reading it first if it is too old.

        Args:
            seconds: The maximum age for this call, instead of the usual one.
        """
        age_max = self._seconds if seconds is None else seconds
        began = time.monotonic()
        if began - self._read_at > age_max and self._acquire():
            try:
                if time.monotonic() - self._read_at > age_max:  # another thread may have read it meanwhile
                    deduct(time.monotonic() - began)
                    self._refresh()
            finally:
                self._reading.release()
        return self._value  # type: ignore[return-value]  # None only if `read` returns None

    def _acquire(self) -> bool:
        """Return whether this thread is to read the value. Without an initial value, wait for another thread's read."""
        if self._initial is not None:
            return self._reading.acquire(blocking=False)
        seconds = seconds_left()
        with waiting():
            if not self._reading.acquire(timeout=-1 if seconds is None else seconds):
                raise TimeoutError("another thread's read takes too long")
        return True

    def _refresh(self) -> None:
        began = time.monotonic()
        try:
            self._value = self._read()
        except self._stale_after:
            if self._value is None:
                raise
        self._read_at = began

    def expire(self) -> None:
        """Make the next access read the value again; a `stale_after` error then still serves the old one."""
        self._read_at = float("-inf")

    def clear(self) -> None:
        """Drop the value, as if it had never been read."""
        self._value = self._initial
        self.expire()


class CachedByKey(Generic[Key, Value]):
    """A cached value for each key. When there are too many keys, all of them are dropped."""

    def __init__(
        self,
        read: Callable[[Key], Value],
        seconds: float,
        *,
        keys_max: int,
        stale_after: tuple[type[Exception], ...] = (),
    ) -> None:
        """Create an empty cache.

        Args:
            read: Returns the current value of a key.
            seconds: The maximum age of a value, 0 or more.
            keys_max: The maximum number of keys.
            stale_after: As for `Cached`.
        """
        self._read, self._seconds, self._keys_max, self._stale_after = read, seconds, keys_max, stale_after
        self._values: dict[Key, Cached[Value]] = {}

    def get(self, key: Key) -> Value:
        """Return the value of a key, reading it first if it is too old. Callers wait for a running read of the key."""
        cached = self._values.get(key)
        if cached is None:
            if len(self._values) >= self._keys_max:
                self._values.clear()
            cached = Cached(lambda: self._read(key), self._seconds, stale_after=self._stale_after)
            cached = self._values.setdefault(key, cached)
        return cached.get()

    def clear(self) -> None:
        """Drop every key."""
        self._values.clear()
