"""The whole brokerage with its real processes, for stories; and the line of figures that each story prints."""

import json
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
import urllib3

from brokerage.local.harness import Brokerage
from tests.stories.crowd import Person

CASH = Decimal(10_000)
OPEN_ACCOUNTS = """
import json
from decimal import Decimal
from accounts import customers, funding, tokens
for n in range({count}):
    customer = customers.create_customer(f"{name}-{{n}}@example.com", None)
    funding.deposit(customer.id, Decimal("{cash}"))
    print(json.dumps([customer.id, tokens.issue(customer, "story").token]))
"""


@pytest.fixture(scope="session")
def brokerage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Brokerage]:
    """One brokerage with two `web` and two `lanes`, that all stories share; each has customers of its own."""
    with Brokerage(tmp_path_factory.mktemp("story") / "var", {"web": 2, "lanes": 2}) as it:
        yield it


@pytest.fixture
def people(brokerage: Brokerage, request: pytest.FixtureRequest) -> Callable[[int], list[Person]]:
    """Opens that many accounts with 10,000 USD each."""

    def people(count: int) -> list[Person]:
        name = re.sub(r"\W|_", "-", request.node.name).strip("-")[-50:]
        code = OPEN_ACCOUNTS.format(count=count, name=name, cash=CASH)
        made = brokerage.manage("shell", "--no-imports", "-c", code)
        assert made.returncode == 0, made.stderr
        opened = [json.loads(line) for line in made.stdout.splitlines() if line.startswith("[")]
        return [Person(customer_id, token, CASH) for customer_id, token in opened]

    return people


@pytest.fixture
def faults(brokerage: Brokerage) -> Iterator[Callable[..., None]]:
    """Sets these faults of the exchange, and no others; none are left at the end."""

    def faults(**values: Any) -> None:
        urllib3.request("DELETE", f"{brokerage.exchange_url}/v1/faults")
        urllib3.request("PUT", f"{brokerage.exchange_url}/v1/faults", json=values)

    yield faults
    faults()


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Callable[..., None]:
    """Prints a story's figures in one line, at the end of the run."""

    def tell(story: str, **figures: Any) -> None:
        record_property("figures", f"{story}: " + ", ".join(f"{name} {value}" for name, value in figures.items()))

    return tell


def pytest_terminal_summary(terminalreporter: Any) -> None:
    told = [
        line
        for reports in (terminalreporter.stats.get(outcome, []) for outcome in ("passed", "failed"))
        for report in reports
        for name, line in getattr(report, "user_properties", [])
        if name == "figures" and report.when == "call"
    ]
    if told:
        terminalreporter.section("stories")
        for line in told:
            terminalreporter.write_line(line)


def audit(brokerage: Brokerage) -> dict[str, Any]:
    """What `manage.py audit_books --json` says."""
    done = brokerage.manage("audit_books", "--json", timeout=120)
    assert done.stdout.strip(), done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    assert (done.returncode == 0) == told["ok"]
    return told
