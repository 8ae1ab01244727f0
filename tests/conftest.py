"""Fixtures for all tests: two customers, and a real exchange.

Alice has 1,000 USD and 10 AAPL. Bob has 500 USD and must never see Alice's data. Our own code is never mocked: the
database and the broker are real servers, which `make test` starts, and the exchange is the stand-in in its own process.
"""

import fcntl
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from django.conf import settings
from django.contrib.staticfiles.storage import staticfiles_storage
from django.core.management import call_command
from django.db import connection
from django.test import Client, TransactionTestCase
from pytest_django.plugin import DjangoDbBlocker

from accounts import tokens
from accounts.funding import withdraw
from accounts.models import Customer
from exchange import exchange_time, gateway, price_history, prices
from office import tables as _tables  # noqa: F401 - tests of every table find them, before any URL is resolved
from tests import copies, emptying, people, template
from tests.guarantees import allow_truncate
from tests.lasting import forget
from trades import lane

pytest_plugins = ["tests.kinds", "tests.memory"]
# pytest-django wraps tests that commit in this Django test case; replace how it cleans up.
TransactionTestCase._fixture_teardown = lambda self: emptying.delete_rows()  # type: ignore[attr-defined]
# The duration of an example depends on the machine, so it has no deadline.
hypothesis.settings.register_profile("untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("untimed")
PROJECT = Path(__file__).resolve().parent.parent
# Static files are not collected for tests, but whitenoise looks for their folder.
Path(settings.STATIC_ROOT).mkdir(parents=True, exist_ok=True)

NEVER_MS = 3_600_000  # so slow that no order is executed during a test


class StandInExchange:
    """The stand-in exchange as a separate process whose faults can be set."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._ahead_seconds = 0.0

    def faults(self, **faults: Any) -> None:
        """Set these faults, and no others."""
        self.call("DELETE", "/v1/faults")
        self.call("PUT", "/v1/faults", faults)

    def move_clock(self, seconds: float) -> None:
        """Set its clock this many seconds ahead of this machine's; 0 resets it."""
        self.call("PUT", "/v1/clock", {"offsetSeconds": seconds})
        self._ahead_seconds = seconds

    def advance_clock(self, seconds: float) -> None:
        """Advance its clock by this many seconds."""
        self.move_clock(self._ahead_seconds + seconds)

    def record(self) -> list[dict[str, Any]]:
        """Return its own record, in order of arrival."""
        entries: list[dict[str, Any]] = []
        after = 0
        while after is not None:
            page = self.call("GET", f"/v1/trades?after={after}&limit=1000")
            entries += page["results"]
            after = page["next"]
        return entries

    def call(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(  # noqa: S310
            self.url + path, data, {"Content-Type": "application/json"}, method=method
        )
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
            content = response.read()
        return json.loads(content) if content else None


@pytest.fixture(scope="session")
def django_db_setup(
    django_test_environment: None, django_db_modify_db_settings: None, django_db_blocker: DjangoDbBlocker
) -> Iterator[None]:
    """Create the session's database without a time limit; from then on limit the time of statements."""
    name = connection.settings_dict["NAME"]
    with django_db_blocker.unblock():
        connection.settings_dict["OPTIONS"] = template.LONG_TIMEOUTS
        template.make_database()
        allow_truncate()
        copies.record(django_db_blocker, people.alice, people.bob)
        connection.settings_dict["OPTIONS"] = template.OPTIONS
        connection.close()
    yield
    if not template.IS_OURS:
        with django_db_blocker.unblock():
            connection.creation.destroy_test_db(name, verbosity=0)


@pytest.fixture(scope="session")
def exchange_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandInExchange]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {
        "EXCHANGE_PORT": str(port),
        "EXCHANGE_SECRET": settings.EXCHANGE_SECRET,
        "DATA_DIR": str(tmp_path_factory.mktemp("exchange")),
    }
    process = subprocess.Popen([sys.executable, "-m", "exchange.simulator"], cwd=PROJECT, env=environment)
    exchange = StandInExchange(f"http://127.0.0.1:{port}")
    try:
        for _ in range(200):
            try:
                exchange.call("GET", "/healthz")
                break
            except OSError:
                time.sleep(0.05)
        yield exchange
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture
def exchange(exchange_process: StandInExchange, monkeypatch: pytest.MonkeyPatch) -> StandInExchange:
    """Provide the exchange, which accepts orders but doesn't execute them unless the test changes its `faults`."""
    monkeypatch.setattr(settings, "EXCHANGE_URL", exchange_process.url)
    exchange_process.faults(latencyMs=NEVER_MS)
    exchange_process.move_clock(0)
    exchange_time.forget()
    gateway.forget()
    prices.forget()
    price_history.forget()
    return exchange_process


@pytest.fixture(scope="session", autouse=True)
def _static_root() -> None:
    """Create the static folder: WhiteNoise warns if it is missing, and a warning is an error here."""
    Path(settings.STATIC_ROOT).mkdir(parents=True, exist_ok=True)


@pytest.fixture(scope="session")
def static_files() -> None:
    """Collect the static files, hashed and compressed as in production. Only one worker does it."""
    with (settings.STATIC_ROOT / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (settings.STATIC_ROOT / "staticfiles.json").exists():
            call_command("collectstatic", interactive=False, verbosity=0)
    storage: Any = staticfiles_storage
    storage.hashed_files, _ = storage.load_manifest()


@pytest.fixture(autouse=True)
def _isolated_test() -> Iterator[None]:
    """Isolate tests from each other's rings, trading controls, prices and fees."""
    forget()
    broker = lane.broker()
    yield
    broker.flushdb()


@pytest.fixture
def real_password_hashers(settings: Any) -> None:
    """Hash passwords slowly, as in production."""
    settings.PASSWORD_HASHERS = settings.REAL_PASSWORD_HASHERS


@pytest.fixture
def broke(alice: Customer) -> Customer:
    """Return Alice with her 10 AAPL and no cash."""
    withdraw(alice.id, Decimal(1000))
    return alice


@pytest.fixture
def alice(db: None) -> Customer:
    """Create Alice, with 1,000 USD and 10 AAPL."""
    return copies.copy_of(people.alice)


@pytest.fixture
def bob(db: None) -> Customer:
    """Create Bob, with 500 USD."""
    return copies.copy_of(people.bob)


@pytest.fixture
def api_of() -> Callable[[Customer], Client]:
    """Provide a function that returns a customer's REST API client: `api_of(alice).get("/api/v1/balance")`."""

    def api_of(customer: Customer, scopes: list[str] | None = None) -> Client:
        token = tokens.issue(customer, "test", scopes).token
        return Client(headers={"Authorization": f"Bearer {token}"})

    return api_of
