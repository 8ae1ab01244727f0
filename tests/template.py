"""The database that tests start from: migrated once, kept in pytest's cache, and loaded from there until a migration
changes. Loading takes a tenth of the time."""

import hashlib
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from django.conf import settings
from django.db import connection
from psycopg import sql

from local.postgresql import binaries
from tests.settings import POSTGRESQL_DIR

OPTIONS = connection.settings_dict["OPTIONS"]
LONG_TIMEOUTS = OPTIONS | {"options": "", "answer_seconds_max": None, "commit_seconds_max": None}
ROOT = Path(__file__).resolve().parents[1]


def kept_dump(folder: Path) -> Path | None:
    """Return where the dump of the current schema is, or will be; None where the server is not ours to dump."""
    if not (POSTGRESQL_DIR / "postgres").exists():
        return None
    digest = hashlib.sha256()
    for path in [ROOT / "requirements.txt", *sorted(ROOT.glob("*/migrations/*.py"))]:
        digest.update(path.as_posix().encode() + path.read_bytes())
    return folder / f"{digest.hexdigest()[:32]}.dump"


def load(dump: Path) -> str:
    """Load a dump into a new database; returns its name."""
    name = "template"
    with psycopg.connect(_url("postgres"), autocommit=True) as server:
        server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    _run("pg_restore", "--exit-on-error", "--no-owner", f"--dbname={_url(name)}", str(dump))
    return name


def keep(dump: Path) -> None:
    """Dump the tests' database, which has just been migrated, in place of older dumps."""
    for old in dump.parent.glob("*.dump"):
        old.unlink(missing_ok=True)
    new = dump.with_suffix(f".{settings.WORKER}")  # type: ignore[misc]
    _run("pg_dump", "--format=custom", "--compress=none", f"--file={new}", _url(connection.settings_dict["NAME"]))
    new.replace(dump)


def _url(database: str) -> str:
    at = connection.settings_dict
    url = urlsplit(f"postgres://{at['HOST']}:{at['PORT']}/{database}")
    return url._replace(netloc=f"{at['USER']}:{at['PASSWORD']}@{url.netloc}").geturl()


def _run(program: str, *arguments: str) -> None:
    subprocess.run([binaries() / program, *arguments], check=True, capture_output=True, text=True)
