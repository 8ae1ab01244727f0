"""`make restore-drill`: backs up a brokerage under load, deletes its database, and restores it to a point in time.

It proves that the restored books are consistent (audit_books), that lost_trades names every trade that customers had
confirmed but that is gone or open again, that trades which the exchange finished meanwhile are settled as it says,
and that nothing is executed again. The last line printed is one JSON object. Exit code 0: everything held.
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import urllib3

from chaos.checker import read_exchange, wait_until_final
from chaos.site import open_accounts
from local import ports
from local.folder import Folder
from local.harness import Brokerage
from local.plan import PROJECT
from local.postgresql import PostgreSQL, allow_server_user, binaries

CUSTOMERS = 20
TRADES = 60
"""Trades placed in each phase: before the base backup, up to the point in time, and after it."""
WAIT_SECONDS_MAX = 120.0
TOOLS = PROJECT / "deploy/backup"


class Drill:
    """One restore drill in a temporary folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data, self.backup, self.restored = folder / "var", folder / "backup", folder / "restored"
        data_folder = Folder(self.data)
        self.keys = data_folder.keys()
        self.postgres = PostgreSQL(data_folder, self.keys, data_folder.port("postgres"))
        self.brokerage = Brokerage(self.data, env={"LOG_FORMAT": "json", "NO_COLOR": "1"})
        self.key_of_trade: dict[str, str] = {}  # trade id -> idempotency key, of all trades confirmed to customers
        self.steps: dict[str, float] = {}

    def run(self) -> dict[str, Any]:
        """Run the whole drill and return the result."""
        self._make_keys()
        with self.brokerage:
            self._archive()
            self.accounts = open_accounts(self.brokerage, [Decimal(50_000)] * CUSTOMERS, "drill")
            self._place("before")
            self._timed("base backup", lambda: self._tool("base-backup", self._conninfo()))
            self._place("between")
            self._set_faults(executeErrorRate=1.0)  # so that a trade waits behind another one
            _, self.cancelled = (self._insist(key, self.accounts[0]) for key in ("in flight", "behind it"))
            target = self._now()
            kept = set(self.key_of_trade)
            time.sleep(1.5)
            self._post(self.accounts[0], f"trades/{self.cancelled}/cancel", {})
            self._set_faults(executeErrorRate=0.0)
            self.deposit = self._post(self.accounts[0], "deposits", {"amount": "5.00"}).json()["causeId"]
            self._place("after")
            wait_until_final(self.postgres.url)
            self._wait_for_archive()
            log = self.folder / "web.log"
            log.write_text(self.brokerage.output())
            executed = read_exchange(self.brokerage.exchange_url)
        shutil.rmtree(self.postgres.data)
        self.restored.mkdir()
        os.chown(self.restored, *self._owner())
        self._timed("restore", lambda: self._tool("restore", str(self.restored), target))
        return self._after(kept, log, executed)

    def _after(self, kept: set[str], log: Path, executed: list[dict[str, Any]]) -> dict[str, Any]:
        port = ports.choose()
        server = self._start_restored(port)
        try:
            url = _with_port(self.postgres.url, port)
            self._timed("replay", lambda: self._wait_for_primary(url))
            exchange = self._start_exchange()
            try:
                audit = json.loads(self._manage(url, "audit_books", "--json"))
                *lines, totals = map(json.loads, self._manage(url, "lost_trades", "--cancel", str(log)).splitlines())
            finally:
                exchange.terminate()
                exchange.wait()
            self._sign_in_at(port)
            with self.brokerage:
                wait_until_final(url)
                exchange_orders = read_exchange(self.brokerage.exchange_url)
                after = json.loads(self._manage(url, "audit_books", "--json"))
                restored = self._trades(url)
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(30)
        lost = {line["tradeId"]: line for line in lines if line["what"] == "lost"}
        reopened = [line["tradeId"] for line in lines if line["what"] == "reopened"]
        transfers = [line["transferId"] for line in lines if line["what"] == "lost transfer"]
        wrong = {
            "books wrong after the restore": not audit["ok"],
            "books wrong after trading went on": not after["ok"],
            "a trade from before the point in time is gone": bool(kept - restored.keys()),
            "a trade that is gone was not named": set(self.key_of_trade) - restored.keys() != lost.keys(),
            "a lost trade has no customer": any(line["customer"] is None for line in lost.values()),
            "a trade that was cancelled was not named": reopened != [self.cancelled],
            "a transfer that is gone was not named": transfers != [self.deposit],
            "something was executed again": len(exchange_orders) != len(executed),
            "a trade is not final": any(status not in {"FILLED", "REJECTED"} for status in restored.values()),
        }
        return {
            "ok": not any(wrong.values()),
            "wrong": [sentence for sentence, is_true in wrong.items() if is_true],
            "tradesToldToCustomers": len(self.key_of_trade),
            "lost": len(lost),
            "reopened": len(reopened),
            "lostTransfers": len(transfers),
            "settledFromTheExchangesWord": totals["behind"],
            "seconds": self.steps,
            "backupBytes": sum(file.stat().st_size for file in self.backup.rglob("*") if file.is_file()),
            "lostTrades": list(lost.values())[:3],
        }

    # -- before the restore

    def _archive(self) -> None:
        """Have PostgreSQL archive its WAL, encrypted."""
        command = f'{self._setting()} "{TOOLS / "archive-wal"}" %p %f'
        with self._admin() as connection:
            for name, value in (("archive_mode", "always"), ("archive_command", command), ("archive_timeout", "5s")):
                connection.execute(f"ALTER SYSTEM SET {name} = '{value}'")
        self.brokerage.kill("postgres", signal.SIGINT)
        time.sleep(1)
        _wait_until(self.postgres.is_ready)
        self.brokerage.wait_ready()

    def _place(self, name: str) -> None:
        """Place trades for all customers, retrying each with the same key until it is answered."""
        for number in range(TRADES):
            self._insist(f"{name}-{number}", self.accounts[number % CUSTOMERS])

    def _insist(self, key: str, account: dict[str, Any]) -> str:
        """Place a trade, retrying with the same key until it is answered; return its id."""
        for _ in range(50):
            answer = self._post(account, "trades", {"stockTicker": "AAPL", "type": "BUY", "quantity": 1}, key)
            if answer.status in {200, 201}:
                self.key_of_trade[answer.json()["tradeId"]] = key
                return str(answer.json()["tradeId"])
            time.sleep(0.3)
        raise RuntimeError(f"never answered: {answer.status} {answer.data[:300]!r}")

    def _post(self, account: dict[str, Any], path: str, body: dict[str, Any], key: str = "") -> Any:
        headers = {"Authorization": f"Bearer {account['token']}"} | ({"Idempotency-Key": key} if key else {})
        url = f"{self.brokerage.url}/api/v1/{path}"
        return urllib3.request("POST", url, json=body, headers=headers, timeout=10.0)

    def _set_faults(self, **faults: float) -> None:
        urllib3.request("PUT", f"{self.brokerage.exchange_url}/v1/faults", json=faults, timeout=10.0)

    def _now(self) -> str:
        with self._admin() as connection:
            row = connection.execute("SELECT clock_timestamp()::text").fetchone()
        assert row is not None
        return str(row[0])

    def _wait_for_archive(self) -> None:
        """Wait until everything that has been written so far is in the archive."""
        with self._admin() as connection:
            row = connection.execute("SELECT pg_walfile_name(pg_switch_wal())").fetchone()
        assert row is not None
        _wait_until(lambda: (self.backup / "wal" / f"{row[0]}.gz.age").exists())

    # -- after the restore

    def _start_restored(self, port: int) -> subprocess.Popen[bytes]:
        command = [str(binaries() / "postgres"), "-D", str(self.restored), "-p", str(port)]
        command += ["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "max_connections=200"]
        with open(self.folder / "restored.log", "wb") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, cwd="/", **self._user())

    def _start_exchange(self) -> subprocess.Popen[bytes]:
        exchange = subprocess.Popen(
            [sys.executable, "-m", "exchange.simulator"],
            cwd=PROJECT,
            env=self.brokerage.env | {"EXCHANGE_SECRET": self.keys.exchange_secret},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        _wait_until(lambda: _answers(f"http://127.0.0.1:{self.brokerage.exchange_port}/healthz"))
        return exchange

    def _sign_in_at(self, port: int) -> None:
        """Point the brokerage at the restored database."""
        for name, url in (("DATABASE_URL", self.postgres.url), ("MIGRATE_DATABASE_URL", self.postgres.owner_url)):
            self.brokerage.env[name] = _with_port(url, port)

    def _wait_for_primary(self, url: str) -> None:
        def is_primary() -> bool:
            with psycopg.connect(url, connect_timeout=3) as connection:
                return connection.execute("SELECT pg_is_in_recovery()").fetchone() == (False,)

        _wait_until(is_primary)

    def _manage(self, url: str, *arguments: str) -> str:
        env = self.brokerage.env | {
            "DATABASE_URL": url,
            "SECRET_KEY": self.keys.secret_key,
            "EXCHANGE_SECRET": self.keys.exchange_secret,
            "EXCHANGE_URL": f"http://127.0.0.1:{self.brokerage.exchange_port}",
            "LOG_LEVEL": "WARNING",
        }
        completed = subprocess.run(
            [sys.executable, "manage.py", *arguments], cwd=PROJECT, env=env, capture_output=True, text=True
        )
        if not completed.stdout.strip():
            raise RuntimeError(completed.stderr)
        return completed.stdout.strip()

    def _trades(self, url: str) -> dict[str, str]:
        with psycopg.connect(url) as connection:
            return dict(connection.execute("SELECT id::text, status FROM trades_trade").fetchall())

    # -- tools

    def _make_keys(self) -> None:
        identity = self.folder / "identity"
        subprocess.run(["age-keygen", "-o", str(identity)], check=True, capture_output=True)
        public_key = subprocess.run(["age-keygen", "-y", str(identity)], check=True, capture_output=True, text=True)
        self._recipient, self._identity = public_key.stdout.strip(), identity
        self.backup.mkdir()
        for path in (self.backup, identity):
            os.chown(path, *self._owner())
        allow_server_user(self.backup, TOOLS / "archive-wal")

    def _setting(self) -> str:
        return f'BACKUP_DIR="{self.backup}" BACKUP_RECIPIENT="{self._recipient}"'

    def _tool(self, name: str, *arguments: str) -> None:
        env = {
            "PATH": f"{binaries()}:{os.environ['PATH']}",
            "BACKUP_DIR": str(self.backup),
            "BACKUP_RECIPIENT": self._recipient,
            "BACKUP_IDENTITY": str(self._identity),
            "PGPASSWORD": self.keys.postgres_admin_password,
        }
        completed = subprocess.run(
            [str(TOOLS / name), *arguments], env=env, cwd="/", capture_output=True, text=True, **self._user()
        )
        if completed.returncode != 0:
            raise RuntimeError(f"{name}: {completed.stderr}")

    def _timed(self, name: str, work: Callable[[], None]) -> None:
        began = time.monotonic()
        work()
        self.steps[name] = round(time.monotonic() - began, 1)

    def _conninfo(self) -> str:
        return f"host=127.0.0.1 port={self.postgres.port} user=postgres"

    def _admin(self) -> psycopg.Connection[Any]:
        return psycopg.connect(
            f"{self._conninfo()} dbname=postgres", password=self.keys.postgres_admin_password, autocommit=True
        )

    def _owner(self) -> tuple[int, int]:
        account = pwd.getpwuid(self.postgres.user if self.postgres.user is not None else os.getuid())
        return account.pw_uid, account.pw_gid

    def _user(self) -> dict[str, Any]:
        uid, gid = self._owner()
        return {"user": uid, "group": gid, "extra_groups": []} if os.geteuid() == 0 else {}


def _with_port(url: str, port: int) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{parts.netloc.rpartition(':')[0]}:{port}"))


def _answers(url: str) -> bool:
    try:
        return urllib3.request("GET", url, retries=False, timeout=1.0).status == 200
    except urllib3.exceptions.HTTPError:
        return False


def _wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while True:
        try:
            if holds():
                return
        except psycopg.Error:
            pass
        if time.monotonic() > deadline:
            raise RuntimeError(f"still waiting after {WAIT_SECONDS_MAX:.0f} s")
        time.sleep(0.2)


def main() -> int:
    """Run the drill; return the exit code."""
    if shutil.which("age") is None:
        print("error: age is not installed (Debian: apt-get install age)", file=sys.stderr)
        return 1
    folder = Path(tempfile.mkdtemp(prefix="restore-drill-"))
    try:
        result = Drill(folder).run()
    except BaseException:
        print(f"the evidence is in {folder}", file=sys.stderr)
        raise
    print(json.dumps(result))
    shutil.rmtree(folder)
    return 0 if result["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
