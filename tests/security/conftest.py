"""Fixtures shared by the security tests."""

from typing import Any

import pytest


@pytest.fixture(autouse=True)
def _plain_static_file_names(settings: Any) -> None:
    """Use the plain names of static files, because none were collected."""
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = settings.STORAGES | {"staticfiles": plain}
