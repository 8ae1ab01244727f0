"""What the tests of this folder share: parts that are away."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
import redis
from django.conf import settings
from django.db import connection


@pytest.fixture(autouse=True)
def _static_files_by_their_names(settings: Any) -> None:
    """Pages name static files by what was collected; nothing was."""
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = settings.STORAGES | {"staticfiles": plain}


@pytest.fixture
def database_away(transactional_db: None) -> Iterator[None]:
    """The database refuses connections."""
    there = connection.settings_dict["PORT"]
    connection.close()
    connection.settings_dict["PORT"] = "1"
    yield
    connection.close()
    connection.settings_dict["PORT"] = there


@pytest.fixture
def database_read_only(transactional_db: None) -> Iterator[None]:
    """This session can only read, as one that a failover has left at a standby; new ones can write."""
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = on")
    yield
    connection.close()


@pytest.fixture
def standby_for(transactional_db: None) -> Callable[[], AbstractContextManager[None]]:
    """Every session of the database is read-only while the context is open, new ones too."""

    @contextmanager
    def standby_for() -> Iterator[None]:
        options = connection.settings_dict["OPTIONS"]
        there = options["options"]
        connection.close()
        options["options"] = f"{there} -c default_transaction_read_only=on"
        try:
            yield
        finally:
            connection.close()
            options["options"] = there

    return standby_for


@pytest.fixture
def only_readable_database(standby_for: Callable[[], AbstractContextManager[None]]) -> Iterator[None]:
    """The database is a standby: it can be read, and not be written."""
    with standby_for():
        yield


@pytest.fixture
def full_broker() -> Iterator[None]:
    """The broker has no memory left for messages, though it answers."""
    with redis.Redis.from_url(settings.BROKER_URL) as broker:
        before = broker.config_get("maxmemory")["maxmemory"]
        broker.config_set("maxmemory", 1)
        yield
        broker.config_set("maxmemory", before)


@pytest.fixture
def broker_away(settings: Any) -> None:
    """The broker refuses connections."""
    settings.BROKER_URL = "redis://127.0.0.1:1/0"
