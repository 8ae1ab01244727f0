"""Proofs of the books: how long a full one takes, and one of the changes since, alone and beside trades."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks import stages
from benchmarks.settings import Settings
from benchmarks.site import Site

RATE = 300.0  # trades a second beside a proof
FULL: Sequence[str] = ()
CHANGES = ("--changes",)
GENTLY = ("--changes", "--gently")  # as the sweep proves
KEPT = ("--keep",)


def of_a_day(settings: Settings, say: Callable[[str], None]) -> dict[str, Any]:
    """Load trades, prove them, trade on for a day, and prove that day's changes.

    A day is what is settled in `settings.seconds`. The proofs beside trades run one after another as long as the load
    lasts, and start from the day's beginning too.
    """
    trades_each = max(1, settings.proof_trades // settings.proof_customers)
    traders = settings.proof_traders
    with Site(settings.processes, settings.proof_customers, trades_each, None, say, traders, True) as site:
        disk = stages.disk(site)
        first = _prove(site, KEPT)
        say(f"proof: everything, {first['trades']:,} trades, took {first['seconds']} s")
        day = stages.settled(site, settings)
        result = {"first": first, "day": day, "bytesATrade": disk["bytesATrade"]}
        for name, options in (("full", FULL), ("changes", CHANGES)):
            result[name] = _prove(site, options)
            say(f"proof: {name} after a day of trades took {result[name]['seconds']} s")
        result["placingAlone"] = stages.latencies(site, settings, RATE, seed=1)["placing"]
        for name, options in (("full", FULL), ("changes", GENTLY)):
            result[f"placingBeside{name.title()}"] = _placing_beside(site, settings, options)
        say(f"proof: placing {[result[key] for key in result if key.startswith('placing')]}")
        result["ofFull"] = round(result["changes"]["seconds"] / result["full"]["seconds"], 3)
        result["placingP99Ratio"] = round(result["placingBesideChanges"]["p99"] / result["placingAlone"]["p99"], 3)
        return result


def _prove(site: Site, options: Sequence[str], drain: bool = True) -> dict[str, Any]:
    return site.audit(drain, options)


def _placing_beside(site: Site, settings: Settings, options: Sequence[str]) -> dict[str, Any]:
    """Return the latency of placing while proofs run one after another, and how many were begun."""
    loading = True
    begun = 0

    def prove_on() -> None:
        nonlocal begun
        while loading:
            begun += 1
            _prove(site, options, drain=False)

    with ThreadPoolExecutor(1) as pool:
        proving = pool.submit(prove_on)
        try:
            placing = stages.latencies(site, settings, RATE, seed=2)["placing"]
        finally:
            loading = False
        proving.result()
    return {**placing, "proofs": begun}
