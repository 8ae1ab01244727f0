"""Data folders for brokerages that are started to test something else: with a migrated database, and static files.

Most of a first start is the migration of an empty database and the compression of static files. Here both are done once
for each state of the sources, and kept in the cache of `new_data`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from local import new_data
from local.folder import Folder
from local.plan import PROJECT
from local.postgresql import INITDB, PostgreSQL
from local.static_files import StaticFiles
from local.with_services import running_postgresql

MIGRATED, STATIC = "migrated", "static"


def prepare(path: Path) -> None:
    """Give a new data folder static files and a migrated database, with passwords of its own.

    Idempotent: what exists stays. What can't be prepared is left to the first start.
    """
    prepare_database(path)
    files = StaticFiles(path, PROJECT)
    if not files.collected.exists():
        cached = new_data.kept(files.fingerprint(), STATIC)
        if (cached.exists() or _collect(cached)) and new_data.copy(cached, files.collected):
            files.note_collected()


def prepare_database(path: Path) -> None:
    """Give a new data folder a migrated database, with passwords of its own. Idempotent."""
    folder = Folder(path)
    keys, port = folder.keys(), folder.port("postgres")
    server = PostgreSQL(folder, keys, port)
    if not server.data.exists():
        cached = new_data.kept(f"{server.version} {' '.join(INITDB)} {new_data.schema_digest()}", MIGRATED)
        if cached.exists() or _migrate(cached):
            PostgreSQL(folder, keys, port, migrated=cached).prepare()


def _migrate(cached: Path) -> bool:
    """Cache the data folder of a new database that was migrated."""
    with tempfile.TemporaryDirectory(prefix="brokerage-migrated-") as scratch:
        with running_postgresql(Path(scratch)) as server:
            urls = {"DATABASE_URL": server.url, "MIGRATE_DATABASE_URL": server.owner_url}
            is_done = manage(scratch, urls, "migrate", "--noinput").returncode == 0
        return is_done and _keep(server.data, cached, MIGRATED)


def _collect(cached: Path) -> bool:
    """Cache a folder of static files."""
    with tempfile.TemporaryDirectory(prefix="brokerage-static-") as scratch:
        urls = {"DATABASE_URL": "postgres://none@127.0.0.1:1/none"}
        is_done = manage(scratch, urls, "collectstatic", "--noinput").returncode == 0
        return is_done and _keep(StaticFiles(Path(scratch), PROJECT).collected, cached, STATIC)


def manage(scratch: str, urls: Mapping[str, str], *command: str) -> subprocess.CompletedProcess[str]:
    """Run a manage.py command with a scratch folder as its data folder, and these addresses of servers."""
    keys = Folder(Path(scratch)).keys()
    own = {"DATA_DIR": scratch, "SECRET_KEY": keys.secret_key, "EXCHANGE_SECRET": keys.exchange_secret}
    environment = {**os.environ, **own, **urls}
    return subprocess.run(
        [sys.executable, "manage.py", *command], cwd=PROJECT, env=environment, capture_output=True, text=True
    )


def _keep(folder: Path, cached: Path, prefix: str) -> bool:
    """Cache a folder, and delete those of earlier sources."""
    new_data.keep(folder, cached)
    for other in new_data.CACHE.glob(f"{prefix}-*"):
        if other != cached:
            shutil.rmtree(other, ignore_errors=True)
    return cached.exists()
