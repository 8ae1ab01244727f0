"""Injects the faults of a plan, and records when each began and ended."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import psutil
import psycopg
import redis
import urllib3
from celery import Celery

from chaos.followers import WebhookReceiver
from chaos.plan import Fault
from chaos.processes import NothingToBreak, Processes
from chaos.record import Record, now
from chaos.site import Site
from chaos.staff import NotAccepted, Refused, Staff
from local.ports import LOOPBACK

LANES = 16
BACK_SECONDS_MAX, RETRY_SECONDS = 20.0, 0.5
WRITABLE = "ALTER DATABASE brokerage RESET default_transaction_read_only"
APPLY_SPLIT = """
from datetime import date, timedelta
from decimal import Decimal
from time import sleep
from trades.corporate_actions import enter
from trades.models import CorporateAction
split = CorporateAction.objects.filter(kind="SPLIT", ticker="{ticker}")
terms = {{"numerator": {numerator}, "denominator": {denominator}, "reference_price": Decimal("{referencePrice}")}}
ex_date = date.today() - timedelta(days=7)  # a session has opened since
if not split.exists():
    enter(CorporateAction(kind="SPLIT", ticker="{ticker}", ex_date=ex_date, **terms), "chaos 1 and 2")
while not split.filter(state=CorporateAction.State.DONE).exists():
    sleep(0.5)
