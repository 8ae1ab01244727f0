"""Peers: conventional implementations of the same work, measured in the same way. Each is a project under `peers/`.

A peer has its own database on the same PostgreSQL, another database number of the same Valkey, the same exchange, as
many customers and processes, and the same generator. It does less work: it begins with empty tables, looks up no
ticker, keeps no history and no reports, and posts one row where the brokerage posts two.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from urllib.parse import urlsplit, urlunsplit

from benchmarks import processes
from benchmarks.database import Database, Final
from benchmarks.population import DEPOSIT, TICKERS
from benchmarks.site import DRAIN_SECONDS_MAX, BooksDoNotHold, Site
from local import ports
from local.launcher import MARK
from local.orphans import end, processes_with_mark

ROOT = Path(__file__).parents[1]
PROJECTS = Path(__file__).with_name("peers")
REQUIREMENTS = PROJECTS / "requirements.txt"
ENVIRONMENT = ROOT / "var" / "peers"
"""The peers' own virtual environment, rebuilt whenever their requirements change."""
WEB = (
    "granian --interface wsgi --host 127.0.0.1 --port {port} --workers 2 --blocking-threads 4 --backlog 2048"
    " --backpressure 256 --no-ws --log-level warning broker.wsgi:application"
)
"""The same command as the brokerage's `web`."""
WORKERS = {
    # Celery's default: a process for each core.
    "plain": "celery --app plain worker --loglevel WARNING --concurrency {cores}",
    "procrastinate": "django-admin procrastinate worker --concurrency {threads} --delete-jobs successful",
}
MODULES = {"plain": "plain", "procrastinate": "with_procrastinate"}
PEERS = tuple(WORKERS)
THREADS = 4
START_SECONDS_MAX = 60.0
SHARES = 1_000_000


class NotInstalled(Exception):
    """The peers' requirements could not be installed; the message says why."""


class PeerDatabase(Database):
    """The same queries for a peer's tables."""

    def open_trades(self) -> int:
        return int(self._row("SELECT count(*) FROM broker_trade WHERE status IN ('PLACED', 'IN PROGRESS')")[0])

    def finals(self, since: float) -> dict[str, Final]:
        """Return the final trades that were placed after this time (epoch seconds), by id."""
        rows = self.connection.execute(FINALS, [since])
        return {str(id): Final(placed_at, final_at, status) for id, placed_at, final_at, status in rows}


