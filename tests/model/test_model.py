"""The brokerage against a model of it: random operations and faults, compared after every step."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone
from hypothesis import HealthCheck, Phase, settings
from hypothesis.errors import Flaky
from hypothesis.stateful import run_state_machine_as_test

from accounts.account import Account, InsufficientFunds
from accounts.models import GoodFaithViolation, LotClosing, LotMethod
from tests.conftest import StandInExchange
from tests.model import book
from tests.model.comparison import Clock
from tests.model.rules import AgainstTheModel
from trades import fees, turn
from trades.models import Status, Trade

EXAMPLES, STEPS = int(os.environ.get("MODEL_EXAMPLES") or 60), 50


@pytest.fixture
def machine(
    exchange: StandInExchange, monkeypatch: pytest.MonkeyPatch, settings: Any, transactional_db: None
) -> type[AgainstTheModel]:
    """Settings that the model assumes: the clock, the fees, and the limit of good-faith violations."""
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


def test_a_week_in_which_everything_happens(machine: type[AgainstTheModel]) -> None:
    """Chance may leave something out: here all of it comes, and is as the model says."""
    both = machine()
    both.open_accounts((Decimal(100), Decimal(0), Decimal(5000)), (20, 9, 0))
    price = Decimal("12.5000")
    steps: list[Callable[[], None]] = [
        lambda: both.queue_overnight(2, 1, "BUY", 7, price),
        lambda: both.expire(2, "BUY"),
        lambda: both.sell_and_buy_and_sell(0, 4, price),
        lambda: both.sell_and_buy_and_sell(0, 4, price),
        lambda: both.trade(0, 1, "BUY", 1, price),
        lambda: both.place(1, 0, "SELL", 50, None, False),
        lambda: both.place(1, 0, "SELL", 2, "a", False),
        lambda: both.rename(0, 2),
        lambda: both.place(1, 0, "SELL", 2, "a", False),
        lambda: both.take_turn({1}),
        lambda: both.report(1, True, price / 2, 0),
        lambda: both.take_turn({1}),
        lambda: both.place(1, 1, "BUY", 1, None, False),
        lambda: both.cancel(1, 0),
        lambda: both.place(2, 1, "SELL", 1, None, True),
        lambda: both.split(1, (1, 3), price, 1),
        lambda: both.dividend(0, price, 2),
        lambda: both.choose_lots(0, LotMethod.HIGHEST_COST),
        lambda: both.adjust_shares(0, 0, 3, price),
        lambda: both.trade(0, 0, "SELL", 5, price),
        lambda: both.withdraw(0, Decimal(10)),
        lambda: both.days_pass(3),
        lambda: both.withdraw(0, Decimal(10)),
    ]
    for step in steps:
        step()
        both.all_is_as_the_model_says()
    both.teardown()
    happened = set(Trade.objects.values_list("reason_code", flat=True))
    assert {"expired", "cancelled", "corporate_action", "unsettled_funds", "insufficient_shares"} <= happened
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


def test_a_model_that_compares_nothing_is_detected(
    machine: type[AgainstTheModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Account, "release_cash", lambda account, amount: None)
    # Flaky: what was noticed came of a set whose order is not the same twice. It was noticed all the same.
    with pytest.raises((AssertionError, InsufficientFunds, IntegrityError, Flaky)):
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=200,
                stateful_step_count=STEPS,
                deadline=None,
                phases=[Phase.generate],
                database=None,
                derandomize=True,
                report_multiple_bugs=False,
                suppress_health_check=list(HealthCheck),
            ),
        )
