"""`make chaos`: injects faults for CHAOS_SECONDS, then proves that no promise was broken.

The last line printed is one JSON object. CHAOS_SEED and CHAOS_PACE repeat the plan of an earlier run: the same faults
at the same times, and the same customers doing the same things. The pace says how slow the machine is; it is measured
unless it is given. Exit code 0: no violation.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import psutil

from chaos import checker, delays
from chaos.checker import gather, wait_until_final
from chaos.clocks import correct_times
from chaos.crowd import Crowd
from chaos.faults import Injector
from chaos.followers import WebhookReceiver, subscribe
from chaos.plan import plan
from chaos.record import Record
from chaos.site import Site, open_accounts
from chaos.staff import Staff
from local import ports
from local.ports import LOOPBACK

CUSTOMERS = 150
RATE = 50.0
"""Requests per second by the crowd when nothing slows it down; three in four place a trade."""
POLL_SECONDS = 10.0
FOLLOWERS = 20
"""Customers with a webhook."""


AUDITED = {
    "nothing_below_zero",
    "balance_is_the_sum_of_its_postings",
    "position_is_the_sum_of_its_postings",
    "cost_follows_from_its_postings",
    "lots_are_the_position",
    "lot_is_what_remains_and_what_was_closed",
    "posting_follows_the_one_before",
    "posting_is_of_its_kind",
    "entitlement_follows_from_its_action",
    "entitlement_has_its_postings",
    "posting_has_its_entitlement",
    "corporate_action_keeps_lots_and_cost",
    "corporate_action_counts_its_entitlements",
}
"""Rules of the audit that hold whatever clocks do."""


def main() -> int:
    """Run the fault suite with the settings in the environment; return 0 if nothing was violated."""
    seconds = float(os.environ.get("CHAOS_SECONDS") or 120)
    seed = int(os.environ.get("CHAOS_SEED") or random.SystemRandom().randrange(10**6))
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    keep = False
    try:
        result = run(folder, seed, seconds)
        keep = result["violationsCount"] > 0
        if keep:
            say(f"the evidence is in {folder}")
        print(json.dumps(result), flush=True)
        return 1 if keep else 0
    except BaseException:
        keep = True
        raise
    finally:
        if not keep and not os.environ.get("CHAOS_KEEP"):
            shutil.rmtree(folder, ignore_errors=True)


def run(folder: Path, seed: int, seconds: float) -> dict[str, Any]:
    """Run the suite once and return the result."""
    rng = random.Random(f"{seed} cash")
    evidence = checker.Evidence()
    log = Record(folder / "record")
    with Site(folder) as site:
        cash = [Decimal(rng.choice([500, 20_000, 100_000])) for _ in range(CUSTOMERS)]
        evidence.accounts = open_accounts(site.brokerage, cash)
        (folder / "record" / "accounts.json").write_text(json.dumps(evidence.accounts))
        pace = _pace(site, seed, seconds)
        memory = Memory(site)
        receiver = WebhookReceiver(LOOPBACK, ports.choose(avoid=site.links.values()))
        subscribe(site.brokerage.url, evidence.accounts[:FOLLOWERS], receiver)
        injector = Injector(site, log, Staff(site.brokerage, site.url_of("customers-web")), receiver)
        crowd = Crowd(site.url_of("customers-web"), evidence.accounts, log, seed, _rate() / pace)
        began = time.monotonic()
        crowd.start()
        streams = [
            threading.Thread(target=injector.follow, args=(faults, began), daemon=True)
            for faults in plan(seed, seconds, pace).values()
        ]
        for stream in streams:
            stream.start()
        while time.monotonic() < began + seconds:
            time.sleep(min(POLL_SECONDS, max(0.0, began + seconds - time.monotonic())))
            memory.sample()
            say(f"{time.monotonic() - began:6.0f} s  {log.written}")
        injector.heal()
        for stream in streams:
            stream.join(60)
        injector.heal()
        site.brokerage.wait_ready()
        healed = time.monotonic()
        crowd.stop()
        settled = wait_until_final(site.postgres.url)
        evidence = gather(evidence.accounts, log, site.postgres.url, site.brokerage.exchange_url)
        (folder / "record" / "exchange.json").write_text(json.dumps(evidence.exchange))
        correct_times(evidence)
        violations = [*checker.violations(evidence), *delays.violations(evidence, pace), *audited(site)]
        memory.sample()
        output = site.brokerage.output()
        receiver.stop()
    log.close()
    return _report(evidence, violations, seed, seconds) | {
        "pace": pace,
        "secondsUntilAllWasFinal": round(settled - healed, 1),
        "memoryMegabytesMax": memory.most,
        "tracebacks": output.count("Traceback (most recent call last)"),
        "webhooksDelivered": len(receiver.ids),
    }


def _pace(site: Site, seed: int, seconds: float) -> float:
    """Return how slow the machine is, and print how to repeat this run."""
    pace = float(os.environ.get("CHAOS_PACE") or site.brokerage.pace())
    say(f"CHAOS_SEED={seed} CHAOS_PACE={pace} CHAOS_SECONDS={seconds:.0f} make chaos repeats this run")
    return pace


def _rate() -> float:
    return float(os.environ.get("CHAOS_RATE") or RATE)


def _report(evidence: checker.Evidence, violations: list[str], seed: int, seconds: float) -> dict[str, Any]:
    """Print a summary, and return the result for the last line."""
    injected = [fault for fault in evidence.faults if fault["done"]]
    kinds = Counter(fault["kind"] for fault in injected)
    staff, kills, splits = (kinds.pop(kind, 0) for kind in ("staff", "kill", "split"))
    figures = checker.figures(evidence)
    for violation in violations[:50]:
        say(f"VIOLATION {violation}")
    delay = figures["delayAfterTheLastFaultSeconds"]
    say(
        f"{figures['trades']} trades, {kills} kills, {kinds.total()} other faults, {len(violations)} violations; "
        f"delay of a trade after the last fault that concerned it: "
        + ", ".join(f"{name} {delay[name]} s" for name in ("p50", "p99", "max") if name in delay)
    )
    return {
        "ok": not violations,
        "seed": seed,
        "seconds": seconds,
        "violationsCount": len(violations),
        "violations": violations[:20],
        "kills": kills,
        "otherFaults": kinds.total(),
        "haltsAndLimits": staff,
        "splits": splits,
        "splitHolders": len(evidence.entitlements),
        "faults": dict(sorted(Counter(f"{fault['kind']} {fault['target']}" for fault in injected).items())),
        **figures,
    }


def audited(site: Site) -> Iterator[str]:
    """Yield what the brokerage's own audit finds wrong in the books, but for rules that compare clocks."""
    answer = site.brokerage.manage("audit_books", "--json", timeout=300)
    try:
        findings = json.loads(answer.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        yield f"the audit gave no answer: {answer.stderr[-300:]}"
        return
    for violation in findings["violations"]:
        if violation["rule"] in AUDITED:
            yield f"the audit: {violation}"


class Memory:
    """The peak memory of a process of each type, in megabytes."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self.most: dict[str, int] = {}

    def sample(self) -> None:
        try:
            running = self._site.brokerage.processes()
        except Exception:  # noqa: BLE001 — it is being killed: skip this sample
            return
        for name, pid in running.items():
            try:
                main = psutil.Process(pid)
                family = [main] if name in {"supervisord", "runner"} else [main, *main.children(recursive=True)]
                megabytes = sum(process.memory_info().rss for process in family) // 2**20
            except psutil.Error:
                continue
            kind = name.partition(".")[0]
            self.most[kind] = max(self.most.get(kind, 0), megabytes)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    if "--cluster" in sys.argv[1:]:
        from chaos import cluster

        sys.exit(cluster.run())
    sys.exit(main())