class Peer:
    """A context manager that runs one peer while the brokerage itself is frozen."""

    def __init__(self, name: str, site: Site, say: Callable[[str], None] = lambda _: None) -> None:
        self.name, self.site, self.say = name, site, say
        self.folder = site.folder / name
        self.tokens_file = site.tokens_file
        self.web, self.workers = site.brokerage.scale.get("web", 1), site.brokerage.scale.get("lanes", 1)
        self.port = ports.choose(self.web)
        self.mark = f"{site.brokerage.data_dir}#{name}"
        self.started: dict[int, str] = {}
        self._processes: list[subprocess.Popen[bytes]] = []
        self._resume: Callable[[], None] = lambda: None

    def __enter__(self) -> Peer:
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop()

    def _start(self) -> None:
        install(self.say)
        self.folder.mkdir()
        self.site.drain()
        self._resume = self.site.freeze({"lanes", "sweep"})
        self.environment = self._environment()
        url = self.environment["DATABASE_URL"]
        name = urlsplit(url).path.lstrip("/")
        owner = self.site.database.connection.execute(OWNER).fetchone()
        self.site.database.connection.execute(f"CREATE DATABASE {name} OWNER {owner[0] if owner else ''}")
        self._run("django-admin migrate --verbosity 0")
        self.database: Database = PeerDatabase(self.site.brokerage.data_dir, url)
        self._populate()
        for number in range(self.web):
            self._launch("web", WEB.format(port=self.port + number))
        for _ in range(self.workers):
            self._launch("worker", WORKERS[self.name].format(cores=os.cpu_count(), threads=THREADS))
        self._wait_until_ready()

    def _environment(self) -> dict[str, str]:
        site = self.site.environment
        broker = urlsplit(site["BROKER_URL"])
        return {
            "PATH": os.pathsep.join([str(ENVIRONMENT / "bin"), os.environ.get("PATH", os.defpath)]),
            "PYTHONPATH": str(PROJECTS),
            "DJANGO_SETTINGS_MODULE": f"{MODULES[self.name]}.settings",
            "DATABASE_URL": f"{site['MIGRATE_DATABASE_URL'].rpartition('/')[0]}/peer_{self.name}",
            "BROKER_URL": urlunsplit(broker._replace(path="/1")),
            "CALLBACK_URL": f"http://127.0.0.1:{self.port}/exchange/callbacks",
            **{name: site[name] for name in ("EXCHANGE_URL", "EXCHANGE_SECRET", "SECRET_KEY")},
            MARK: self.mark,
        }

    def _populate(self) -> None:
        population = self.site.population
        numbers = {
            "first": population.first_id,
            "end": population.first_id + population.customers,
            "deposit": DEPOSIT,
            "shares": SHARES,
            "tickers": list(TICKERS),
        }
        for statement in CUSTOMERS:
            self.database.connection.execute(statement, numbers)
        self.database.vacuum_and_checkpoint()

    def _run(self, command: str) -> None:
        result = subprocess.run(
            command.split(), executable=self._program(command), cwd=PROJECTS, env=self.environment, capture_output=True
        )
        if result.returncode:
            raise RuntimeError(f"{command}: {result.stderr.decode(errors='replace')[-2000:]}")

    def _launch(self, kind: str, command: str) -> None:
        with open(self.folder / f"{kind}.log", "ab") as log:
            process = subprocess.Popen(
                command.split(),
                executable=self._program(command),
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.started[process.pid] = kind
        self._processes.append(process)

    def _program(self, command: str) -> str:
        return str(ENVIRONMENT / "bin" / command.split()[0])

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS_MAX
        for number in range(self.web):
            while not _answers(self.port + number):
                if time.monotonic() > deadline or any(process.poll() is not None for process in self._processes):
                    logs = "".join(path.read_text(errors="replace")[-2000:] for path in self.folder.glob("*.log"))
                    raise RuntimeError(f"{self.name} did not start: {logs}")
                time.sleep(0.05)
        # The workers are ready once they have settled a trade.
        token = self.site.population.tokens(1)[0]
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/api/v1/trades",
            data=f'{{"stockTicker": "{TICKERS[0]}", "type": "BUY", "quantity": 1}}'.encode(),
            headers={"Content-Type": "application/json", "Authorization": f"Bearer {token}"},
        )
        with urllib.request.urlopen(request, timeout=30):  # noqa: S310
            pass
        self.database.wait_until_nothing_is_open(START_SECONDS_MAX)

    def _stop(self) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        end(processes_with_mark(self.mark))
        if hasattr(self, "database"):
            self.database.close()
        self._resume()

    # -- the LoadTarget protocol

    @property
    def addresses(self) -> list[tuple[str, int]]:
        return [("127.0.0.1", self.port + number) for number in range(self.web)]

    def roots(self) -> dict[int, str]:
        """Return the pids of its processes and of the shared servers, each with its kind; the others are frozen."""
        used = {"postgres", "valkey", "exchange", "benchmark"}
        return {
            **{pid: kind if kind in used else "brokerage" for pid, kind in self.site.roots().items()},
            **self.started,
        }

    def calm_down(self) -> None:
        """Vacuum and do a checkpoint; a peer leaves nothing else behind."""
        self.database.vacuum_and_checkpoint()

    def drain(self) -> float:
        """Wait until every trade is final; return the seconds that took."""
        return self.database.wait_until_nothing_is_open(DRAIN_SECONDS_MAX)

    def memory(self) -> dict[str, dict[str, float]]:
        return processes.memory(self.roots())

    def audit(self) -> dict[str, int]:
        """Check that cash and shares equal deposits plus postings. Raises BooksDoNotHold."""
        self.drain()
        row = self.database.connection.execute(BOOKS, {"deposit": DEPOSIT, "shares": SHARES}).fetchone()
        names = ("trades", "tradesWithoutTheirPosting", "balancesThatAreOff", "positionsThatAreOff")
        counts = dict(zip(names, row or (), strict=True))
        if any(count for name, count in counts.items() if name != "trades"):
            raise BooksDoNotHold(f"{self.name}: {counts}")
        return counts


