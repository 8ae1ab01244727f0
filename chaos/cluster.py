"""`python -m chaos --cluster`: breaks the nodes of a cluster under a steady load, and proves that nothing was lost.

CHAOS_RATE is what customers do in a second (130: about 100 placings). CHAOS_ONLY names what to break, such as
"kill web,cut primary". CHAOS_SECONDS breaks at random for so long, by CHAOS_SEED. The last line printed is one JSON
object; above it is the table.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg

from chaos import checker, followers
from chaos.checker import gather, wait_until_final
from chaos.crowd import Crowd
from chaos.nodes import PROGRAMS, Break, at_random, table
from chaos.record import Record, now
from chaos.site import open_accounts
from chaos.table import measure, text
from cluster import network
from cluster.control import ask
from cluster.nodes import NODES, of_kind
from cluster.rabbitmq import active_consumers
from cluster.roll import Roll
from cluster.watch import Watch
from local import ports
from local.plan import PROJECT

CUSTOMERS = 500
FOLLOWERS = 30
RATE = 130.0
CALM_SECONDS = 3.0
WHOLE_SECONDS_MAX = 180.0  # a RabbitMQ that hangs is noticed after 90 s
READY_SECONDS_MAX = 180.0
WEBHOOK_SECONDS_MAX = 120.0


class Cluster:
    """`python -m cluster up` on a folder, a prefix and a port of its own; a context manager."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        os.environ["CLUSTER_DIR"] = str(folder / "cluster")
        os.environ["PORT"] = str(ports.choose())

    def __enter__(self) -> Cluster:
        (self.folder / "cluster").mkdir(parents=True)
        self._log = open(self.folder / "up.log", "wb")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "cluster", "up"], cwd=PROJECT, stdout=self._log, stderr=self._log
        )
        deadline = time.monotonic() + READY_SECONDS_MAX
        while "Ready:" not in (output := (self.folder / "up.log").read_text()):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.__exit__()
                raise RuntimeError(f"the cluster is not ready:\n{output}")
            time.sleep(0.3)
        self.facts = self.ask(do="facts")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(90)
        self._log.close()

    def ask(self, **what: Any) -> Any:
        return ask(self.folder / "cluster", **what)

    @property
    def database_url(self) -> str:
        return f"{self.facts['adminDatabase']}/brokerage?target_session_attrs=read-write"

    def manage(self, *arguments: str, timeout: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Run a manage.py command on the customers' node."""
        return subprocess.run(
            [*network.command("cl"), sys.executable, "manage.py", *arguments],
            cwd=PROJECT,
            env=self.facts["environment"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
        )


def run() -> int:
    """One run; the exit code: 0 where nothing was lost, doubled, out of order or stuck."""
    folder = Path(tempfile.mkdtemp(prefix="chaos-cluster-"))
    seed = int(os.environ.get("CHAOS_SEED") or random.SystemRandom().randrange(10**6))
    with Cluster(folder) as cluster, network.inside("cl"):
        result = Run(cluster, folder, seed).all()
    say(result.pop("table"))
    for words in result["violations"]:
        say(f"VIOLATION {words}")
    print(json.dumps(result), flush=True)
    say(f"the evidence is in {folder}")
    return 1 if result["violationsCount"] else 0


class Run:
    """Load, faults and proof on a cluster that is up."""

    def __init__(self, cluster: Cluster, folder: Path, seed: int) -> None:
        self._cluster, self._seed = cluster, seed
        self._log = Record(folder / "record")
        self._url: str = cluster.facts["inside"]
        self._watch = Watch(cluster.ask)
        self._found: list[str] = []
        self._rows: list[dict[str, Any]] = []

    def all(self) -> dict[str, Any]:
        dice = random.Random(f"{self._seed} cash")
        cash = [Decimal(dice.choice([500, 20_000, 100_000])) for _ in range(CUSTOMERS)]
        accounts = open_accounts(self._cluster, cash)  # type: ignore[arg-type]
        receiver = followers.WebhookReceiver(NODES["cl"].address)
        readers = [followers.StreamReader(self._url, account) for account in accounts[:FOLLOWERS]]
        followers.subscribe(self._url, accounts[FOLLOWERS : 2 * FOLLOWERS], receiver)
        for reader in readers:
            reader.start()
        rate = float(os.environ.get("CHAOS_RATE") or RATE)
        crowd = Crowd(self._url, accounts, self._log, self._seed, rate, behind_balancer=True)
        crowd.start()
        time.sleep(CALM_SECONDS * 2)
        began = time.monotonic()
        for fault in self._plan(began):
            self._make(fault)
        crowd.stop()
        wait_until_final(self._cluster.database_url)
        told = gather(accounts, self._log, self._cluster.database_url, f"http://{NODES['ex'].address}:8100")
        self._found += checker.violations(told)
        self._found += self._followers(readers, receiver, accounts)
        self._log.close()
        ends = [*(row["began"] for row in self._rows[1:]), float("inf")]
        rows = [row | measure(row, end, told.requests, told.trades) for row, end in zip(self._rows, ends, strict=True)]
        return {
            "ok": not self._found,
            "seed": self._seed,
            "violationsCount": len(self._found),
            "violations": self._found[:20],
            "faults": len(rows),
            "rows": rows,
            "table": text(rows),
            "streamsOpened": sum(reader.opened for reader in readers),
            "webhooksDelivered": len(receiver.ids),
            "loadAverage": os.getloadavg()[0],
            **{name: value for name, value in checker.figures(told).items() if name != "delayAfterSeconds"},
        }

    def _plan(self, began: float) -> Iterator[Break]:
        seconds = float(os.environ.get("CHAOS_SECONDS") or 0)
        if seconds:
            for fault in at_random(self._seed):
                if time.monotonic() - began > seconds:
                    return
                yield fault
        only = {name.strip() for name in (os.environ.get("CHAOS_ONLY") or "").split(",") if name.strip()}
        yield from (fault for fault in table() if not only or fault.name in only)

    def _make(self, fault: Break) -> None:
        """Break it, undo it, wait until everything is whole again, and note how long each took."""
        nodes = list(self._nodes(fault.kinds)) if fault.how != "roll" else []
        row: dict[str, Any] = {"name": fault.name, "nodes": nodes, "load": round(os.getloadavg()[0], 1)}
        row["began"] = now()
        if fault.how == "roll":
            self._roll()
        for node, kind in zip(nodes, fault.kinds, strict=False):
            if fault.how == "end":
                self._cluster.ask(do="end", node=node, program=PROGRAMS[kind])
            else:
                self._cluster.ask(do=fault.how, node=node)
        if fault.how == "end":
            time.sleep(1.0)
        elif fault.seconds:
            self._look_meanwhile(fault, nodes)
        for node in nodes:
            if fault.how != "end":
                self._cluster.ask(do="heal" if fault.how == "cut" else "boot", node=node)
        row["ended"] = now()
        what = self._watch.wait_until_whole(WHOLE_SECONDS_MAX)
        if what:
            self._found.append(f"{fault.name}: not whole again after {WHOLE_SECONDS_MAX:.0f} s: {what}")
        row["whole"] = now()
        self._log.fault(
            kind=fault.how, target=",".join(nodes), values={}, began=row["began"], ended=row["ended"], done=True
        )
        self._rows.append(row)
        whole = f"whole again {row['whole'] - row['ended']:5.1f} s after its end"
        say(f"{fault.name:28} {','.join(nodes):10} {whole}; {self._log.written}")
        time.sleep(CALM_SECONDS)

    def _nodes(self, kinds: Iterable[str]) -> Iterator[str]:
        primary = self._watch.primary()
        standbys = [node.name for node in of_kind("db") if node.name != primary]
        for kind in kinds:
            if kind == "primary":
                yield primary
            elif kind == "standby":
                yield standbys.pop(0)
            elif kind == "lane":
                yield self._watch.serving_lane() or "lane1"
            else:
                yield of_kind(kind)[0].name

    def _roll(self) -> None:
        """Roll every process, with a migration that old code lives with: a column, and an index made concurrently."""
        with psycopg.connect(self._cluster.database_url, autocommit=True) as connection:
            connection.execute("SET lock_timeout = '2s'")
            connection.execute("ALTER TABLE trades_trade ADD COLUMN IF NOT EXISTS rolled text")
            connection.execute("CREATE INDEX CONCURRENTLY IF NOT EXISTS rolled ON trades_trade (rolled)")
        try:
            Roll(self._cluster.ask, say).all()
        except TimeoutError as error:
            self._found.append(f"rolling upgrade: still waiting until {error}")

    def _look_meanwhile(self, fault: Break, nodes: list[str]) -> None:
        ends = time.monotonic() + fault.seconds
        time.sleep(fault.seconds / 2)
        if fault.how == "cut" and "primary" in fault.kinds:
            self._found += self._late_writes(nodes[fault.kinds.index("primary")])
        if "lane" in fault.kinds or "mq" in fault.kinds:
            self._found += self._several_consumers(nodes)
        time.sleep(max(0.0, ends - time.monotonic()))

    def _late_writes(self, node: str) -> Iterator[str]:
        """A client that was cut off together with the old primary writes to it: it must not be answered."""
        found: list[str] = []

        def write() -> None:
            keys = self._cluster.facts["keys"]
            with network.inside(node):
                try:
                    with psycopg.connect(
                        host=NODES[node].address,
                        user="postgres",
                        password=keys["admin"],
                        dbname="brokerage",
                        connect_timeout=2,
                    ) as connection:
                        connection.execute("CREATE TABLE late_write (id int)")
                    found.append(f"{node}, cut off, took a late write")
                except psycopg.Error:
                    return

        thread = threading.Thread(target=write, daemon=True)
        thread.start()
        thread.join(5)
        yield from found

    def _several_consumers(self, away: list[str]) -> Iterator[str]:
        for node in of_kind("mq"):
            if node.name in away:
                continue
            for queue, consumers in active_consumers(node.name, self._cluster.facts["rabbitmq"]).items():
                if len(consumers) > 1:
                    yield f"{queue} has {len(consumers)} active consumers: {consumers}"
            return

    def _followers(
        self, readers: list[followers.StreamReader], receiver: followers.WebhookReceiver, accounts: list[dict[str, Any]]
    ) -> Iterator[str]:
        events = followers.events_of(self._cluster.database_url)
        time.sleep(CALM_SECONDS)
        for reader in readers:
            reader.over.set()
        yield from followers.missed(readers, events)
        wanted = {event for account in accounts[FOLLOWERS : 2 * FOLLOWERS] for event in events[account["customer"]]}
        left = followers.wait_for(receiver, wanted, WEBHOOK_SECONDS_MAX)
        if left:
            yield f"{len(left)} of {len(wanted)} events were not delivered to webhooks in {WEBHOOK_SECONDS_MAX:.0f} s"
        receiver.stop()


def say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)
