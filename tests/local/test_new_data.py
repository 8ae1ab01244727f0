"""Temporary servers start from a copy of a cached data folder."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import psycopg
import pytest

from local import new_data, prepared_data
from local.harness import OWN_VARIABLES
from local.plan import PROJECT
from local.static_files import StaticFiles
from local.with_services import running_postgresql

pytestmark = pytest.mark.process

RUN = """\
import sys
from pathlib import Path
from local import new_data
from local.with_services import with_services

new_data.CACHE = Path(sys.argv[1])
sys.exit(with_services([sys.executable, "-c", sys.argv[2]], fsync=False))
"""
PRINT_PASSWORD = """\
import json, os, pathlib, psycopg
with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
    assert connection.execute("SHOW data_checksums").fetchone() == ("on",)
print(json.loads((pathlib.Path(os.environ["DATA_DIR"]) / "keys.json").read_text())["postgres_admin_password"])
"""


def start(cache: Path) -> subprocess.Popen[str]:
    """Start a server with this cache; it prints the administrator's password, which must be its own."""
    environment = {name: value for name, value in os.environ.items() if name not in OWN_VARIABLES}
    command = [sys.executable, "-c", RUN, str(cache), PRINT_PASSWORD]
    return subprocess.Popen(command, cwd=PROJECT, env=environment, stdout=subprocess.PIPE, text=True)


def test_simultaneous_and_later_runs_each_get_their_own_server(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    runs = [start(cache), start(cache)]
    passwords = {run.communicate(timeout=60)[0].strip() for run in runs}
    (cached,) = cache.iterdir()
    created_at = cached.stat().st_ctime_ns
    later = start(cache)
    passwords.add(later.communicate(timeout=60)[0].strip())
    assert [run.returncode for run in (*runs, later)] == [0, 0, 0]
    assert len(passwords) == 3, "each server has its own secrets"
    assert [path.stat().st_ctime_ns for path in cache.iterdir()] == [created_at], (
        "the cached folder was used and not recreated"
    )


def test_an_unwritable_cache_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    run = start(tmp_path / "file")
    run.communicate(timeout=60)
    assert run.returncode == 0


def test_an_incomplete_copy_is_not_used(tmp_path: Path) -> None:
    incomplete = tmp_path / "incomplete"
    incomplete.mkdir()
    (incomplete / "PG_VERSION").touch()
    (incomplete / "global").symlink_to("/nowhere")
    os.mkfifo(incomplete / "fifo")
    assert not new_data.copy(incomplete, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
    assert not new_data.copy(tmp_path / "missing", tmp_path / "copy")


def test_brokerages_start_with_a_migrated_database_and_passwords_of_their_own() -> None:
    with tempfile.TemporaryDirectory(prefix="brokerage-test-") as folder:
        urls = set()
        for path in (Path(folder) / "one", Path(folder) / "two"):
            prepared_data.prepare(path)
            prepared_data.prepare(path)
            with running_postgresql(path) as server, psycopg.connect(server.url) as connection:
                urls.add(server.url)
                count = connection.execute("SELECT count(*) FROM django_migrations WHERE app = 'trades'").fetchone()
                assert count == (len(list((PROJECT / "trades" / "migrations").glob("0*.py"))),)
            assert StaticFiles(path, PROJECT).are_collected
        assert len({url.partition("@")[0] for url in urls}) == 2


def test_what_cannot_be_prepared_is_left_to_the_first_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(new_data, "CACHE", tmp_path / "cache")
    monkeypatch.setenv("LANES", "none")  # no command starts with this setting
    with tempfile.TemporaryDirectory(prefix="brokerage-test-") as folder:
        prepared_data.prepare(Path(folder))
        assert not (Path(folder) / "postgres").exists()
        assert not (Path(folder) / "static").exists()
    assert not {*(tmp_path / "cache").glob("migrated-*"), *(tmp_path / "cache").glob("static-*")}
