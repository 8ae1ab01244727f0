"""Fixtures shared by the tests of this folder."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from trades import lane


@pytest.fixture
def broker_at(settings: Any) -> Iterator[Callable[[int], None]]:
    """Send rings to another port until the test ends."""
    there = settings.BROKER_URL

    def broker_at(port: int) -> None:
        settings.BROKER_URL = f"redis://127.0.0.1:{port}/0"

    yield broker_at
    settings.BROKER_URL = there
    lane.broker_backoff.stop()
