"""Readers: many customers look at their pages, positions and history, while others trade."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks import stages
from benchmarks.load import LoadFailed, latency
from benchmarks.settings import Settings
from benchmarks.site import Site

READERS = 200
PAUSE_SECONDS = 5.0  # between two requests of a reader, on average
RATE = 300.0  # trades a second of the others
PAGES = (
    ("home", "/"),
    ("trades", "/trades"),
    ("positions", "/alpaca/v2/positions"),
    ("history", "/alpaca/v2/account/portfolio/history"),
)
READING = Path(__file__).with_name("reading.py")
# A session for each reader, as signing in makes it, and the pair of the token that the population gave them.
SIGN_IN = """
import json
from django.test import Client
from accounts.models import Customer
cookies = []
for customer in Customer.objects.filter(id__in={ids}).order_by("id"):
    client = Client()
    client.force_login(customer)
    cookies.append("; ".join(f"{{name}}={{morsel.value}}" for name, morsel in client.cookies.items()))
print(json.dumps(cookies))
"""


def beside_trades(site: Site, settings: Settings) -> dict[str, Any]:
    """Measure the latency of trades alone and beside readers, and that of what the readers ask for."""
    rate = settings.readers_rate
    alone = stages.latencies(site, settings, rate, seed=1)
    headers = _headers(site, settings.readers)
    seconds = settings.warm_up_seconds + settings.seconds
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(_read, site, headers, seconds + 2)
        beside = stages.latencies(site, settings, rate, seed=2)
        answers = reading.result()
    if answers["failures"]:
        raise LoadFailed(f"{len(answers['failures'])} pages were not answered: {answers['failures'][:5]}")
    pages = {title: latency(milliseconds) for title, milliseconds in answers["milliseconds"].items()}
    return {
        "readers": settings.readers,
        "pagesPerSecond": round(sum(map(len, answers["milliseconds"].values())) / (seconds + 2), 1),
        "pages": pages,
        "slowestP99": max(page["p99"] for page in pages.values()),
        "alone": alone,
        "beside": beside,
        "finalP99Ratio": round(beside["final"]["p99"] / alone["final"]["p99"], 3),
        "placingP99Ratio": round(beside["placing"]["p99"] / alone["placing"]["p99"], 3),
    }


def _headers(site: Site, readers: int) -> list[dict[str, str]]:
    first = site.population.first_id
    ids = [first + number for number in range(min(readers, site.population.customers))]
    answer = site.brokerage.manage("shell", "-v", "0", "-c", SIGN_IN.format(ids=ids), timeout=120)
    if answer.returncode:
        raise LoadFailed(f"the readers could not sign in: {answer.stderr[-1000:]}")
    cookies = json.loads(answer.stdout.strip().splitlines()[-1])
    return [
        {
            "Cookie": cookie,
            "APCA-API-KEY-ID": f"BK{id:018d}",
            "APCA-API-SECRET-KEY": f"secret{id}",
        }
        for id, cookie in zip(ids, cookies, strict=True)
    ]


def _read(site: Site, headers: list[dict[str, str]], seconds: float) -> dict[str, Any]:
    order = {
        "addresses": site.addresses,
        "readers": headers,
        "pages": PAGES,
        "start_at": time.time() + 1,
        "seconds": seconds,
        "pause_seconds": PAUSE_SECONDS,
    }
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(READING)],
        input=json.dumps(order) + "\n",
        capture_output=True,
        text=True,
        timeout=seconds + 120,
    )
    if done.returncode:
        raise LoadFailed(f"the readers ended with {done.returncode}: {done.stderr[-1000:]}")
    result: dict[str, Any] = json.loads(done.stdout)
    return result
