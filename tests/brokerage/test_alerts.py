"""Every alert uses existing metrics and has a complete section in the runbook."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.test import Client

from accounts.models import Customer
from office.models import Case
from tests.conftest import StandInExchange
from tests.factories import CaseFactory, JobFactory
from tests.people import claim
from trades import checks
from trades.models import Trade, TradingControl
from trades.place import place_trade
from trades.turn import take_turn

DOCS = Path(__file__).parents[2] / "docs"
RULES: list[dict[str, Any]] = [
    rule for group in yaml.safe_load((DOCS / "alerts.yaml").read_text())["groups"] for rule in group["rules"]
]


def scrape() -> dict[str, float]:
    """Return every sample by its name and labels."""
    lines = Client().get("/metrics").content.decode().splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines) if name[:1] != "#"}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_alerts_use_existing_metrics_and_have_a_runbook_section(db: None, rule: dict[str, Any]) -> None:
    types = re.findall(r"^# TYPE (\S+) gauge$", Client().get("/metrics").content.decode(), re.MULTILINE)
    metrics = set(re.findall(r"brokerage_\w+", rule["expr"]))
    assert metrics
    assert metrics <= set(types)
    file, _, anchor = rule["annotations"]["runbook"].partition("#")
    sections = re.split(r"^#{2,3} ", (DOCS / file).read_text(), flags=re.MULTILINE)
    (section,) = [text for text in sections if text.partition("\n")[0].lower().replace(" ", "-") == anchor]
    assert all(f"* **{part}**: " in section for part in ("Means", "Look", "Do"))


def test_labels_that_alerts_name_are_those_of_the_tables() -> None:
    kinds_in_alerts = {
        kind for rule in RULES for kinds in re.findall(r'kind=~"([^"]+)"', rule["expr"]) for kind in kinds.split("|")
    }
    assert kinds_in_alerts
    assert kinds_in_alerts <= set(Case.Kind.values)


def test_lag_counts_the_first_trade_in_line_only(alice: Customer, bob: Customer, exchange: StandInExchange) -> None:
    first, _ = place_trade(alice.id, "AAPL", "SELL", 1)
    place_trade(alice.id, "AAPL", "SELL", 1)
    claim(alice)
    assert scrape()["brokerage_lane_lag_seconds"] == 0, "one trade is in flight and the other waits behind it"
    place_trade(bob.id, "AAPL", "BUY", 1)
    assert scrape()["brokerage_lane_lag_seconds"] > 0
    checks.set_control(TradingControl.Kind.HALT_CUSTOMER, True, reason="-", by=alice, customer=bob)
    assert scrape()["brokerage_lane_lag_seconds"] == 0, "a halted trade is supposed to wait"
    assert Trade.objects.get(id=first.id).status == "IN PROGRESS"


@pytest.mark.django_db(transaction=True)
def test_recent_trades_calls_and_open_exceptions_are_counted(bob: Customer, exchange: StandInExchange) -> None:
    place_trade(bob.id, "AAPL", "SELL", 1)
    place_trade(bob.id, "AAPL", "BUY", 1)
    take_turn([bob.id], "test")
    CaseFactory.create(kind=Case.Kind.CONTRADICTS)
    JobFactory.create(due_at="2026-01-01T00:00:00Z")
    samples = scrape()
    assert samples['brokerage_trades_lately{reason="insufficient_shares",status="REJECTED"}'] == 1
    assert samples['brokerage_trades_lately{reason="",status="IN PROGRESS"}'] == 1
    assert samples['brokerage_exchange_calls_lately{outcome="answered",verb="execute"}'] == 1
    assert samples['brokerage_open_exceptions{kind="contradicts"}'] == 1
    assert samples["brokerage_sweep_overdue_seconds"] > 60
