"""A hostile customer disturbs the others in every way simultaneously, behind the load balancer that we ship.

Another customer goes on placing trades, reading their balance, and receiving events and webhook calls. The figures show
how long each of these takes with and without the disturbance; the test asserts that none of them fails.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import reduce
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import urllib3

from local import ports
from local.harness import FRUGAL, Brokerage
from local.ports import LOOPBACK
from local.run import PROJECT
from tests.security.test_behind_the_balancer import BINARY, Balancer
from tests.stories.test_streams import Reader, eventually
from tests.webhooks.conftest import Receiver

pytestmark = [pytest.mark.story, pytest.mark.skipif(BINARY is None, reason="HAProxy is not installed")]

QUIET_SECONDS, HOSTILE_SECONDS = 15.0, 25.0
REPEATED_MAX = 2
LEDGER_LINES = 20_000  # in the hostile customer's ledger: a file of 3 MB
PAUSE_SECONDS = 0.1  # between two rounds of the victim's requests
PLACING = {"stockTicker": "AAPL", "type": "BUY", "quantity": 1}
OPEN_ACCOUNTS = """
import json
from decimal import Decimal
from uuid import uuid4
from django.db import transaction
from django.test import Client
from accounts import customers, funding, tokens
from accounts.ledger import open_books
from webhooks import subscriptions
opened = {}
for name, hooks in (("victim", [VICTIM]), ("hostile", [HOSTILE] * 10)):
    customer = customers.create_customer(f"{name}@example.com", None)
    funding.deposit(customer.id, Decimal("10000000"))
    with transaction.atomic():
        books = open_books([customer.id])
        for _ in range(LEDGER_LINES if name == "hostile" else 1):
            books[customer.id].move_cash("deposit", uuid4(), Decimal(1))
        books.write()
    browser = Client()
    browser.force_login(customer, "allauth.account.auth_backends.AuthenticationBackend")
    issued = tokens.issue(customer, "story")
    for hook in hooks:
        subscriptions.create(customer.id, hook)
    opened[name] = {"id": customer.id, "token": issued.token, "keyId": issued.key_id, "secretKey": issued.secret_key,
                  "session": browser.cookies["sessionid"].value}