"""
END_HALF_OF_THE_SESSIONS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'brokerage' AND pid % 2 = 0"
)


class Injector:
    """Injects faults, with one thread for each stream."""

    def __init__(
        self, site: Site, record: Record, staff: Staff | None = None, receiver: WebhookReceiver | None = None
    ) -> None:
        self.site, self.record, self.staff, self.receiver = site, record, staff, receiver
        self.over = threading.Event()
        self._exchange = urllib3.PoolManager(retries=False, timeout=3.0)
        self.processes = Processes(site)
        self._stopped: set[psutil.Process] = set()
        self._in_force: list[dict[str, Any]] = []

    def follow(self, faults: list[Fault], began: float) -> None:
        """Inject these faults, each at its time or once the previous one has ended, until `over` is set."""
        for fault in faults:
            if self.over.wait(max(0.0, began + fault.at - time.monotonic())):
                return
            self.make(fault)

    def make(self, fault: Fault) -> None:
        """Inject one fault, wait until it is over, and record it; a fault without a target is recorded as not done."""
        began = now()
        entry: dict[str, Any] = {"kind": fault.kind, "target": fault.target, "values": fault.values}
        try:
            fault = self._find_target(fault)
            entry["target"] = fault.target
            with self._maker(fault)(fault):
                self.over.wait(fault.seconds)
            self.record.fault(**entry, began=began, ended=now(), done=True)
        except Exception as error:  # noqa: BLE001 — the target may be broken already; the plan goes on
            failure = {"error": type(error).__name__, "why": str(error)[:200]}
            self.record.fault(**entry, began=began, ended=now(), done=False, **failure)

    def _maker(self, fault: Fault) -> Callable[[Fault], contextlib.AbstractContextManager[None]]:
        makers = {
            "kill": self._kill,
            "pause": self._pause,
            "restart": self._restart,
            "deploy": self._deploy,
            "exchange": self._exchange_faults,
            "rings": self._rings,
            "slow disk": self._slow_disk,
            "clock": self._clock,
            "staff": self._staff,
            "split": self._split,
            "exchange clock": self._exchange_clock,
            "read-only sessions": self._read_only_sessions,
            "replica": self._replica,
            "receivers hang": self._receivers_hang,
        }
        return makers.get(fault.kind, self._link)

    def _find_target(self, fault: Fault) -> Fault:
        """Return the fault, redirected to another target if its own has no process that is at work.

        One kill in ten takes any working process. The others require all processes of the type to be working, because
        otherwise a machine that restarts them slowly would see nothing but outages.
        """
        if fault.kind != "kill":
            return fault
        take_any = fault.values["number"] < 0.1
        for target in (fault.target, *fault.values["else"]):
            kind = target.partition(" ")[0]
            minimum = 1 if take_any else self.site.brokerage.scale.get(kind, 1)
            if kind == "supervisord":  # this kills everything, so wait until all has come back from the last time
                scale = self.site.brokerage.scale
                are_enough = all(
                    len(self.processes.working(process_type)) == count for process_type, count in scale.items()
                )
            else:
                are_enough = len(self.processes.working(target)) >= minimum
            if are_enough:
                return replace(fault, target=target)
        raise NothingToBreak("no process is at work")

    def heal(self) -> None:
        """Undo all faults that are still in force. Idempotent: yes."""
        self.over.set()
        for process in list(self._stopped):
            with contextlib.suppress(psutil.Error):
                process.resume()
        for link in self.site.links:
            self.site.change_link(link, None)
        for clock in self.site.folder.glob("clock.*"):
            clock.write_text("+0\n")
        with contextlib.suppress(urllib3.exceptions.HTTPError):
            self._faults("DELETE")
        with contextlib.suppress(urllib3.exceptions.HTTPError):
            self._set_exchange_clock(0)
        with contextlib.suppress(psycopg.Error):
            self._set_disk(slow=False)
        with contextlib.suppress(psycopg.Error):
            self._administer(WRITABLE)
        with contextlib.suppress(redis.RedisError):
            self._replicate("NO", "ONE")
        if self.receiver is not None:
            self.receiver.hangs.clear()
        for control in list(self._in_force):
            self._lift(control)

    # -- processes

    @contextlib.contextmanager
    def _kill(self, fault: Fault) -> Iterator[None]:
        if fault.target == "valkey and its data":
            shutil.rmtree(self.site.valkey.data / "appendonlydir", ignore_errors=True)
        for process in self.processes.victims(fault.target.removesuffix(" and its data"), fault.values["number"]):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        yield

    @contextlib.contextmanager
    def _pause(self, fault: Fault) -> Iterator[None]:
        victims = self.processes.victims(fault.target, fault.values["number"])
        self._stopped.update(victims)
        try:
            for process in victims:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.suspend()
            yield
        finally:
            for process in victims:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.resume()
            self._stopped.difference_update(victims)

    @contextlib.contextmanager
    def _restart(self, fault: Fault) -> Iterator[None]:
        """Stop a process cleanly, as an operator would; supervision restarts it."""
        (process,) = self.processes.victims(fault.target, 0.0)[:1]
        process.send_signal(signal.SIGINT if fault.target == "postgres" else signal.SIGTERM)
        yield

    @contextlib.contextmanager
    def _deploy(self, fault: Fault) -> Iterator[None]:
        """Do a rolling restart: each process stops cleanly and is back before the next one stops."""
        self._send_rings("of another release", 0)
        for name in sorted(self.site.brokerage.processes()):
            if name.partition(".")[0] in {"web", "lanes", "sweep"} and not self.over.is_set():
                pid = self.site.brokerage.processes().get(name)
                if pid is not None:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGTERM)
                    self._wait_for_another(name, pid)
        yield

    def _wait_for_another(self, name: str, pid: int) -> None:
        deadline = time.monotonic() + BACK_SECONDS_MAX
        while time.monotonic() < deadline and not self.over.wait(0.2):
            running = self.site.brokerage.processes().get(name)
            if running not in {None, pid} and self.processes.works(
                name.partition(".")[0], name, psutil.Process(running)
            ):
                return

    # -- the network

    @contextlib.contextmanager
    def _link(self, fault: Fault) -> Iterator[None]:
        if fault.kind == "cut":
            self.site.cut_link(fault.target)
            yield
            return
        self.site.change_link(fault.target, fault.kind)
        try:
            yield
        finally:
            self.site.change_link(fault.target, None)

    # -- the exchange

    @contextlib.contextmanager
    def _exchange_faults(self, fault: Fault) -> Iterator[None]:
        self._faults("PUT", fault.values)
        try:
            yield
        finally:
            _retry_undo(lambda: self._faults("DELETE"), urllib3.exceptions.HTTPError)

    def _faults(self, method: str, values: dict[str, Any] | None = None) -> None:
        url = f"http://{LOOPBACK}:{self.site.brokerage.exchange_port}/v1/faults"
        self._exchange.request(method, url, json=values) if values else self._exchange.request(method, url)

    # -- rings

    @contextlib.contextmanager
    def _rings(self, fault: Fault) -> Iterator[None]:
        self._send_rings(fault.target, fault.values["number"])
        yield

    def _send_rings(self, sort: str, number: int) -> None:
        rng = random.Random(number)
        with redis.Redis.from_url(self.site.valkey.url, socket_timeout=3, socket_connect_timeout=3) as broker:
            if sort == "lost":
                broker.flushall()
                return
            if sort == "poison":
                # One message that isn't JSON, and one without a task.
                for content in (b"\x00 not a message", b'{"body": "", "headers": {}, "properties": {}}'):
                    broker.lpush(f"lane-{rng.randrange(LANES):02d}", content)
                return
            if sort == "for nobody":
                for lane in range(LANES):
                    broker.sadd(f"rang:lane-{lane:02d}", *(rng.randrange(10**9) for _ in range(20)))
            if sort == "reordered":
                for lane in range(LANES):
                    waiting = broker.lrange(f"lane-{lane:02d}", 0, -1)
                    rng.shuffle(waiting)
                    with broker.pipeline() as pipe:
                        pipe.delete(f"lane-{lane:02d}")
                        if waiting:
                            pipe.lpush(f"lane-{lane:02d}", *waiting)
                        pipe.execute()
        extra: dict[str, Any] = {"spoken": "another release", "customers": 3} if sort == "of another release" else {}
        with Celery("chaos", broker=self.site.valkey.url) as app:
            for lane in rng.choices(range(LANES), k=50):
                app.send_task(
                    "trades.turn",
                    kwargs={"lane": lane, **extra},
                    exchange="",
                    routing_key=f"lane-{lane:02d}",
                    retry=False,
                )
            if sort == "of another release":
                app.send_task("trades.gone", kwargs={"lane": 1}, exchange="", routing_key="lane-01", retry=False)

    # -- slow disk, wrong clocks

    @contextlib.contextmanager
    def _slow_disk(self, fault: Fault) -> Iterator[None]:
        self._set_disk(slow=True)
        try:
            yield
        finally:
            _retry_undo(lambda: self._set_disk(slow=False), psycopg.Error)

    def _set_disk(self, slow: bool) -> None:
        """Have PostgreSQL wait 100 ms before it flushes a commit, as if the disk were slow."""
        self._administer(
            f"ALTER SYSTEM SET commit_delay = {100_000 if slow else 0}",
            f"ALTER SYSTEM SET commit_siblings = {0 if slow else 5}",
            "SELECT pg_reload_conf()",
        )

    def _administer(self, *statements: str) -> None:
        with psycopg.connect(
            host=LOOPBACK,
            port=self.site.postgres.port,
            user="postgres",
            password=self.site.postgres_admin_password,
            dbname="postgres",
            connect_timeout=3,
            autocommit=True,
        ) as connection:
            for statement in statements:
                connection.execute(statement)

    @contextlib.contextmanager
    def _read_only_sessions(self, fault: Fault) -> Iterator[None]:
        """Make new sessions read-only for as long as they live, as after a failover."""
        self._administer("ALTER DATABASE brokerage SET default_transaction_read_only = on", END_HALF_OF_THE_SESSIONS)
        try:
            yield
        finally:
            _retry_undo(lambda: self._administer(WRITABLE), psycopg.Error)

    @contextlib.contextmanager
    def _replica(self, fault: Fault) -> Iterator[None]:
        """Make Valkey the replica of a server that doesn't exist: it answers, but accepts no writes."""
        self._replicate(LOOPBACK, "1")
        try:
            yield
        finally:
            _retry_undo(lambda: self._replicate("NO", "ONE"), redis.RedisError)

    def _replicate(self, host: str, port: str) -> None:
        with redis.Redis.from_url(self.site.valkey.url, socket_timeout=3, socket_connect_timeout=3) as broker:
            broker.execute_command("REPLICAOF", host, port)

    @contextlib.contextmanager
    def _receivers_hang(self, fault: Fault) -> Iterator[None]:
        """Have customers' webhook endpoints accept every request and answer none."""
        if self.receiver is None:
            raise NothingToBreak(fault.target)
        self.receiver.hangs.set()
        try:
            yield
        finally:
            self.receiver.hangs.clear()

    @contextlib.contextmanager
    def _exchange_clock(self, fault: Fault) -> Iterator[None]:
        self._set_exchange_clock(fault.values["jumpSeconds"])
        try:
            yield
        finally:
            _retry_undo(lambda: self._set_exchange_clock(0), urllib3.exceptions.HTTPError)

    def _set_exchange_clock(self, seconds: int) -> None:
        url = f"http://{LOOPBACK}:{self.site.brokerage.exchange_port}/v1/clock"
        self._exchange.request("PUT", url, json={"offsetSeconds": seconds})

    @contextlib.contextmanager
    def _clock(self, fault: Fault) -> Iterator[None]:
        clock = self.site.clock(fault.target)
        if not clock.exists():
            raise NothingToBreak(fault.target)
        clock.write_text(f"{fault.values['jumpSeconds']:+d}\n")
        try:
            yield
        finally:
            clock.write_text("+0\n")

    # -- staff

    @contextlib.contextmanager
    def _split(self, fault: Fault) -> Iterator[None]:
        """Enter a split, as two members of staff would. It lasts until applied, as the halt of the stock does."""
        script = APPLY_SPLIT.format(**fault.values)
        while (result := self.site.brokerage.manage("shell", "--no-imports", "-c", script)).returncode:
            if self.over.wait(RETRY_SECONDS):
                raise RuntimeError(result.stderr[-500:])
        yield

    @contextlib.contextmanager
    def _staff(self, fault: Fault) -> Iterator[None]:
        """Set a halt or a limit, and lift it; `since` and `until` tell the checker when it was certainly in force."""
        if self.staff is None:
            raise NothingToBreak("staff")
        control = fault.values
        form: dict[str, str] = {name: control[name] for name in ("ticker", "kind", "value") if name in control}
        self._in_force.append(control)  # before the request, because a request without a response may have worked
        try:
            control["since"] = self.staff.do(control["does"], form, self.over)
            yield
        except Refused:
            self._in_force.remove(control)
            raise
        finally:
            control["until"] = now()
            self._lift(control)

    def _lift(self, control: dict[str, Any]) -> None:
        """Lift a control, however long it takes. Idempotent: yes."""
        assert self.staff is not None
        form: dict[str, str] = {name: control[name] for name in ("ticker", "kind") if name in control}
        while control in self._in_force:
            with contextlib.suppress(NotAccepted, ValueError):  # or `heal` was first
                self.staff.do(control["undoes"], form, threading.Event())
                self._in_force.remove(control)


def _retry_undo(undo: Callable[[], None], away: type[Exception]) -> None:
    """Retry undoing a fault, because the server may be down at the moment; otherwise the fault would stay in force."""
    ends_at = time.monotonic() + BACK_SECONDS_MAX
    while True:
        try:
            return undo()
        except away:
            if time.monotonic() > ends_at:
                raise
            time.sleep(RETRY_SECONDS)
