"""One hostile customer does everything at once to disturb the others, behind the balancer that we ship.

Meanwhile another customer places, reads, hears of events and is called by a webhook, as before. The figures tell what
each of these takes, undisturbed and disturbed; what is asserted is that nothing of the other customer's fails.
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
from local.harness import Brokerage
from local.ports import LOOPBACK
from local.run import PROJECT
from tests.security.test_behind_the_balancer import BINARY, Balancer
from tests.stories.test_streams import Reader, eventually
from tests.webhooks.conftest import Receiver

pytestmark = [pytest.mark.story, pytest.mark.skipif(BINARY is None, reason="HAProxy is not installed")]

QUIET_SECONDS, HOSTILE_SECONDS = 15.0, 25.0
REPEATED_MAX = 2
LEDGER_LINES = 400  # of the hostile customer
PAUSE_SECONDS = 0.1  # between two rounds of the customer
PLACING = {"stockTicker": "AAPL", "type": "BUY", "quantity": 1}
OPEN_ACCOUNTS = """
import json
from decimal import Decimal
from django.test import Client
from accounts import customers, funding, tokens
from webhooks import subscriptions
told = {}
for name, hooks in (("victim", [VICTIM]), ("hostile", [HOSTILE] * 10)):
    customer = customers.create_customer(f"{name}@example.com", None)
    for _ in range(LEDGER_LINES if name == "hostile" else 1):
        funding.deposit(customer.id, Decimal("100000"))
    browser = Client()
    browser.force_login(customer, "allauth.account.auth_backends.AuthenticationBackend")
    issued = tokens.issue(customer, "story")
    for hook in hooks:
        subscriptions.create(customer.id, hook)
    told[name] = {"id": customer.id, "token": issued.token, "keyId": issued.key_id, "secretKey": issued.secret_key,
                  "session": browser.cookies["sessionid"].value}
print(json.dumps(told))
"""

People = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def hooks() -> Iterator[dict[str, Receiver]]:
    """Start the customer's webhook server, which responds, and the hostile one's, which never does."""
    found = {"victim": Receiver(), "hostile": Receiver()}
    found["hostile"].hangs = True
    yield found
    for receiver in found.values():
        receiver.stop()


@pytest.fixture(scope="module")
def balancer() -> Iterator[tuple[Balancer, Brokerage]]:
    folder, port = Path(tempfile.mkdtemp(prefix="brokerage-hostile-")), ports.choose()
    behind = {
        "NUM_PROXIES": "1",
        "TRUSTED_PROXY_COUNT": "1",
        "CALLBACK_URL": f"http://{LOOPBACK}:{port}/exchange/callbacks",
        "WEBHOOKS_TO_PRIVATE_ADDRESSES": "1",
    }
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        brokerage = stack.enter_context(Brokerage(folder / "var", {"web": 2, "lanes": 2}, behind))
        balancer = Balancer(folder, port)
        stack.callback(balancer.stop)
        balancer.start(
            [url.removeprefix("http://") for url in brokerage.web_urls], f"{LOOPBACK}:{brokerage.stream_port}"
        )
        yield balancer, brokerage


@pytest.fixture(scope="module")
def people(balancer: tuple[Balancer, Brokerage], hooks: dict[str, Receiver]) -> People:
    given = {"VICTIM": hooks["victim"].url, "HOSTILE": hooks["hostile"].url, "LEDGER_LINES": LEDGER_LINES}
    code = reduce(lambda code, name: code.replace(name, repr(given[name])), given, OPEN_ACCOUNTS)
    made = balancer[1].manage("shell", "--no-imports", "-c", code)
    assert made.returncode == 0, made.stderr
    found: People = json.loads(made.stdout.splitlines()[-1])
    return found


@contextmanager
def attack(url: str, hostile: dict[str, Any]) -> Iterator[Counter[str]]:
    """Let the hostile customer's programs run, in a process of their own; tell at the end what they were answered."""
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
    """A list that keeps when it first heard of each trade."""

    def __init__(self, trade_of: Callable[[Any], str]) -> None:
        super().__init__()
        self._trade_of, self.first = trade_of, dict[str, float]()

    def append(self, heard: Any) -> None:
        self.first.setdefault(self._trade_of(heard), time.time())
        super().append(heard)


