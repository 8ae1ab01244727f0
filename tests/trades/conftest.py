"""What the tests of this folder share."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as configured

from trades import lane


@pytest.fixture(autouse=True, scope="session")
def _static_folder() -> None:
    """Whitenoise warns where there is none."""
    Path(configured.STATIC_ROOT).mkdir(parents=True, exist_ok=True)


@pytest.fixture
def broker_at(settings: Any) -> Iterator[Callable[[int], None]]:
    """Let rings go to another port, until the test ends."""
    there, client = settings.BROKER_URL, lane._broker()

    def broker_at(port: int) -> None:
        settings.BROKER_URL = f"redis://127.0.0.1:{port}/0"
        lane._client = None

    yield broker_at
    settings.BROKER_URL, lane._client = there, client
