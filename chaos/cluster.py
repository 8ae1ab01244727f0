"""`python -m chaos --cluster`: breaks the nodes of a cluster under a steady load, and proves that nothing was lost.

CHAOS_RATE is the number of requests per second (130 means about 100 trades). CHAOS_ONLY selects faults, such as
"kill web,cut primary". CHAOS_SECONDS injects random faults for that long, determined by CHAOS_SEED. The last line
printed is one JSON object; a table precedes it.
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
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import urllib3

from chaos import checker, followers
from chaos.checker import gather, wait_until_final
from chaos.clocks import correct_times, make_postgresql
from chaos.crowd import Crowd
from chaos.nodes import PROGRAMS, NodeFault, at_random, table
from chaos.record import Record, now
from chaos.site import open_accounts
from chaos.table import measure, text
from cluster import network
from cluster.control import ask
from cluster.nodes import NODES, of_kind
from cluster.rabbitmq import active_consumers
from cluster.roll import Roll
from cluster.up import READY_SECONDS_MAX
from cluster.watch import Watch
from local import ports
from local.plan import PROJECT

CUSTOMERS = 500
FOLLOWERS = 30
RATE = 130.0
CALM_SECONDS = 3.0
RECOVERY_SECONDS_MAX = 180.0  # it takes 90 s to notice that RabbitMQ hangs
WEBHOOK_SECONDS_MAX = 120.0
SWITCHOVER_SECONDS_MAX = 60.0


class Cluster:
    """A context manager that runs `python -m cluster up` on its own folder and port."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        os.environ["CLUSTER_DIR"] = str(folder / "cluster")
        os.environ["PORT"] = str(ports.choose())

    def __enter__(self) -> Cluster:
        (self.folder / "cluster").mkdir(parents=True)
        self._log = open(self.folder / "up.log", "wb")
        python = make_postgresql(self.folder / "python", '"$HOME/clock"')  # $HOME is the node's data folder
        self._process = subprocess.Popen(
            [sys.executable, "-m", "cluster", "up"],
            cwd=PROJECT,
            env={**os.environ, "PYTHONPATH": str(python)},
            stdout=self._log,
            stderr=self._log,
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

    def set_clock(self, node: str, seconds: int) -> None:
        """Set the clock of a node's PostgreSQL this many seconds off."""
        (self.folder / "cluster/data" / node / "clock").write_text(f"{seconds:+d}\n")

    def ask(self, **request: Any) -> Any:
        return ask(self.folder / "cluster", **request)

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
    """Run once; return 0 if nothing was lost, duplicated, out of order or stuck."""
    folder = Path(tempfile.mkdtemp(prefix="chaos-cluster-"))
    seed = int(os.environ.get("CHAOS_SEED") or random.SystemRandom().randrange(10**6))
    with Cluster(folder) as cluster, network.inside("cl"):
        result = Run(cluster, folder, seed).all()
    say(result.pop("table"))
    for violation in result["violations"]:
        say(f"VIOLATION {violation}")
    print(json.dumps(result), flush=True)
    say(f"the evidence is in {folder}")
    return 1 if result["violationsCount"] else 0


class Run:
    """Puts load on a running cluster, injects faults, and checks the results."""

    def __init__(self, cluster: Cluster, folder: Path, seed: int) -> None:
        self._cluster, self._seed = cluster, seed
        self._log = Record(folder / "record")
        self._url: str = cluster.facts["inside"]
        self._watch = Watch(cluster.ask)
        self._violations: list[str] = []
        self._rows: list[dict[str, Any]] = []

    def all(self) -> dict[str, Any]:
        rng = random.Random(f"{self._seed} cash")
        cash = [Decimal(rng.choice([500, 20_000, 100_000])) for _ in range(CUSTOMERS)]
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
            self._inject(fault)
        crowd.stop()
        wait_until_final(self._cluster.database_url)
        evidence = gather(accounts, self._log, self._cluster.database_url, f"http://{NODES['ex'].address}:8100")
        correct_times(evidence)
        self._violations += checker.violations(evidence)
        self._violations += self._expired_by_a_clock(evidence)
        self._violations += self._followers(readers, receiver, accounts)
        self._log.close()
        began_next = [*(row["began"] for row in self._rows[1:]), float("inf")]
        rows = [
            row | measure(row, end, evidence.requests, evidence.trades)
            for row, end in zip(self._rows, began_next, strict=True)
        ]
        return {
            "ok": not self._violations,
            "seed": self._seed,
            "violationsCount": len(self._violations),
            "violations": self._violations[:20],
            "faults": len(rows),
            "rows": rows,
            "table": text(rows),
            "streamsOpened": sum(reader.opened for reader in readers),
            "webhooksDelivered": len(receiver.ids),
            "loadAverage": os.getloadavg()[0],
            **{name: value for name, value in checker.figures(evidence).items() if name != "delayAfterSeconds"},
        }

    def _plan(self, began: float) -> Iterator[NodeFault]:
        seconds = float(os.environ.get("CHAOS_SECONDS") or 0)
        if seconds:
            for fault in at_random(self._seed):
                if time.monotonic() - began > seconds:
                    return
                yield fault
        selected = {name.strip() for name in (os.environ.get("CHAOS_ONLY") or "").split(",") if name.strip()}
        yield from (fault for fault in table() if not selected or fault.name in selected)

    def _inject(self, fault: NodeFault) -> None:
        """Inject a fault, undo it, wait until everything has recovered, and record how long each step took."""
        nodes = list(self._nodes(fault)) if fault.action != "roll" else []
        row: dict[str, Any] = {"name": fault.name, "nodes": [*nodes], "load": round(os.getloadavg()[0], 1)}
        row["jump"] = fault.jump_seconds
        row["began"] = now()
        if fault.action == "roll":
            self._roll()
        elif fault.action == "clock":
            self._promote_with_wrong_clock(nodes.pop(), fault)
        for node, kind in zip(nodes, fault.kinds, strict=False):
            if fault.action == "end":
                self._cluster.ask(do="end", node=node, program=PROGRAMS[kind])
            else:
                self._cluster.ask(do=fault.action, node=node)
        if fault.action == "end":
            time.sleep(1.0)
        elif fault.seconds:
            self._check_during(fault, nodes)
        for node in nodes:
            if fault.action != "end":
                self._cluster.ask(do="heal" if fault.action == "cut" else "boot", node=node)
        row["ended"] = now()
        missing = self._watch.wait_until_complete(RECOVERY_SECONDS_MAX)
        if missing:
            self._violations.append(f"{fault.name}: not recovered after {RECOVERY_SECONDS_MAX:.0f} s: {missing}")
        row["whole"] = now()
        target, values = (",".join(nodes), {}) if not row["jump"] else ("postgres", {"jumpSeconds": row["jump"]})
        self._log.fault(
            kind=fault.action, target=target, values=values, began=row["began"], ended=row["ended"], done=True
        )
        self._rows.append(row)
        recovered = f"recovered {row['whole'] - row['ended']:5.1f} s after its end"
        say(f"{fault.name:28} {','.join(row['nodes']):10} {recovered}; {self._log.written}")
        time.sleep(CALM_SECONDS)

    def _nodes(self, fault: NodeFault) -> Iterator[str]:
        primary = self._watch.primary()
        standbys = [node.name for node in of_kind("db") if node.name != primary]
        for kind in fault.kinds:
            if kind == "primary":
                yield primary
            elif kind == "standby":
                yield standbys.pop(fault.which % len(standbys))
            elif kind == "lane":
                yield self._watch.serving_lane() or "lane1"
            else:
                yield of_kind(kind)[fault.which % len(of_kind(kind))].name

    def _roll(self) -> None:
        """Restart every process after a backward-compatible migration: a new column and a concurrent index."""
        with psycopg.connect(self._cluster.database_url, autocommit=True) as connection:
            connection.execute("SET lock_timeout = '2s'")
            connection.execute("ALTER TABLE trades_trade ADD COLUMN IF NOT EXISTS rolled text")
            connection.execute("CREATE INDEX CONCURRENTLY IF NOT EXISTS rolled ON trades_trade (rolled)")
        try:
            Roll(self._cluster.ask, say).all()
        except TimeoutError as error:
            self._violations.append(f"rolling upgrade: still waiting until {error}")

    def _promote_with_wrong_clock(self, node: str, fault: NodeFault) -> None:
        """Set a standby's clock wrong, make it the primary, and correct its clock while it is."""
        self._cluster.set_clock(node, fault.jump_seconds)
        time.sleep(CALM_SECONDS)  # libfaketime reads the file once a second
        primary = self._watch.primary()
        answer = urllib3.request(
            "POST",
            f"http://{NODES[primary].address}:8008/switchover",
            json={"leader": primary, "candidate": node},
            timeout=SWITCHOVER_SECONDS_MAX,
        )
        if answer.status != 200 or self._watch.primary() != node:
            self._violations.append(f"{fault.name}: {node} was not promoted: {answer.data[:200]!r}")
        time.sleep(fault.seconds)
        with psycopg.connect(self._cluster.database_url) as connection:
            row = connection.execute("SELECT extract(epoch FROM clock_timestamp())::float8").fetchone()
        if row is None or abs(row[0] - now() - fault.jump_seconds) > CALM_SECONDS:
            self._violations.append(f"{fault.name}: the clock of the primary was not wrong: {row}")
        self._cluster.set_clock(node, 0)

    def _expired_by_a_clock(self, evidence: checker.Evidence) -> Iterator[str]:
        """Yield trades that expired while the primary's clock was wrong: nothing else kept them from the exchange."""
        for row in self._rows:
            for trade in evidence.trades:
                claimed_at = trade["claimed_at"] or trade["settled_at"] or 0.0
                is_during = row["jump"] and row["began"] <= claimed_at <= row["whole"]
                if is_during and trade["reason_code"] == "expired":
                    yield f"{row['name']}: {trade['id']} expired"

    def _check_during(self, fault: NodeFault, nodes: list[str]) -> None:
        ends_at = time.monotonic() + fault.seconds
        time.sleep(fault.seconds / 2)
        if fault.action == "cut" and "primary" in fault.kinds:
            self._violations += self._late_writes(nodes[fault.kinds.index("primary")])
        if "lane" in fault.kinds or "mq" in fault.kinds:
            self._violations += self._several_consumers(nodes)
        time.sleep(max(0.0, ends_at - time.monotonic()))

    def _late_writes(self, node: str) -> Iterator[str]:
        """Write to the old primary from a client that was cut off with it: the commit must not be acknowledged."""
        violations: list[str] = []

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
                    violations.append(f"{node} accepted a write while it was cut off")
                except psycopg.Error:
                    return

        thread = threading.Thread(target=write, daemon=True)
        thread.start()
        thread.join(5)
        yield from violations

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
        expected = {event for account in accounts[FOLLOWERS : 2 * FOLLOWERS] for event in events[account["customer"]]}
        undelivered = followers.wait_for(receiver, expected, WEBHOOK_SECONDS_MAX)
        if undelivered:
            yield (
                f"{len(undelivered)} of {len(expected)} events were not delivered to webhooks "
                f"in {WEBHOOK_SECONDS_MAX:.0f} s"
            )
        receiver.stop()


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
