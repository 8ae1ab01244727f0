"""PostgreSQL servers for one test, which can be killed, filled up and restored."""

from __future__ import annotations

import os
import pwd
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import psycopg
from django.core.management import call_command
from django.db import connection

from exchange import market
from local import ports, prepared_data
from local.folder import Folder
from local.postgresql import ADMIN, DATABASE, OWNER, PostgreSQL, binaries

START_SECONDS_MAX = 60.0


class Pair:
    """A primary and, optionally, a streaming standby."""

    def __init__(self, folder: Path, environment: dict[str, str] | None = None) -> None:
        """
        Args:
            folder: The folder for its data.
            environment: Additional environment variables of its servers.
        """
        self.folder = Folder(folder)
        self._environment = {**os.environ, **(environment or {})}
        self.keys = self.folder.keys()
        self.primary = PostgreSQL(self.folder, self.keys, ports.choose(), fsync=False)
        self.standby_port = ports.choose(avoid=[self.primary.port])
        self.standby_data = folder / "standby"
        self._running: list[subprocess.Popen[bytes]] = []

    def start_primary(self, *settings: str) -> None:
        """Start the primary on a migrated database, with these additional settings (`name=value`)."""
        prepared_data.prepare_database(self.folder.path)
        self.primary.prepare()
        self.run(self.primary.data, self.primary.port, *settings)
        self._wait(self.primary.is_ready)
        self.primary.create_roles_and_database()

    def back_up(self, folder: Path, *more: str) -> None:
        """Make a base backup of the primary in this folder."""
        command = [str(binaries() / "pg_basebackup"), "-D", str(folder), "-X", "stream", "-c", "fast", *more]
        command += ["--no-sync", "-d", self._conninfo(self.primary.port)]
        subprocess.run(command, check=True, capture_output=True, **self._user())
        folder.chmod(0o700)

    def start_standby(self) -> None:
        self.back_up(self.standby_data, "-R")
        self.run(self.standby_data, self.standby_port)
        self._wait(lambda: self.query(self.standby_port, "SELECT pg_is_in_recovery()") == [(True,)])
        self._wait(lambda: self.query(self.primary.port, "SELECT count(*) FROM pg_stat_replication") == [(1,)])

    def make_standby_synchronous(self) -> None:
        self.query(self.primary.port, "ALTER SYSTEM SET synchronous_standby_names = '*'")
        self.query(self.primary.port, "SELECT pg_reload_conf()")
        self._wait(lambda: self.query(self.primary.port, "SELECT sync_state FROM pg_stat_replication") == [("sync",)])

    def has_ended(self) -> bool:
        """Return whether the primary has exited by itself."""
        return self._running[0].poll() is not None

    def wait_for(self, port: int) -> None:
        """Wait until the server at this port accepts connections and writes."""
        self._wait(lambda: self.query(port, "SELECT pg_is_in_recovery()") == [(False,)])

    def receiver(self) -> psutil.Process:
        """Return the standby's WAL receiver process."""
        (row,) = self.query(self.standby_port, "SELECT pid FROM pg_stat_wal_receiver")
        return psutil.Process(row[0])

    def kill_primary(self) -> None:
        primary = self._running[0]
        for process in [*psutil.Process(primary.pid).children(), psutil.Process(primary.pid)]:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        primary.wait()

    def promote(self) -> None:
        """Promote the standby to primary, with a retry if it closes the connection in the meantime."""
        self._wait(self._is_promoted)

    def _is_promoted(self) -> bool:
        with suppress(psycopg.OperationalError):
            if self.query(self.standby_port, "SELECT pg_is_in_recovery()") == [(False,)]:
                return True
            self.query(self.standby_port, "SELECT pg_promote(true, 30)")
        return False

    def stop(self) -> None:
        for process in self._running:
            process.kill()
            process.wait()

    def query(self, port: int, statement: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self._conninfo(port), autocommit=True) as session:
            cursor = session.execute(statement)  # type: ignore[call-overload]
            return cursor.fetchall() if cursor.description else []

    def run(self, data: Path, port: int, *settings: str) -> None:
        """Start a server on this folder. It may not accept connections yet when this returns."""
        command = [str(binaries() / "postgres"), "-D", str(data), "-p", str(port), "-c", "listen_addresses=127.0.0.1"]
        command += ["-c", "unix_socket_directories=", "-c", "fsync=off", "-c", "max_connections=50"]
        command += [argument for setting in settings for argument in ("-c", setting)]
        with open(self.folder.logs / f"{data.name}.log", "ab") as log:
            self._running.append(
                subprocess.Popen(
                    command, stdout=log, stderr=log, start_new_session=True, env=self._environment, **self._user()
                )
            )

    def _user(self) -> dict[str, Any]:
        if self.primary.user is None:
            return {}
        os.chown(self.folder.path, self.primary.user, -1)
        group = pwd.getpwuid(self.primary.user).pw_gid
        return {"user": self.primary.user, "group": group, "extra_groups": [], "cwd": "/"}

    def _conninfo(self, port: int) -> str:
        password = self.keys.postgres_admin_password
        return f"host=127.0.0.1 port={port} user={ADMIN} password={password} dbname=postgres connect_timeout=3"

    def _wait(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_SECONDS_MAX
        while True:
            try:
                if condition():
                    return
            except psycopg.Error:
                pass
            assert time.monotonic() < deadline, [file.read_text()[-1500:] for file in self.folder.logs.glob("*.log")]
            time.sleep(0.05)


@contextmanager
def serving(pair: Pair) -> Iterator[None]:
    """Connect the test to the primary, with the brokerage's tables in it."""
    original = {name: connection.settings_dict[name] for name in ("PORT", "USER", "PASSWORD", "NAME")}
    try:
        connection.close()
        connection.settings_dict.update(
            PORT=str(pair.primary.port), USER=OWNER, PASSWORD=pair.keys.postgres_password, NAME=DATABASE
        )
        call_command("migrate", verbosity=0)  # has nothing to do, unless the migrated database could not be cached
        yield
    finally:
        connection.close()
        connection.settings_dict.update(original)
        market.forget()
        pair.stop()