class Customer:
    """Somebody who trades, reads, listens and has a webhook; how long each of it takes."""

    def __init__(self, url: str, victim: dict[str, Any], hook: Receiver) -> None:
        self._url, self._victim = url, victim
        self._pool = urllib3.PoolManager(retries=False, timeout=30)
        self._posts = hook.got = Timed(lambda post: str(json.loads(post[1])["trade"]["tradeId"]))
        self._reader = Reader(f"{url}/api/v1/events", victim["token"])
        self._events = self._reader.events = Timed(lambda event: str(event["trade"]["tradeId"]))
        self._reader.start()
        self.failures: list[str] = []
        self.repeated = 0  # requests whose connection broke
        self.placed: dict[str, float] = {}
        eventually(lambda: self._reader.opened, 20)

    def live(self, seconds: float) -> dict[str, list[float]]:
        """Trade for so long; return what each kind of thing took, in seconds."""
        taken: dict[str, list[float]] = {"placing": [], "reading": []}
        mine: list[str] = []
        ends_at = time.monotonic() + seconds
        while time.monotonic() < ends_at:
            began = time.time()
            trade = self._ask(taken["placing"], "POST", "/api/v1/trades", {200, 201}, json=PLACING)
            if trade:
                self.placed[trade["tradeId"]] = began
                mine.append(trade["tradeId"])
            self._ask(taken["reading"], "GET", "/api/v1/balance", {200})
            time.sleep(PAUSE_SECONDS)
        for name, heard in (("event", self._events), ("webhook", self._posts)):
            eventually(lambda heard=heard: set(mine) <= set(heard.first), 60)  # type: ignore[misc]
            taken[name] = [heard.first[trade_id] - self.placed[trade_id] for trade_id in mine]
        return taken

    def _ask(self, taken: list[float], method: str, path: str, expected: set[int], **more: Any) -> Any:
        began = time.monotonic()
        headers = {"Authorization": f"Bearer {self._victim['token']}", "Idempotency-Key": str(uuid4())}
        answer = self._answer(method, f"{self._url}{path}", headers=headers, **more)
        taken.append(time.monotonic() - began)
        if answer.status not in expected:
            self.failures.append(f"{method} {path}: {answer.status} {answer.data[:200]!r}")
            return None
        return answer.json()

    def _answer(self, method: str, url: str, **more: Any) -> urllib3.BaseHTTPResponse:
        """Ask, and where the connection broke ask again, with the same key, as a program should."""
        for _ in range(REPEATED_MAX):
            try:
                return self._pool.request(method, url, **more)
            except urllib3.exceptions.HTTPError:
                self.repeated += 1
        return self._pool.request(method, url, **more)

    def ended(self) -> list[str]:
        """Return how each trade ended."""
        statuses = []
        for trade_id in self.placed:
            answer = self._ask([], "GET", f"/api/v1/trades/{trade_id}", {200})
            statuses.append(answer["status"] if answer else "unknown")
        return statuses


def share(taken: list[float], part: float) -> float:
    """Return the time that so large a part of all stayed within, in milliseconds."""
    return 1000 * sorted(taken)[min(len(taken) - 1, int(len(taken) * part))]


def test_a_hostile_customer_does_not_break_anothers_requests(
    balancer: tuple[Balancer, Brokerage],
    people: People,
    hooks: dict[str, Receiver],
    record_property: Callable[[str, object], None],
) -> None:
    url = balancer[0].url
    customer = Customer(url, people["victim"], hooks["victim"])
    customer.live(3)  # so that nothing is the first of its kind
    quiet = customer.live(QUIET_SECONDS)
    with attack(url, people["hostile"]) as statuses:
        time.sleep(3)
        disturbed = customer.live(HOSTILE_SECONDS)
    told = f"{dict(sorted(statuses.items()))}, {customer.repeated} requests of another repeated"
    record_property("figures", f"hostile customer: {told}")
    for name, before in quiet.items():
        after = disturbed[name]
        told = ", ".join(
            f"{label} {share(before, part):.0f} to {share(after, part):.0f} ms"
            for label, part in (("p50", 0.5), ("p99", 0.99))
        )
        record_property("figures", f"hostile customer, another's {name}: {told} ({len(before)}, {len(after)})")

    assert customer.failures == [], balancer[0].log()
    eventually(lambda: set(customer.ended()) <= {"FILLED", "REJECTED"}, 60)
    assert customer.failures == []
    assert statuses["listened"]
    assert statuses["place 201"]
    assert not [status for status in statuses if status.endswith(" 500")]
