"""Run the whole brokerage on this machine (`make run`) until SIGINT or SIGTERM."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

from local import plan, postgresql, valkey
from local.console import BoundedLog, Console, Reader
from local.errors import UserError, reason_in
from local.folder import Folder, write_private
from local.launcher import Specification, command_line
from local.orphans import end, processes_of_folder
from local.parent_make import ParentMake
from local.plan import PROJECT
from local.ports import LOOPBACK
from local.postgresql import PostgreSQL
from local.ready import answers, ready_text
from local.static_files import StaticFiles
from local.supervision import APPLICATION, Supervised, Supervision
from local.valkey import Valkey

SERVERS_READY_SECONDS_MAX = 120.0
"""PostgreSQL may have much to recover after a crash."""
READY_SECONDS_MAX = 300.0
DEATHS_BEFORE_READY_MAX = 5
"""A process that dies this often before the brokerage is ready is not going to recover."""
STOP_SECONDS_MAX = 13.5
OWNER_URL = "MIGRATE_DATABASE_URL"
"""For manage.py commands only: the application's processes don't get it."""
POLL_SECONDS = 0.1
LONG_TIMEOUTS = dict.fromkeys(
    ("STATEMENT_TIMEOUT_MS", "TRANSACTION_TIMEOUT_MS", "IDLE_IN_TRANSACTION_TIMEOUT_MS"), "600000"
)
"""For setup steps, which block no customer and can be slow on a busy machine."""


class Stopped(Exception):
    """SIGINT or SIGTERM was received."""


def run() -> int:
    """Run until SIGINT or SIGTERM, and return the exit code.

    Raises:
        UserError: The brokerage can't run. Nothing is left running.
    """
    return Run(plan.read(os.environ, PROJECT)).run()


class Run:
    """One run of the brokerage on one data folder."""

    def __init__(self, plan: plan.Plan) -> None:
        self.plan = plan
        self.folder = Folder(plan.data_dir)
        self.console = Console(["postgres", "valkey", *(process.name for process in plan.processes)])
        self.signals: list[int] = []
        self.parent_make = ParentMake()
        self.servers: list[PostgreSQL | Valkey] = []
        self.steps: list[subprocess.Popen[bytes]] = []
        self.started = time.monotonic()
        self.valkey_deaths = 0

    def run(self) -> int:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        self.folder.lock()
        self.folder.environment.unlink(missing_ok=True)
        if count := end(processes_of_folder(self.folder.path)):
            self.console.announce(f"ended {count} processes left over from an earlier run")
        self.plan.check_ports()
        self.sockets = self.folder.sockets()
        self.reader = Reader()
        self.supervision = Supervision(self.folder, self.sockets, self.console.announce)
        try:
            self._start()
            self._watch()
        except Stopped:
            pass
        finally:
            self._stop()
        return 0

    # -- starting

    def _start(self) -> None:
        self.environment = self._environment()
        static_files = StaticFiles(self.folder.path, self.plan.root)
        collecting = None
        if self._manages and not static_files.are_collected:
            static_files.forget()
            collecting = self._begin("collectstatic", "--noinput", "--clear")
        self.supervision.configure([*self._server_processes(), *self._application_processes()])
        for name in self._outputs():
            self.reader.read_pipe(self._pipe(name), self._line_handler(name))
        self._start_supervision()
        write_private(
            self.folder.environment,
            {
                **self.environment,
                "RUNNER_PID": str(os.getpid()),
                "SUPERVISOR_SOCKET": str(self.supervision.socket),
            },
        )
        demo: dict[str, Any] = {}
        if self._manages:
            # Before any process trades, so that no trade is settled without fees.
            demo = self._set_up()
        if collecting is not None:
            with self._step("Static files collected"):
                self._finish(collecting, "collectstatic")
                static_files.note_collected()
        self.supervision.start_application()
        with self._step("Processes ready"):
            self._wait_until_ready()
        self.console.announce(f"started in {time.monotonic() - self.started:.1f} s")
        self.console.say(ready_text(self.plan.url, demo))

    def _environment(self) -> dict[str, str]:
        """Return the environment of processes and commands, and decide which servers to run.

        Raises:
            UserError: A server named by DATABASE_URL or BROKER_URL doesn't answer.
        """
        keys = self.folder.keys()
        database_url, broker_url = self.plan.database_url, self.plan.broker_url
        owner = {OWNER_URL: os.environ[OWNER_URL]} if OWNER_URL in os.environ else {}
        if database_url is None:
            postgres = PostgreSQL(self.folder, keys, self.folder.port("postgres"))
            self.servers.append(postgres)
            database_url, owner = postgres.url, {OWNER_URL: postgres.owner_url}
        elif reason := postgresql.answers(database_url):
            raise UserError(f"DATABASE_URL does not answer: {reason}. Start that server, or unset DATABASE_URL.")
        if broker_url is None:
            self.servers.append(Valkey(self.folder, keys, self.folder.port("valkey")))
            broker_url = self.servers[-1].url
        elif reason := valkey.answers(broker_url):
            raise UserError(f"BROKER_URL does not answer: {reason}. Start that server, or unset BROKER_URL.")
        ports = self.plan.ports
        return {
            "DATABASE_URL": database_url,
            **owner,
            "BROKER_URL": broker_url,
            "EXCHANGE_URL": self.plan.exchange_url or f"http://{LOOPBACK}:{ports['EXCHANGE_PORT']}",
            "EXCHANGE_SECRET": os.environ.get("EXCHANGE_SECRET") or keys.exchange_secret,
            "CALLBACK_URL": os.environ.get("CALLBACK_URL") or f"{self.plan.url}/exchange/callbacks",
            "SECRET_KEY": os.environ.get("SECRET_KEY") or keys.secret_key,
            **{name: os.environ[name] for name in ("CACHE_URL", "KEY_PREFIX") if name in os.environ},
            "DEMO": str(int(self._may_have_demo_data)),
            "LANES": str(self.plan.lanes),
            "DATA_DIR": str(self.folder.path),
            **{name: str(port) for name, port in ports.items()},
        }

    @property
    def _may_have_demo_data(self) -> bool:
        """Whether to create accounts with public passwords: only in an embedded database, or if DEMO is set."""
        if _is_switched_on("PRODUCTION"):
            return False
        return _is_switched_on("DEMO") or any(isinstance(server, PostgreSQL) for server in self.servers)

    def _process_environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
        programs = str(Path(sys.executable).parent)
        path = os.pathsep.join([programs, os.environ.get("PATH", os.defpath)])
        return {**inherited, **self.environment, "PATH": path}

    def _server_processes(self) -> Iterator[Supervised]:
        for server in self.servers:
            name = "postgres" if isinstance(server, PostgreSQL) else "valkey"
            specification = server.specification(self._mark(name), self._pipe(name), self._started_file(name))
            if isinstance(server, PostgreSQL):  # SIGINT is PostgreSQL's fast shutdown
                yield Supervised(specification, name, 10, "INT", 4, at_once=True)
            else:
                yield Supervised(specification, name, 20, "TERM", 2, at_once=True)

    def _application_processes(self) -> Iterator[Supervised]:
        environment = {name: value for name, value in self._process_environment().items() if name != OWNER_URL}
        for process in self.plan.processes:
            specification = Specification(
                name=process.name,
                command=["/bin/sh", "-c", f"exec {process.command}"],
                environment={**environment, **process.environment},
                directory=str(self.plan.root),
                mark=self._mark(process.name),
                output=str(self._pipe(process.name)),
                started=str(self._started_file(process.name)),
            )
            yield Supervised(specification, APPLICATION, 30, "TERM", 6, at_once=False)

    def _start_supervision(self) -> None:
        for server in self.servers:
            server.prepare()
        self.reader.read(self.supervision.start(), self.supervision.handle_message)
        for server in self.servers:
            name = f"PostgreSQL {server.version}" if isinstance(server, PostgreSQL) else "Valkey"
            with self._step(f"{name} ready"):
                self._wait(server.is_ready, SERVERS_READY_SECONDS_MAX, self._server_failure)
                if isinstance(server, PostgreSQL):
                    server.create_roles_and_database()

    def _replace_damaged_valkey_data(self) -> None:
        """Let an embedded Valkey that can't read its data start with an empty folder."""
        for server in self.servers:
            deaths = self.supervision.deaths.get("valkey", 0)
            if isinstance(server, Valkey) and deaths > self.valkey_deaths:
                self.valkey_deaths = deaths
                if moved_to := server.set_aside_damaged_data(self.folder.logs / "valkey.log"):
                    self.console.announce(f"valkey's data was damaged and has been moved to {moved_to}")

    def _server_failure(self) -> str | None:
        """Return why waiting for the servers is pointless, or None."""
        self._replace_damaged_valkey_data()
        for name in ("postgres", "valkey"):
            if self.supervision.deaths.get(name, 0) >= DEATHS_BEFORE_READY_MAX:
                file = self.folder.logs / f"{name}.log"
                output = file.read_text(errors="replace") if file.exists() else ""
                return f"{name} doesn't start: {reason_in(output)} (see {file})"
        return None

    def _wait_until_ready(self) -> None:
        """Wait until every process that has a port answers. Raises UserError, Stopped."""

        def failure() -> str | None:
            for name, count in self.supervision.deaths.items():
                if count >= DEATHS_BEFORE_READY_MAX:
                    return f"{name} keeps dying; see its output above."
            return None

        for process in self.plan.processes:
            if process.port is None:
                continue
            path = {"web": "/readyz", "stream": "/healthz", "exchange": "/healthz"}.get(process.type)
            host = LOOPBACK if process.type == "exchange" else self.plan.host
            self._wait(partial(answers, process.port, path, host), READY_SECONDS_MAX, failure)

    # -- manage.py commands

    @property
    def _manages(self) -> bool:
        return (self.plan.root / "manage.py").exists()

    def _set_up(self) -> dict[str, Any]:
        """Prepare the database, and return the demo accounts. Raises UserError if that fails, Stopped."""
        demo = ["--demo"] if self._may_have_demo_data else []
        done = json.loads(self._finish(self._begin("set_up", "--json", *demo), "set_up"))
        for step, seconds in done["seconds"].items():
            self.console.announce(f"{step} ({seconds} s)")
        return dict(done["demo"])

    def _begin(self, *arguments: str) -> subprocess.Popen[bytes]:
        specification = Specification(
            name=arguments[0],
            command=[sys.executable, "manage.py", *arguments],
            environment={**self._process_environment(), **LONG_TIMEOUTS, "PROCESS_NAME": arguments[0]},
            directory=str(self.plan.root),
            mark=self._mark(arguments[0]),
        )
        file = self.folder.state / f"{arguments[0]}.json"
        specification.write(file)
        with (
            open(self.folder.logs / f"{arguments[0]}.log", "wb") as log,
            open(self.folder.logs / f"{arguments[0]}.out", "wb") as out,
        ):
            process = subprocess.Popen(
                command_line(file), stdin=subprocess.DEVNULL, stdout=out, stderr=log, start_new_session=True
            )
        self.steps.append(process)
        return process

    def _finish(self, process: subprocess.Popen[bytes], name: str) -> str:
        while process.poll() is None:
            self._check_signals()
            time.sleep(0.02)
        out = (self.folder.logs / f"{name}.out").read_text(errors="replace")
        if process.returncode != 0:
            log = (self.folder.logs / f"{name}.log").read_text(errors="replace")
            for line in [*out.splitlines(), *log.splitlines()][-30:]:
                self.console.line(name, line)
            raise UserError(f"manage.py {name} failed; see its output above.")
        return out

    # -- running

    def _watch(self) -> None:
        """Wait for a signal, and restart everything if supervisord dies."""
        while True:
            self._check_signals()
            try:
                self._replace_damaged_valkey_data()
                if not self.supervision.is_up:
                    self.console.announce("supervisord died; starting everything again")
                    end(processes_of_folder(self.folder.path))
                    self._start_supervision()
                    self.supervision.start_application()
            except (OSError, UserError) as error:  # the next iteration retries
                self.console.announce(str(error))
            time.sleep(POLL_SECONDS)

    def _wait(
        self, ready: Callable[[], bool], seconds_max: float, failure: Callable[[], str | None] = lambda: None
    ) -> None:
        """Wait until `ready`. Raises UserError after `seconds_max` or if `failure` returns a reason, Stopped."""
        deadline = time.monotonic() + seconds_max
        while not ready():
            self._check_signals()
            if reason := failure():
                raise UserError(reason)
            if not self.supervision.is_up:
                raise UserError(f"supervisord ended: {self.supervision.last_error or 'no reason given'}")
            if time.monotonic() > deadline:
                raise UserError(f"not ready after {seconds_max:.0f} s; the lines above may say why.")
            time.sleep(0.03)

    def _check_signals(self) -> None:
        if self.parent_make.has_ended:
            self.signals.append(signal.SIGTERM)
        if self.signals:
            raise Stopped

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.signals.append(number)

    # -- ending

    def _stop(self) -> None:
        """Stop everything in order; a second signal kills the application's processes at once."""
        began = time.monotonic()
        was_running = self.supervision.is_up
        if was_running:
            self.console.announce("stopping")
        signals_allowed = len(self.signals) + 1
        for step in self.steps:
            if step.poll() is None:
                step.kill()
                step.wait()
        self.supervision.end()
        while self.supervision.is_up:
            if len(self.signals) >= max(signals_allowed, 2):
                signals_allowed = len(self.signals) + 1
                self.console.announce("killing what is still running")
                names = {process.name for process in self.plan.processes}
                end(process for name in names for process in self._of(name))
            if time.monotonic() - began > STOP_SECONDS_MAX:
                self.supervision.kill()
            time.sleep(0.02)
        end(processes_of_folder(self.folder.path))
        self.reader.close()
        self.folder.environment.unlink(missing_ok=True)
        if self.sockets.parent != self.folder.state:
            shutil.rmtree(self.sockets, ignore_errors=True)
        if was_running:
            self.console.announce(f"stopped ({time.monotonic() - began:.1f} s)")

    def _of(self, name: str) -> list[Any]:
        from local.orphans import processes_with_mark

        return processes_with_mark(self._mark(name))

    # -- names

    def _mark(self, name: str) -> str:
        return f"{self.folder.path}#{name}"

    def _pipe(self, name: str) -> Path:
        return self.folder.state / f"{name}.output"

    def _started_file(self, name: str) -> Path:
        return self.folder.state / f"{name}.started"

    def _outputs(self) -> list[str]:
        servers = ["postgres" if isinstance(server, PostgreSQL) else "valkey" for server in self.servers]
        return [*servers, *(process.name for process in self.plan.processes)]

    def _line_handler(self, name: str) -> Callable[[str], None]:
        """Return a handler that logs every line, and prints it unless it is a server's routine message."""
        server = {"postgres": postgresql.is_warning, "valkey": valkey.is_warning}.get(name)
        log = BoundedLog(self.folder.logs / f"{name}.log")

        def take(line: str) -> None:
            log.write(line)
            if server is None or server(line):
                self.console.line(name, line)

        return take

    @contextmanager
    def _step(self, step: str) -> Iterator[None]:
        """Announce that a step is done, and how long it took."""
        began = time.monotonic()
        yield
        self.console.announce(f"{step} ({time.monotonic() - began:.1f} s)")


def _is_switched_on(name: str) -> bool:
    return os.environ.get(name, "").strip().lower() in {"1", "true", "yes", "on"}
