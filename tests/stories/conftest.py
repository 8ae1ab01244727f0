"""The whole brokerage with real processes, and a function that reports each story's figures."""

import json
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import urllib3

from local.harness import FRUGAL, Brokerage
from local.plan import PROJECT
from tests.stories.crowd import Person

CASH = Decimal(10_000)
LOOP = """
import contextlib, io, json, sys, traceback
from django.db import connections
for line in sys.stdin:
    printed, error = io.StringIO(), None
    try:
        with contextlib.redirect_stdout(printed):
            exec(json.loads(line), {})
    except BaseException:
        error = traceback.format_exc()
    connections.close_all()
    print(json.dumps([printed.getvalue(), error]), flush=True)
"""
CREATE_CUSTOMER = """
from django.core.management import call_command
call_command("create_customer", "{email}", "--password", "{password}", "--deposit", "{cash}", "--json")
"""
OPEN_ACCOUNTS = """
import json
from decimal import Decimal
from accounts import customers, funding, tokens
for n in range({count}):
    customer = customers.create_customer(f"{name}-{{n}}@example.com", None)
    funding.deposit(customer.id, Decimal("{cash}"))
    print(json.dumps([customer.id, tokens.issue(customer, "story").token]))
"""


PASSWORD = "correct horse battery"


def call(url: str, body: Any = None, token: str | None = None, method: str | None = None, **headers: str) -> Any:
    """Call the REST API and return the decoded response. Raises HTTPError."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", **headers}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    with urllib.request.urlopen(urllib.request.Request(url, data, headers, method=method), timeout=20) as response:  # noqa: S310
        content = response.read()
    return json.loads(content) if content else None


# Not for the session: a brokerage that nobody uses takes a tenth of a processor.
@pytest.fixture(scope="package")
def brokerage() -> Iterator[Brokerage]:
    """Run one brokerage with two `web` and two `lanes` for all stories; each story has its own customers."""
    folder = Path(tempfile.mkdtemp(prefix="brokerage-story-"))
    try:
        with Brokerage(folder / "var", {"web": 2, "lanes": 2}, FRUGAL) as brokerage:
            yield brokerage
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Shell:
    """A `manage.py shell` that stays open, because a start of Django takes seconds."""

    def __init__(self, brokerage: Brokerage) -> None:
        self._brokerage = brokerage
        self._process: subprocess.Popen[str] | None = None
        self._started_for: object = None

    def run(self, code: str) -> str:
        """Run code, and return what it printed. A brokerage that was started again gets a new shell."""
        if self._process is None or self._started_for is not self._brokerage.process:
            self.close()
            self._started_for = self._brokerage.process
            self._process = subprocess.Popen(
                [sys.executable, "manage.py", "shell", "--no-imports", "-c", LOOP],
                cwd=PROJECT, env=self._brokerage.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )  # fmt: skip
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(code) + "\n")
        self._process.stdin.flush()
        printed, error = json.loads(self._process.stdout.readline())
        assert error is None, error
        return str(printed)

    def close(self) -> None:
        """End the shell. Idempotent."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


@pytest.fixture(scope="package")
def run_code(brokerage: Brokerage) -> Iterator[Callable[[str], str]]:
    """Provide a function that runs code as in `manage.py shell`, and returns what it printed."""
    shell = Shell(brokerage)
    yield shell.run
    shell.close()


@pytest.fixture
def account(brokerage: Brokerage, run_code: Callable[[str], str]) -> Callable[..., dict[str, Any]]:
    """Provide a function that opens an account with cash, and returns its token and key pair."""

    def account(email: str, cash: int = 100_000) -> dict[str, Any]:
        created = json.loads(run_code(CREATE_CUSTOMER.format(email=email, password=PASSWORD, cash=cash)))
        body = {"email": email, "password": PASSWORD, "name": "story"}
        return created | call(f"{brokerage.url}/api/v1/tokens", body)

    return account


@pytest.fixture
def people(run_code: Callable[[str], str], request: pytest.FixtureRequest) -> Callable[[int], list[Person]]:
    """Provide a function that opens this many accounts with 10,000 USD each."""

    def people(count: int) -> list[Person]:
        name = re.sub(r"\W|_", "-", request.node.name).strip("-")[-50:]
        lines = run_code(OPEN_ACCOUNTS.format(count=count, name=name, cash=CASH)).splitlines()
        accounts = [json.loads(line) for line in lines if line.startswith("[")]
        return [Person(customer_id, token, CASH) for customer_id, token in accounts]

    return people


@pytest.fixture
def faults(brokerage: Brokerage) -> Iterator[Callable[..., None]]:
    """Provide a function that sets exactly these faults of the exchange; remove all at the end.

    An earlier story may have failed while its processes were starting again, so wait for them.
    """
    brokerage.wait_ready()

    def faults(**values: Any) -> None:
        urllib3.request("DELETE", f"{brokerage.exchange_url}/v1/faults")
        urllib3.request("PUT", f"{brokerage.exchange_url}/v1/faults", json=values)

    yield faults
    faults()


@pytest.fixture
def report_figures(record_property: Callable[[str, object], None]) -> Callable[..., None]:
    """Provide a function that reports a story's figures in one line at the end of the run."""

    def report_figures(story: str, **figures: Any) -> None:
        record_property("figures", f"{story}: " + ", ".join(f"{name} {value}" for name, value in figures.items()))

    return report_figures


def audit(brokerage: Brokerage) -> dict[str, Any]:
    """Return the output of `manage.py audit_books --json`."""
    completed = brokerage.manage("audit_books", "--json", timeout=120)
    assert completed.stdout.strip(), completed.stderr
    result: dict[str, Any] = json.loads(completed.stdout)
    assert (completed.returncode == 0) == result["ok"]
    return result
