"""Back-off: don't call a service that has just failed, so that requests don't wait for it in vain."""

import time


class Backoff:
    """Remember, in this process, that a service has failed.

    Callers check `is_active` before each call and do without the service while it is true. Threads may share one: at
    worst, two of them run into the same failure.
    """

    def __init__(self, seconds: float) -> None:
        """Create an inactive back-off.

        Args:
            seconds: How long to avoid the service after a failure.
        """
        self.seconds = seconds
        self._ends_at = float("-inf")

    @property
    def is_active(self) -> bool:
        """Whether the service failed less than `seconds` ago."""
        return time.monotonic() < self._ends_at

    def start(self, seconds: float | None = None) -> None:
        """Record a failure that happened now.

        Idempotent: a repeated call restarts the period.

        Args:
            seconds: Avoid the service for this long, instead of the usual time.
        """
        self._ends_at = time.monotonic() + (self.seconds if seconds is None else seconds)

    def stop(self) -> None:
        """Forget the failure: the service may be called again."""
        self._ends_at = float("-inf")
