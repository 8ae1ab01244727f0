"""`python -m local.write_schema`: write brokerage/database/schema.sql from the migrations."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import psycopg
from psycopg import sql

from local.plan import PROJECT
from local.postgresql import binaries
from local.prepared_data import manage
from local.with_services import running_postgresql

FILE = PROJECT / "brokerage/database/schema.sql"
HEAD = """\
-- The tables that the migrations listed at the end make in a new database. Written by `make schema`; not by hand.
"""
WRITTEN_BY_DJANGO = {"django_migrations", "django_content_type", "auth_permission"}
"""Tables whose rows `migrate` itself writes, in a new database too."""
OF_THE_SESSION = re.compile(r"^(SET |SELECT pg_catalog\.set_config|\\).*\n", re.MULTILINE)
COMMENT = re.compile(r"^--.*\n", re.MULTILINE)
EMPTY_LINES = re.compile(r"\n{2,}")


def main() -> None:
    """Migrate an empty database and write the file."""
    with (
        tempfile.TemporaryDirectory(prefix="brokerage-schema-") as scratch,
        running_postgresql(Path(scratch)) as server,
    ):
        completed = manage(scratch, {"DATABASE_URL": server.owner_url}, "migrate", "--noinput", "--one-by-one")
        if completed.returncode != 0:
            sys.exit(f"error: {completed.stderr}")
        refuse_rows(server.owner_url)
        FILE.write_text(HEAD + tables(server.owner_url) + migrations(server.owner_url))


def refuse_rows(url: str) -> None:
    """Exit with an error if a migration inserted rows, because the file has none."""
    with psycopg.connect(url) as connection:
        names = [name for (name,) in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
        filled = [
            name
            for name in names
            if name not in WRITTEN_BY_DJANGO
            and connection.execute(sql.SQL("SELECT 1 FROM {} LIMIT 1").format(sql.Identifier(name))).fetchone()
        ]
    if filled:
        sys.exit(f"error: migrations insert rows into {', '.join(filled)}, and {FILE.name} has none: insert them later")


def tables(url: str) -> str:
    """Return the SQL that creates the tables of a database and everything that belongs to them, without owners."""
    options = ["--schema-only", "--no-owner", "--no-privileges", "--no-comments"]
    dump = subprocess.run([str(binaries() / "pg_dump"), *options, url], capture_output=True, text=True, check=True)
    text = OF_THE_SESSION.sub("", COMMENT.sub("", dump.stdout))
    return EMPTY_LINES.sub("\n", text).lstrip("\n")


def migrations(url: str) -> str:
    """Return the SQL that records the migrations of a database."""
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT app, name FROM django_migrations ORDER BY id").fetchall()
    values = ",\n".join(f"    ('{app}', '{name}', now())" for app, name in rows)
    return f"INSERT INTO public.django_migrations (app, name, applied) VALUES\n{values};\n"


if __name__ == "__main__":
    main()
