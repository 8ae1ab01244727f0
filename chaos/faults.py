"""Makes things go wrong, as a plan says, and writes down when each began and was over."""

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
from chaos.processes import NotThere, Processes
from chaos.record import Record, now
from chaos.site import Site
from chaos.staff import NotDone, Staff
from local.ports import LOOPBACK

LANES = 16
BACK_SECONDS_MAX = 20.0
WRITABLE = "ALTER DATABASE brokerage RESET default_transaction_read_only"
END_HALF_OF_THE_SESSIONS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'brokerage' AND pid % 2 = 0"
)


class Injector:
    """Makes faults, from as many threads as there are streams."""

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
        """Make these faults, each at its time or as soon as the one before is over, until `over` is set."""
        for fault in faults:
            if self.over.wait(max(0.0, began + fault.at - time.monotonic())):
                return
            self.make(fault)

    def make(self, fault: Fault) -> None:
        """Make one fault, wait until it is over, and record it; one that finds nothing to break is not counted."""
        at = now()
        told: dict[str, Any] = {"kind": fault.kind, "target": fault.target, "values": fault.values}
        try:
            fault = self._possible(fault)
            told["target"] = fault.target
            with self._maker(fault)(fault):
                self.over.wait(fault.seconds)
            self.record.fault(**told, began=at, ended=now(), done=True)
        except Exception as why:  # noqa: BLE001 — what was to be broken may be broken already; the plan goes on
            self.record.fault(**told, began=at, ended=now(), done=False, why=repr(why)[:200])

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
            "exchange clock": self._exchange_clock,
            "read-only sessions": self._read_only_sessions,
            "replica": self._replica,
            "receivers hang": self._receivers_hang,
        }
        return makers.get(fault.kind, self._link)

    def _possible(self, fault: Fault) -> Fault:
        """The same kill of what is there to be killed: a process that has not taken up its work has none to lose.

        One in ten takes whatever works; the others wait until all of a kind do, or nothing but outages would be seen
        where the machine is slow to start what was killed.
        """
        if fault.kind != "kill":
            return fault
        ruthless = fault.values["number"] < 0.1
        for target in (fault.target, *fault.values["else"]):
            kind = target.partition(" ")[0]
            least = 1 if ruthless else self.site.brokerage.scale.get(kind, 1)
            if kind == "supervisord":  # and with it everything: once all of it has come back from the last time
                scale = self.site.brokerage.scale
                enough = all(len(self.processes.working(each)) == count for each, count in scale.items())
            else:
                enough = len(self.processes.working(target)) >= least
            if enough:
                return replace(fault, target=target)
        raise NotThere("nothing has taken up its work")

    def heal(self) -> None:
        """Undo whatever still lasts. Again: nothing is left to undo."""
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
            self._follow("NO", "ONE")
        if self.receiver is not None:
            self.receiver.hangs.clear()
        for word in list(self._in_force):
            self._lift(word)

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
        """As an operator does it: in order, and it is back by itself."""
        (process,) = self.processes.victims(fault.target, 0.0)[:1]
        process.send_signal(signal.SIGINT if fault.target == "postgres" else signal.SIGTERM)
        yield

    @contextlib.contextmanager
    def _deploy(self, fault: Fault) -> Iterator[None]:
        """A rolling restart: each process ends in order and is back before the next one goes."""
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
            _until_it_takes(lambda: self._faults("DELETE"), urllib3.exceptions.HTTPError)

    def _faults(self, method: str, values: dict[str, Any] | None = None) -> None:
        url = f"http://{LOOPBACK}:{self.site.brokerage.exchange_port}/v1/faults"
        self._exchange.request(method, url, json=values) if values else self._exchange.request(method, url)

    # -- rings

    @contextlib.contextmanager
    def _rings(self, fault: Fault) -> Iterator[None]:
        self._send_rings(fault.target, fault.values["number"])
        yield

    def _send_rings(self, what: str, number: int) -> None:
        dice = random.Random(number)
        with redis.Redis.from_url(self.site.valkey.url, socket_timeout=3, socket_connect_timeout=3) as broker:
            if what == "lost":
                broker.flushall()
                return
            if what == "poison":
                # One that is no JSON, and one that is a message to nobody.
                for content in (b"\x00 not a message", b'{"body": "", "headers": {}, "properties": {}}'):
                    broker.lpush(f"lane-{dice.randrange(LANES):02d}", content)
                return
            if what == "for nobody":
                for lane in range(LANES):
                    broker.sadd(f"rang:lane-{lane:02d}", *(dice.randrange(10**9) for _ in range(20)))
            if what == "reordered":
                for lane in range(LANES):
                    waiting = broker.lrange(f"lane-{lane:02d}", 0, -1)
                    dice.shuffle(waiting)
                    with broker.pipeline() as pipe:
                        pipe.delete(f"lane-{lane:02d}")
                        if waiting:
                            pipe.lpush(f"lane-{lane:02d}", *waiting)
                        pipe.execute()
        more: dict[str, Any] = {"spoken": "another release", "customers": 3} if what == "of another release" else {}
        with Celery("chaos", broker=self.site.valkey.url) as app:
            for lane in dice.choices(range(LANES), k=50):
                app.send_task(
                    "trades.turn",
                    kwargs={"lane": lane, **more},
                    exchange="",
                    routing_key=f"lane-{lane:02d}",
                    retry=False,
                )
            if what == "of another release":
                app.send_task("trades.gone", kwargs={"lane": 1}, exchange="", routing_key="lane-01", retry=False)

    # -- slow disk, wrong clocks

    @contextlib.contextmanager
    def _slow_disk(self, fault: Fault) -> Iterator[None]:
        self._set_disk(slow=True)
        try:
            yield
        finally:
            _until_it_takes(lambda: self._set_disk(slow=False), psycopg.Error)

    def _set_disk(self, slow: bool) -> None:
        """PostgreSQL waits 100 ms before it flushes a commit, as on a disk that takes so long to write."""
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
        """Sessions opened meanwhile can only read, and stay so: what a failover leaves behind."""
        self._administer("ALTER DATABASE brokerage SET default_transaction_read_only = on", END_HALF_OF_THE_SESSIONS)
        try:
            yield
        finally:
            _until_it_takes(lambda: self._administer(WRITABLE), psycopg.Error)

    @contextlib.contextmanager
    def _replica(self, fault: Fault) -> Iterator[None]:
        """Valkey follows another server, which is not there: it answers, and takes nothing."""
        self._follow(LOOPBACK, "1")
        try:
            yield
        finally:
            _until_it_takes(lambda: self._follow("NO", "ONE"), redis.RedisError)

    def _follow(self, host: str, port: str) -> None:
        with redis.Redis.from_url(self.site.valkey.url, socket_timeout=3, socket_connect_timeout=3) as broker:
            broker.execute_command("REPLICAOF", host, port)

    @contextlib.contextmanager
    def _receivers_hang(self, fault: Fault) -> Iterator[None]:
        """Endpoints of customers take every request and answer none."""
        if self.receiver is None:
            raise NotThere(fault.target)
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
            _until_it_takes(lambda: self._set_exchange_clock(0), urllib3.exceptions.HTTPError)

    def _set_exchange_clock(self, seconds: int) -> None:
        url = f"http://{LOOPBACK}:{self.site.brokerage.exchange_port}/v1/clock"
        self._exchange.request("PUT", url, json={"offsetSeconds": seconds})

    @contextlib.contextmanager
    def _clock(self, fault: Fault) -> Iterator[None]:
        clock = self.site.clock(fault.target)
        if not clock.exists():
            raise NotThere(fault.target)
        clock.write_text(f"{fault.values['jumpSeconds']:+d}\n")
        try:
            yield
        finally:
            clock.write_text("+0\n")

    # -- staff

    @contextlib.contextmanager
    def _staff(self, fault: Fault) -> Iterator[None]:
        """A halt or a limit, and its end; `since` and `until` tell the checker when it was certainly in force."""
        if self.staff is None:
            raise NotThere("staff")
        word = fault.values
        form: dict[str, str] = {name: word[name] for name in ("ticker", "kind", "value") if name in word}
        self._in_force.append(word)  # before it is asked for: one that nobody answered may be in force
        try:
            word["since"] = self.staff.do(word["does"], form, self.over)
            yield
        finally:
            word["until"] = now()
            self._lift(word)

    def _lift(self, word: dict[str, Any]) -> None:
        """End it, however long it takes. Again: nothing is left to end."""
        assert self.staff is not None
        form: dict[str, str] = {name: word[name] for name in ("ticker", "kind") if name in word}
        while word in self._in_force:
            with contextlib.suppress(NotDone, ValueError):  # or `heal` was first
                self.staff.do(word["undoes"], form, threading.Event())
                self._in_force.remove(word)


def _until_it_takes(undo: Callable[[], None], away: type[Exception]) -> None:
    """Undo a fault of a server that may be down itself at the moment: what stays undone would be nobody's fault."""
    ends_at = time.monotonic() + BACK_SECONDS_MAX
    while True:
        try:
            return undo()
        except away:
            if time.monotonic() > ends_at:
                raise
            time.sleep(0.5)
