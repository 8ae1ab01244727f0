"""Fixtures shared by the tests of trades."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from trades import lane


@pytest.fixture
def broker_at(settings: Any) -> Iterator[Callable[[int], None]]:
    """Provide a function that sends rings to another port until the test ends."""
    real_url = settings.BROKER_URL

    def broker_at(port: int) -> None:
        settings.BROKER_URL = f"redis://127.0.0.1:{port}/0"

    yield broker_at
    settings.BROKER_URL = real_url
    lane.broker_backoff.stop()