print(json.dumps(opened))
"""

People = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def hooks() -> Iterator[dict[str, Receiver]]:
    """Start the victim's webhook server, which responds, and the hostile customer's, which never does."""
    receivers = {"victim": Receiver(), "hostile": Receiver()}
    receivers["hostile"].hangs = True
    yield receivers
    for receiver in receivers.values():
        receiver.stop()


@pytest.fixture(scope="module")
def balancer() -> Iterator[tuple[Balancer, Brokerage]]:
    folder, port = Path(tempfile.mkdtemp(prefix="brokerage-hostile-")), ports.choose()
    settings = {
        **FRUGAL,
        "NUM_PROXIES": "1",
        "TRUSTED_PROXY_COUNT": "1",
        "CALLBACK_URL": f"http://{LOOPBACK}:{port}/exchange/callbacks",
        "WEBHOOKS_TO_PRIVATE_ADDRESSES": "1",
    }
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        brokerage = stack.enter_context(Brokerage(folder / "var", {"web": 2, "lanes": 2}, settings))
        balancer = Balancer(folder, port)
        stack.callback(balancer.stop)
        web = [url.removeprefix("http://") for url in brokerage.web_urls]
        balancer.start(web, brokerage.health_port, f"{LOOPBACK}:{brokerage.stream_port}")
        yield balancer, brokerage


@pytest.fixture(scope="module")
def people(balancer: tuple[Balancer, Brokerage], hooks: dict[str, Receiver]) -> People:
    values = {"VICTIM": hooks["victim"].url, "HOSTILE": hooks["hostile"].url, "LEDGER_LINES": LEDGER_LINES}
    code = reduce(lambda code, name: code.replace(name, repr(values[name])), values, OPEN_ACCOUNTS)
    completed = balancer[1].manage("shell", "--no-imports", "-c", code)
    assert completed.returncode == 0, completed.stderr
    people: People = json.loads(completed.stdout.splitlines()[-1])
    return people


@contextmanager
def attack(url: str, hostile: dict[str, Any]) -> Iterator[Counter[str]]:
    """Run the attack in a separate process while the block runs; afterwards count its responses by kind and status."""
    statuses: Counter[str] = Counter()
    command = [sys.executable, "-m", "tests.stories.attack", url, json.dumps(hostile)]
    with subprocess.Popen(
        command, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            yield statuses
        finally:
            statuses.update(json.loads(process.communicate("", timeout=60)[0]))


class Timed(list[Any]):
    """A list that records when the first item about each trade was appended."""

    def __init__(self, trade_of: Callable[[Any], str]) -> None:
        super().__init__()
        self._trade_of, self.first = trade_of, dict[str, float]()

    def append(self, item: Any) -> None:
        self.first.setdefault(self._trade_of(item), time.time())
        super().append(item)


class Customer:
    """A customer who trades, reads, listens and has a webhook, and measures how long each of these takes."""

    def __init__(self, url: str, victim: dict[str, Any], hook: Receiver) -> None:
        self._url, self._victim = url, victim
        self._pool = urllib3.PoolManager(retries=False, timeout=30)
        self._posts = hook.requests = Timed(lambda post: str(json.loads(post[1])["trade"]["tradeId"]))
        self._reader = Reader(f"{url}/api/v1/events", victim["token"])
        self._events = self._reader.events = Timed(lambda event: str(event["trade"]["tradeId"]))
        self._reader.start()
        self.failures: list[str] = []
        self.repeated = 0  # requests whose connection broke
        self.placed: dict[str, float] = {}
        eventually(lambda: self._reader.times_opened, 20)

    def trade_for(self, seconds: float) -> dict[str, list[float]]:
        """Trade for this long; return the durations of each kind of action, in seconds."""
        durations: dict[str, list[float]] = {"placing": [], "reading": []}
        trade_ids: list[str] = []
        ends_at = time.monotonic() + seconds
        while time.monotonic() < ends_at:
            started_at = time.time()
            trade = self._request(durations["placing"], "POST", "/api/v1/trades", {200, 201}, json=PLACING)
            if trade:
                self.placed[trade["tradeId"]] = started_at
                trade_ids.append(trade["tradeId"])
            self._request(durations["reading"], "GET", "/api/v1/balance", {200})
            time.sleep(PAUSE_SECONDS)
        for name, arrivals in (("event", self._events), ("webhook", self._posts)):
            eventually(lambda arrivals=arrivals: set(trade_ids) <= set(arrivals.first), 60)  # type: ignore[misc]
            durations[name] = [arrivals.first[trade_id] - self.placed[trade_id] for trade_id in trade_ids]
        return durations

    def _request(self, durations: list[float], method: str, path: str, expected: set[int], **more: Any) -> Any:
        started_at = time.monotonic()
        headers = {"Authorization": f"Bearer {self._victim['token']}", "Idempotency-Key": str(uuid4())}
        response = self._send(method, f"{self._url}{path}", headers=headers, **more)
        durations.append(time.monotonic() - started_at)
        if response.status not in expected:
            self.failures.append(f"{method} {path}: {response.status} {response.data[:200]!r}")
            return None
        return response.json()

    def _send(self, method: str, url: str, **more: Any) -> urllib3.BaseHTTPResponse:
        """Send a request; if the connection breaks, repeat it with the same key, as a program should."""
        for _ in range(REPEATED_MAX):
            try:
                return self._pool.request(method, url, **more)
            except urllib3.exceptions.HTTPError:
                self.repeated += 1
        return self._pool.request(method, url, **more)

    def statuses(self) -> list[str]:
        """Return the status of each placed trade."""
        statuses = []
        for trade_id in self.placed:
            response = self._request([], "GET", f"/api/v1/trades/{trade_id}", {200})
            statuses.append(response["status"] if response else "unknown")
        return statuses


def quantile_ms(durations: list[float], quantile: float) -> float:
    """Return this quantile of durations in seconds, in milliseconds."""
    return 1000 * sorted(durations)[min(len(durations) - 1, int(len(durations) * quantile))]


def test_a_hostile_customer_does_not_break_anothers_requests(
    balancer: tuple[Balancer, Brokerage],
    people: People,
    hooks: dict[str, Receiver],
    record_property: Callable[[str, object], None],
) -> None:
    url = balancer[0].url
    customer = Customer(url, people["victim"], hooks["victim"])
    customer.trade_for(3)  # warm up
    undisturbed = customer.trade_for(QUIET_SECONDS)
    with attack(url, people["hostile"]) as statuses:
        time.sleep(3)
        disturbed = customer.trade_for(HOSTILE_SECONDS)
    summary = f"{dict(sorted(statuses.items()))}, {customer.repeated} requests of the other customer repeated"
    record_property("figures", f"hostile customer: {summary}")
    for name, before in undisturbed.items():
        after = disturbed[name]
        change = ", ".join(
            f"{label} {quantile_ms(before, quantile):.0f} to {quantile_ms(after, quantile):.0f} ms"
            for label, quantile in (("p50", 0.5), ("p99", 0.99))
        )
        record_property("figures", f"hostile customer, another's {name}: {change} ({len(before)}, {len(after)})")

    assert customer.failures == [], balancer[0].log()
    eventually(lambda: set(customer.statuses()) <= {"FILLED", "REJECTED"}, 60)
    assert customer.failures == []
    assert statuses["listened"]
    assert statuses["place 201"]
    assert not [status for status in statuses if status.endswith(" 500")]