def install(say: Callable[[str], None]) -> None:
    """Create the peers' virtual environment, unless it is up to date. Raises NotInstalled."""
    fingerprint = hashlib.sha256(REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()
    installed = ENVIRONMENT / "installed"
    if installed.exists() and installed.read_text() == fingerprint:
        return
    say(f"installing {REQUIREMENTS.relative_to(ROOT)} into {ENVIRONMENT.relative_to(ROOT)}")
    shutil.rmtree(ENVIRONMENT, ignore_errors=True)
    python = str(ENVIRONMENT / "bin" / "python")
    for command in (
        [sys.executable, "-m", "venv", str(ENVIRONMENT)],
        [python, *PIP_INSTALL, str(REQUIREMENTS)],
    ):
        result = subprocess.run(command, capture_output=True, text=True)
        if result.returncode:
            raise NotInstalled((result.stderr or result.stdout).strip()[-500:])
    installed.write_text(fingerprint)


PIP_INSTALL = ["-m", "pip", "install", "-qq", "--disable-pip-version-check", "--no-input", "--require-hashes", "-r"]


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


OWNER = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()"
EACH_CUSTOMER = "generate_series(%(first)s::bigint, %(end)s::bigint - 1) AS id"
CUSTOMERS = [
    f"""
    INSERT INTO auth_user (id, password, is_superuser, username, first_name, last_name, email, is_staff, is_active,
                           date_joined)
    SELECT id, '!', false, 'customer-' || id, '', '', '', false, true, now() FROM {EACH_CUSTOMER}
    """,
    # The same tokens as the brokerage's customers have.
    f"INSERT INTO authtoken_token (key, user_id, created) SELECT 'bench_token_' || id, id, now() FROM {EACH_CUSTOMER}",
    f"INSERT INTO broker_balance (customer_id, amount) SELECT id, %(deposit)s FROM {EACH_CUSTOMER}",
    f"""
    INSERT INTO broker_position (customer_id, ticker, quantity)
    SELECT id, ticker, %(shares)s FROM {EACH_CUSTOMER}, unnest(%(tickers)s::text[]) AS ticker
    """,
]
# A final trade's row is never updated again, so the transaction that wrote it is the one that settled it.
FINALS = """
    SELECT id, extract(epoch FROM placed_at)::float8, extract(epoch FROM pg_xact_commit_timestamp(xmin))::float8, status
    FROM broker_trade WHERE placed_at >= to_timestamp(%s) AND status IN ('FILLED', 'REJECTED')
"""
BOOKS = """
    SELECT (SELECT count(*) FROM broker_trade),
           (SELECT count(*) FROM broker_trade AS t FULL JOIN broker_posting AS p ON p.trade_id = t.id
            WHERE (t.status = 'FILLED') IS DISTINCT FROM (p.id IS NOT NULL)
               OR p.id IS NOT NULL AND (abs(p.cash), abs(p.shares), p.ticker, p.customer_id)
                  IS DISTINCT FROM (t.quantity * t.price, t.quantity, t.ticker, t.customer_id)
               OR sign(p.shares) <> CASE t.type WHEN 'BUY' THEN 1 ELSE -1 END OR sign(p.cash) = sign(p.shares)),
           (SELECT count(*) FROM broker_balance AS b
            WHERE amount < 0 OR amount <> %(deposit)s + coalesce(
                (SELECT sum(cash) FROM broker_posting AS p WHERE p.customer_id = b.customer_id), 0)),
           (SELECT count(*) FROM broker_position AS b
            WHERE quantity < 0 OR quantity <> %(shares)s + coalesce(
                (SELECT sum(shares) FROM broker_posting AS p
                 WHERE p.customer_id = b.customer_id AND p.ticker = b.ticker), 0))
"""
