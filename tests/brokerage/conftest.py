"""Fixtures for unavailable parts of the system."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
import redis
from django.conf import settings
from django.db import connection


@pytest.fixture(autouse=True)
def _static_files_by_their_names(settings: Any) -> None:
    """Let pages refer to static files by their plain names, because none have been collected."""
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = settings.STORAGES | {"staticfiles": plain}


@pytest.fixture
def stop_database(transactional_db: None) -> Iterator[Callable[[], None]]:
    """Return a function that makes the database refuse connections from then on."""
    port = connection.settings_dict["PORT"]

    def stop_database() -> None:
        connection.close()
        connection.settings_dict["PORT"] = "1"

    yield stop_database
    connection.close()
    connection.settings_dict["PORT"] = port


@pytest.fixture
def database_down(stop_database: Callable[[], None]) -> None:
    """Make the database refuse connections."""
    stop_database()


@pytest.fixture
def read_only_session(transactional_db: None) -> Iterator[None]:
    """Make this session read-only, as after a failover; new sessions can write."""
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = on")
    yield
    connection.close()


@pytest.fixture
def standby_for(transactional_db: None) -> Callable[[], AbstractContextManager[None]]:
    """Make every session of the database read-only while the context is open."""

    @contextmanager
    def standby_for() -> Iterator[None]:
        options = connection.settings_dict["OPTIONS"]
        original = options["options"]
        connection.close()
        options["options"] = f"{original} -c default_transaction_read_only=on"
        try:
            yield
        finally:
            connection.close()
            options["options"] = original

    return standby_for


@pytest.fixture
def read_only_database(standby_for: Callable[[], AbstractContextManager[None]]) -> Iterator[None]:
    """Make the database a standby, which can be read but not written."""
    with standby_for():
        yield


@pytest.fixture
def full_broker() -> Iterator[None]:
    """Make the broker respond but refuse messages for lack of memory."""
    with redis.Redis.from_url(settings.BROKER_URL) as broker:
        before = broker.config_get("maxmemory")["maxmemory"]
        broker.config_set("maxmemory", 1)
        yield
        broker.config_set("maxmemory", before)


@pytest.fixture
def broker_down(settings: Any) -> None:
    """Make the broker refuse connections."""
    settings.BROKER_URL = "redis://127.0.0.1:1/0"
