"""The database that tests start from: migrated once, dumped into .cache, and restored from there.

It is migrated again when a migration changes. Restoring takes a tenth of the time.
"""

import fcntl
import os
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from django.conf import settings
from django.db import connection
from psycopg import sql

from brokerage.database.limits import set_limits
from local.new_data import CACHE, schema_digest
from local.postgresql import binaries
from tests.settings import POSTGRESQL_DIR

OPTIONS = connection.settings_dict["OPTIONS"]
LONG_TIMEOUTS = OPTIONS | {"options": "", "answer_seconds_max": None, "commit_seconds_max": None}
IS_OURS = (POSTGRESQL_DIR / "postgres").exists()
"""Whether the server was started for the tests, and ends with them."""


def make_database() -> None:
    """Create the tests' database by restoring the dump or by migrating, and connect to it.

    Without a dump one worker migrates, and the others wait for what it dumps.
    """
    if not IS_OURS:
        _migrate()
        return
    dump = _dump_path()
    CACHE.mkdir(exist_ok=True)
    with (CACHE / "database.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not dump.exists():
            _migrate()
            _save(dump)
            return
    _restore(dump)


def _migrate() -> None:
    connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)


def _dump_path() -> Path:
    """Return the path of the dump of the current schema, which may not exist yet."""
    return CACHE / f"database-{schema_digest()}.dump"


def _restore(dump: Path) -> None:
    settings_of_connection = connection.settings_dict
    name = settings_of_connection["TEST"]["NAME"] or f"test_{settings_of_connection['NAME']}"
    with psycopg.connect(_url("postgres"), autocommit=True) as server:
        server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    _run("pg_restore", "--single-transaction", "--no-owner", f"--dbname={_url(name)}", str(dump))
    settings.DATABASES["default"]["NAME"] = settings_of_connection["NAME"] = name
    set_limits()


def _save(dump: Path) -> None:
    """Dump the database that has just been migrated, and delete older dumps."""
    for old in CACHE.glob("*.dump"):
        old.unlink(missing_ok=True)
    new = dump.with_suffix(f".{os.getpid()}")
    _run("pg_dump", "--format=custom", "--compress=none", f"--file={new}", _url(connection.settings_dict["NAME"]))
    new.replace(dump)


def _url(database: str) -> str:
    parameters = connection.settings_dict
    url = urlsplit(f"postgres://{parameters['HOST']}:{parameters['PORT']}/{database}")
    return url._replace(netloc=f"{parameters['USER']}:{parameters['PASSWORD']}@{url.netloc}").geturl()


def _run(program: str, *arguments: str) -> None:
    subprocess.run([binaries() / program, *arguments], check=True, capture_output=True, text=True)
