"""Back-off: leave a service that has just failed alone for a while, so that no request waits for it in vain."""

import time


class Backoff:
    """Remember, in this process, that a service has failed.

    The caller asks `is_active` before each call and does without the service while it is True. Threads may share one:
    at worst, two of them notice the same failure.
    """

    def __init__(self, seconds: float) -> None:
        """Make a back-off that no failure has started yet.

        Args:
            seconds: How long the service is left alone after a failure.
        """
        self.seconds = seconds
        self._ends_at = float("-inf")

    @property
    def is_active(self) -> bool:
        """Whether the service failed less than `seconds` ago."""
        return time.monotonic() < self._ends_at

    def start(self, seconds: float | None = None) -> None:
        """Note a failure now.

        Idempotent: a repeated call restarts the time.

        Args:
            seconds: Leave the service alone for this long, instead of the usual time.
        """
        self._ends_at = time.monotonic() + (self.seconds if seconds is None else seconds)

    def stop(self) -> None:
        """Forget the failure: the service may be called again."""
        self._ends_at = float("-inf")
