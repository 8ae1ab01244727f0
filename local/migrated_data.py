"""Data folders whose database is migrated already, for brokerages that are started to test something else.

Most of a first start is the migration of an empty database. Here it is done once for each state of the migrations, and
kept in the cache of `new_data`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from local import new_data
from local.folder import Folder
from local.plan import PROJECT
from local.postgresql import INITDB, PostgreSQL
from local.with_services import running_postgresql

PREFIX = "migrated"


def prepare(path: Path) -> None:
    """Give a new data folder a migrated database, with passwords of its own. Idempotent: an existing one stays.

    Without a cache, or if the migration fails, the folder stays as it is, and the first start migrates.
    """
    folder = Folder(path)
    keys, port = folder.keys(), folder.port("postgres")
    server = PostgreSQL(folder, keys, port)
    if not server.data.exists():
        cached = new_data.kept(f"{server.version} {' '.join(INITDB)} {new_data.schema_digest()}", PREFIX)
        if cached.exists() or _make(cached):
            PostgreSQL(folder, keys, port, migrated=cached).prepare()


def _make(cached: Path) -> bool:
    """Migrate a new database, cache its data folder, and delete those of earlier migrations."""
    with tempfile.TemporaryDirectory(prefix="brokerage-migrated-") as scratch:
        with running_postgresql(Path(scratch)) as server:
            environment = {
                **os.environ,
                "DATA_DIR": scratch,
                "DATABASE_URL": server.url,
                "MIGRATE_DATABASE_URL": server.owner_url,
                "SECRET_KEY": server.keys.secret_key,
                "EXCHANGE_SECRET": server.keys.exchange_secret,
            }
            command = [sys.executable, "manage.py", "migrate", "--noinput"]
            completed = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True)
        if completed.returncode == 0:
            new_data.keep(server.data, cached)
    for other in new_data.CACHE.glob(f"{PREFIX}-*"):
        if other != cached:
            shutil.rmtree(other, ignore_errors=True)
    return cached.exists()
