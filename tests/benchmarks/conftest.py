"""A connection with which tests fill tables with past trades, as the benchmark does."""

import os
from collections.abc import Iterator

import pytest
from django.core.management import call_command
from django.db import connection
from pytest_django.plugin import DjangoDbBlocker

from benchmarks.database import Database
from tests.settings import POSTGRESQL_DIR


@pytest.fixture(scope="module")
def administrator(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Database]:
    """Connect to the tests' database as a superuser who can load in bulk; empty it after the module."""
    if not (POSTGRESQL_DIR / "keys.json").exists():
        pytest.skip("the database server was not started by us, so we can't load in bulk")
    with django_db_blocker.unblock():
        server = os.environ["DATABASE_URL"].rpartition("/")[0]
        database = Database(POSTGRESQL_DIR, f"{server}/{connection.settings_dict['NAME']}")
        try:
            yield database
        finally:
            database.close()
            call_command("flush", interactive=False, verbosity=0)
