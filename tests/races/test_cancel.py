"""A lane claims a trade while its customer cancels it: exactly one of them wins."""

import threading
from collections.abc import Callable
from decimal import Decimal
from functools import partial

import pytest
from django.db import connection

from accounts.models import Balance
from tests.people import claim, open_account
from trades.cancel import NotCancellable, cancel_trade
from trades.models import Status, StatusChange, Trade
from trades.place import place_trade

ROUNDS = 25


def together(*works: Callable[[], object]) -> list[object]:
    """Run these calls simultaneously, each in a thread with its own connection; return each result or exception."""
    barrier = threading.Barrier(len(works))
    results: list[object] = [None] * len(works)

    def run(number: int) -> None:
        try:
            barrier.wait(10)
            results[number] = works[number]()
        except Exception as error:
            results[number] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    return results


@pytest.mark.django_db(transaction=True)
def test_either_the_claim_or_the_cancellation_wins() -> None:
    customer = open_account("racer@example.com", Decimal("1000"))
    for _ in range(ROUNDS):
        trade, _ = place_trade(customer.id, "AAPL", "BUY", 1)
        cancelled, claimed = together(partial(cancel_trade, customer.id, trade.id, by="test"), partial(claim, customer))
        trade.refresh_from_db()
        held = Balance.objects.get(customer=customer).held
        statuses = list(StatusChange.objects.filter(trade=trade).order_by("id").values_list("to_status", flat=True))
        if isinstance(cancelled, NotCancellable):
            assert claimed == [trade]
            assert (trade.status, held) == (Status.IN_PROGRESS, 1000)
            assert statuses == [Status.PLACED, Status.IN_PROGRESS]
            customer = open_account(f"{trade.id}@example.com", Decimal("1000"))
        else:
            assert isinstance(cancelled, Trade), cancelled
            assert claimed == []
            assert (trade.status, trade.reason_code, held) == (Status.REJECTED, "cancelled", 0)
            assert statuses == [Status.PLACED, Status.REJECTED]


@pytest.mark.django_db(transaction=True)
def test_of_several_cancels_one_wins() -> None:
    customer = open_account("racer@example.com", Decimal("1000"))
    trade, _ = place_trade(customer.id, "AAPL", "BUY", 1)
    results = together(*[lambda: cancel_trade(customer.id, trade.id, by="test")] * 4)
    assert sorted(type(result).__name__ for result in results) == ["NotCancellable"] * 3 + ["Trade"]
    assert StatusChange.objects.filter(trade=trade).count() == 2
