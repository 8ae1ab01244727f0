"""Fixtures shared by the tests of this folder."""

from typing import Any

import pytest


@pytest.fixture(autouse=True)
def _static_files_by_their_names(settings: Any) -> None:
    """Refer to static files by their plain names, because none were collected."""
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = settings.STORAGES | {"staticfiles": plain}
