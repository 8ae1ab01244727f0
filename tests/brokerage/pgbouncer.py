"""A real PgBouncer (Debian's package) in transaction mode, in front of the tests' PostgreSQL."""

import os
import pwd
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import psycopg

from local import ports

PROGRAM = Path("/usr/sbin/pgbouncer")


class PgBouncer:
    """One pooler: a context manager that starts and stops it."""

    def __init__(self, folder: Path, database: dict[str, Any]) -> None:
        self.port = ports.choose()
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "users").write_text(f'"{database["USER"]}" "{database["PASSWORD"]}"\n')
        (folder / "pgbouncer.ini").write_text(
            f"[databases]\n* = host={database['HOST'] or '127.0.0.1'} port={database['PORT']}\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {self.port}\nunix_socket_dir =\n"
            f"auth_type = scram-sha-256\nauth_file = {folder / 'users'}\npool_mode = transaction\n"
            "default_pool_size = 2\nmax_client_conn = 100\n"
        )
        self._process: subprocess.Popen[bytes] | None = None
        self._connect = {
            "host": "127.0.0.1",
            "port": self.port,
            "user": database["USER"],
            "password": database["PASSWORD"],
            "dbname": database["NAME"],
        }

    def __enter__(self) -> "PgBouncer":
        run_as: dict[str, Any] = {}
        if os.geteuid() == 0:  # PgBouncer refuses to run as root
            account = pwd.getpwnam("nobody")
            run_as = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
            for path in (self._folder, *self._folder.iterdir()):
                os.chown(path, account.pw_uid, account.pw_gid)
            for parent in self._folder.parents:
                if not parent.stat().st_mode & 0o001:
                    parent.chmod(parent.stat().st_mode | 0o001)
        with open(self._folder.with_suffix(".log"), "wb") as log:
            self._process = subprocess.Popen(
                [PROGRAM, self._folder / "pgbouncer.ini"], stdout=log, stderr=log, **run_as
            )
        deadline = time.monotonic() + 15
        while True:
            try:
                psycopg.connect(**self._connect).close()
                return self
            except psycopg.OperationalError:
                assert time.monotonic() < deadline, self._folder.with_suffix(".log").read_text()
                time.sleep(0.1)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(10)
