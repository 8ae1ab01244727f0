"""A customer with a history: past books and trades, at the exchange's prices of that time."""

from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.utils import timezone
from uuid_utils.compat import uuid7

from accounts.customers import create_customer
from accounts.lots import part_of_cost
from accounts.models import CASH, Balance, Customer
from accounts.watchlists import watch
from exchange import gateway
from tests.factories import (
    PositionFactory,
    PostingFactory,
    StatusChangeFactory,
    TradeCounterFactory,
    TradeFactory,
    TransferFactory,
)
from trades.models import Status, Trade

DAYS_AGO = {  # what is done how many days ago: shares bought, shares sold (below zero), cash brought in
    330: [("", 12_000)],
    329: [("AAPL", 15), ("IBM", 12), ("DIS", 60)],
    290: [("MSFT", 80)],
    240: [("", 4_000), ("NVDA", 120)],
    201: [("IBM", -4), ("KO", 30)],
    150: [("AAPL", 6), ("DIS", -20)],
    95: [("", 3_000), ("JPM", 40)],
    40: [("", -500), ("NVDA", 40)],
    12: [("AAPL", -3), ("GE", 50)],
    3: [("KO", 15)],
    0: [("MSFT", 10)],
}
WATCHED = ("GOOG", "XOM", "WMT", "PFE", "BA")


PASSWORD = "a-long-enough-phrase-7"


def customer_with_history(email: str = "ada@example.com", password: str = PASSWORD) -> Customer:
    """Ada, who has deposited, bought and sold for most of a year, and watches five stocks. Needs the exchange."""
    ada = create_customer(email, password, name="Ada Lovelace")
    writer = HistoryWriter(ada)
    for days, doings in DAYS_AGO.items():
        at = timezone.now() - (timedelta(days=days) if days else timedelta(hours=7))
        for ticker, number in doings:
            at += timedelta(minutes=7)
            writer.transfer(Decimal(number), at) if ticker == CASH else writer.trade(ticker, number, at)
    writer.finish()
    for ticker in WATCHED:
        watch(ada.id, ticker)
    return ada


class HistoryWriter:
    """Writes what turns and transfers would have written then."""

    def __init__(self, customer: Customer) -> None:
        self.customer = customer
        self.cash = Decimal(0)
        self.shares: dict[str, tuple[int, Decimal]] = {}
        self.sequence = 0

    def transfer(self, change: Decimal, at: datetime) -> None:
        kind = "deposit" if change > 0 else "withdrawal"
        transfer = TransferFactory.create(customer=self.customer, type=kind, amount=abs(change), created_at=at)
        self._post(CASH, kind, transfer.id, change, at)

    def trade(self, ticker: str, quantity: int, at: datetime) -> None:
        now = gateway.bars(ticker, at, at + timedelta(minutes=1), 60)
        before = [] if now else gateway.bars(ticker, at - timedelta(days=5), at, 3600)  # the market was closed
        price, size = now[0]["open"] if now else before[-1]["close"], abs(quantity)
        amount, is_buy = price * size, quantity > 0
        self.sequence += 1
        done = at + timedelta(seconds=0.4)
        trade = TradeFactory.create(
            id=uuid7(),
            customer=self.customer,
            sequence=self.sequence,
            ticker=ticker,
            type="BUY" if is_buy else "SELL",
            quantity=size,
            placed_at=at,
        )
        mine = Trade.objects.filter(id=trade.id)
        mine.update(
            status=Status.IN_PROGRESS,
            max_price=self.cash if is_buy else None,
            claimed_at=at,
            expires_at=at + timedelta(seconds=30),
            ask_at=at + timedelta(seconds=3),
        )
        mine.update(status=Status.FILLED, price=price, amount=amount, settled_at=done)
        steps = [
            ("", "PLACED", at),
            ("PLACED", "IN PROGRESS", at + timedelta(seconds=0.03)),
            ("IN PROGRESS", "FILLED", done),
        ]
        for was, is_now, when in steps:
            StatusChangeFactory.create(
                trade=trade, customer_id=trade.customer_id, from_status=was, to_status=is_now, at=when, by="test"
            )
        had, cost = self.shares.get(ticker, (0, Decimal(0)))
        self.shares[ticker] = (had + quantity, cost + amount if is_buy else part_of_cost(cost, had + quantity, had))
        kind = "buy" if is_buy else "sell"
        self._post(CASH, kind, trade.id, -amount if is_buy else amount, done, price)
        self._post(ticker, kind, trade.id, Decimal(quantity), done, price)

    def finish(self) -> None:
        Balance.objects.filter(customer=self.customer).update(amount=self.cash)
        TradeCounterFactory.create(customer=self.customer, last=self.sequence)
        for ticker, (quantity, cost) in self.shares.items():
            PositionFactory.create(customer=self.customer, ticker=ticker, quantity=quantity, cost=cost)

    def _post(
        self, ticker: str, kind: str, cause: UUID, change: Decimal, at: datetime, price: Decimal | None = None
    ) -> None:
        if ticker == CASH:
            self.cash += change
        total = self.cash if ticker == CASH else Decimal(self.shares[ticker][0])
        PostingFactory.create(
            customer=self.customer,
            ticker=ticker,
            kind=kind,
            cause=cause,
            change=change,
            total=total,
            price=price,
            created_at=at,
        )
