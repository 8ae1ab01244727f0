"""The brokerage agrees with a model of it after every step of random operations and faults."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from accounts.account import Account
from accounts.models import GoodFaithViolation, LotClosing, LotMethod
from tests.conftest import StandInExchange
from tests.model import book
from tests.model.comparison import Clock
from tests.model.rules import AgainstTheModel
from trades import fees, turn
from trades.models import Status, Trade

EXAMPLES, STEPS = int(os.environ.get("MODEL_EXAMPLES") or 40), 50


@pytest.fixture
def machine(
    exchange: StandInExchange, monkeypatch: pytest.MonkeyPatch, settings: Any, transactional_db: None
) -> type[AgainstTheModel]:
    """Return the state machine, with the clock, fees and good-faith limits that the model assumes."""
    assert not transaction.get_connection().in_atomic_block
    assert turn.LOOK_AHEAD == book.LOOK_AHEAD
    monkeypatch.setattr(timezone, "now", Clock.now)
    settings.GOOD_FAITH_VIOLATIONS_MAX = book.VIOLATIONS_MAX
    settings.GOOD_FAITH_RESTRICTION_DAYS = book.RESTRICTION_DAYS
    for kind, per_usd, per_share in (("sec", book.SEC_PER_USD, Decimal(0)), ("cat", Decimal(0), book.CAT_PER_SHARE)):
        fees.enter_rate(
            kind,
            date(2020, 1, 1),
            None,
            per_usd=per_usd,
            per_share=per_share,
            maximum=None,
            source="test",
            by="test",
        )
    assert len(fees.rates_on(date(2026, 1, 2))) == 2
    AgainstTheModel.exchange = exchange
    return AgainstTheModel


def test_an_example_with_every_operation_agrees_with_the_model(machine: type[AgainstTheModel]) -> None:
    """Random examples may omit some operations; this example has all of them."""
    example = machine()
    example.open_accounts((Decimal(100), Decimal(0), Decimal(5000)), (20, 9, 0))
    price = Decimal("12.5000")
    steps: list[Callable[[], None]] = [
        lambda: example.queue_overnight(2, 1, "BUY", 7, price),
        lambda: example.expire(2, "BUY"),
        lambda: example.sell_and_buy_and_sell(0, 4, price),
        lambda: example.sell_and_buy_and_sell(0, 4, price),
        lambda: example.trade(0, 1, "BUY", 1, price),
        lambda: example.place(1, 0, "SELL", 50, None, False),
        lambda: example.place(1, 0, "SELL", 2, "a", False),
        lambda: example.rename(0, 2),
        lambda: example.place(1, 0, "SELL", 2, "a", False),
        lambda: example.take_turn({1}),
        lambda: example.report(1, True, price / 2, 0),
        lambda: example.take_turn({1}),
        lambda: example.place(1, 1, "BUY", 1, None, False),
        lambda: example.cancel(1, 0),
        lambda: example.place(2, 1, "SELL", 1, None, True),
        lambda: example.split(1, (1, 3), price, 1),
        lambda: example.dividend(0, price, 2),
        lambda: example.choose_lots(0, LotMethod.HIGHEST_COST),
        lambda: example.adjust_shares(0, 0, 3, price),
        lambda: example.trade(0, 0, "SELL", 5, price),
        lambda: example.withdraw(0, Decimal(10)),
        lambda: example.days_pass(3),
        lambda: example.withdraw(0, Decimal(10)),
    ]
    for step in steps:
        step()
        example.brokerage_agrees_with_model()
    example.teardown()
    reason_codes = set(Trade.objects.values_list("reason_code", flat=True))
    assert {"expired", "cancelled", "corporate_action", "unsettled_funds", "insufficient_shares"} <= reason_codes
    assert Trade.objects.filter(status=Status.FILLED, queued_at__isnull=False).exists()
    assert Trade.objects.filter(status=Status.FILLED, placed_as__isnull=False).exists()
    assert GoodFaithViolation.objects.filter(restricts_until__isnull=False).exists()
    assert LotClosing.objects.filter(gain__lt=0).exists()


@pytest.mark.big
def test_thousands_of_steps_agree_with_the_model(machine: type[AgainstTheModel]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )


@pytest.mark.parametrize(("type", "broken"), [("BUY", "release_cash"), ("SELL", "release_shares")])
def test_a_hold_that_is_not_released_is_detected(
    machine: type[AgainstTheModel], monkeypatch: pytest.MonkeyPatch, type: str, broken: str
) -> None:
    """The comparison itself is tested: it finds a fault that was planted in the ledger."""
    monkeypatch.setattr(Account, broken, lambda *_: None)
    example = machine()
    example.open_accounts((Decimal(100), Decimal(0), Decimal(5000)), (20, 9, 0))
    example.place(0, 0, type, 1, None, False)
    example.take_turn({0})
    example.brokerage_agrees_with_model()
    example.report(0, False, Decimal("12.5000"), 0)
    example.take_turn({0})
    with pytest.raises(AssertionError):
        example.brokerage_agrees_with_model()
