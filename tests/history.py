"""A customer with a history: past books and trades, at the exchange's prices of that time."""

from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.db import connection, transaction
from django.utils import timezone
from uuid_utils.compat import uuid7

from accounts.customers import create_customer
from accounts.funding import deposit, withdraw
from accounts.ledger import open_books
from accounts.models import CASH, Customer
from accounts.watchlists import watch
from exchange import gateway
from exchange.prices import LastPrices
from tests.people import report_body
from trades import transitions
from trades.market_now import MarketNow
from trades.models import Report, Status, Trade
from trades.report import insert_reports
from trades.transitions import Placing
from trades.turn import serve

DAYS_AGO = {  # by the number of days ago: shares bought, or sold if negative; cash ("") deposited, or withdrawn
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
    """Create Ada, who has been trading for most of a year and watches five stocks. Needs the exchange."""
    ada = create_customer(email, password, name="Ada Lovelace")
    writer = HistoryWriter(ada)
    for days, actions in DAYS_AGO.items():
        at = timezone.now() - (timedelta(days=days) if days else timedelta(hours=7))
        for ticker, number in actions:
            at += timedelta(minutes=7)
            writer.transfer(Decimal(number), at) if ticker == CASH else writer.trade(ticker, number, at)
    writer.finish()
    for ticker in WATCHED:
        watch(ada.id, ticker)
    return ada


class HistoryWriter:
    """Deposits, buys and sells through the ordinary code, and finally moves everything to its time in the past.

    Call its methods in chronological order. The test of this class checks that the books are correct.
    """

    def __init__(self, customer: Customer) -> None:
        self.customer = customer
        self.times: dict[UUID, datetime] = {}  # by the cause of the postings

    def transfer(self, change: Decimal, at: datetime) -> None:
        """Deposit this many USD or, if negative, withdraw them."""
        move = deposit if change > 0 else withdraw
        posting, _ = move(self.customer.id, abs(change))
        self.times[posting.cause] = at

    def trade(self, ticker: str, quantity: int, at: datetime) -> None:
        """Buy this many shares or, if negative, sell them, at the exchange's price of that time."""
        trade = Trade(
            id=uuid7(nanoseconds=int(at.timestamp() * 1e9)),
            customer=self.customer,
            ticker=ticker,
            type="BUY" if quantity > 0 else "SELL",
            quantity=abs(quantity),
        )
        price = price_at(ticker, at)
        with transaction.atomic():  # one transaction, so that no lane takes a turn in between
            transitions.lock_counter(self.customer.id)
            transitions.insert_trades([Placing(trade, "test")])
            self._take_turn()
            report = report_body(trade, Status.FILLED, price, executedAt=at.isoformat(timespec="microseconds"))
            insert_reports([report], Report.Source.CALLBACK)
            self._take_turn()
        trade.refresh_from_db()
        assert trade.status == Status.FILLED, f"{trade} at {price}: {trade.reason_code or trade.status}"
        self.times[trade.id] = at

    def _take_turn(self) -> None:
        """Take the customer's turn as if no price were known, because today's prices don't apply to the past."""
        books = open_books([self.customer.id])
        no_prices = LastPrices({}, seconds_max=-1)
        serve(books, MarketNow(None, True, no_prices), "test")

    def finish(self) -> None:
        """Move everything to its time in the past."""
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            for table in DATED:
                cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
            for statement in DATING_STATEMENTS:
                cursor.execute(statement, [list(self.times), list(self.times.values())])
            for table in DATED:
                cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")


def price_at(ticker: str, at: datetime) -> Decimal:
    """Return the price of a stock at a time, or the last one before it if the market was closed."""
    now = gateway.bars(ticker, at, at + timedelta(minutes=1), 60)
    before = [] if now else gateway.bars(ticker, at - timedelta(days=5), at, 3600)
    price: Decimal = now[0]["open"] if now else before[-1]["close"]
    return price


DATED = (
    "trades_trade", "trades_statuschange", "trades_report", "trades_tradecounter", "accounts_transfer",
    "accounts_posting",
)  # fmt: skip
THEN = "unnest(%s::uuid[], %s::timestamptz[]) AS happened (cause, at)"
SETTLED = "happened.at + interval '0.4 s'"
DATING_STATEMENTS = (
    f"""
    UPDATE trades_trade SET placed_at = happened.at, claimed_at = happened.at + interval '0.03 s',
        expires_at = happened.at + interval '30 s', ask_at = happened.at + interval '3 s', settled_at = {SETTLED}
    FROM {THEN} WHERE id = happened.cause
    """,
    f"""
    UPDATE trades_statuschange AS change SET at = CASE to_status WHEN 'PLACED' THEN placed_at
        WHEN 'IN PROGRESS' THEN claimed_at ELSE settled_at END
    FROM {THEN} JOIN trades_trade AS trade ON trade.id = happened.cause WHERE trade_id = trade.id
    """,
    f"UPDATE trades_report SET received_at = {SETTLED}, handled_at = {SETTLED} FROM {THEN} WHERE trade_id = cause",
    f"""
    UPDATE trades_tradecounter AS counter SET placed_at = trade.placed_at
    FROM {THEN} JOIN trades_trade AS trade ON trade.id = happened.cause
    WHERE trade.customer_id = counter.customer_id AND trade.sequence = counter.last
    """,
    f"UPDATE accounts_transfer SET created_at = happened.at FROM {THEN} WHERE id = happened.cause",
    f"""
    UPDATE accounts_posting AS posting SET created_at = CASE WHEN kind IN ('deposit', 'withdrawal') THEN happened.at
        ELSE {SETTLED} END,
        settles_on = CASE WHEN kind IN ('deposit', 'withdrawal')
        THEN (happened.at AT TIME ZONE 'America/New_York')::date ELSE settles_on END
    FROM {THEN} WHERE posting.cause = happened.cause
    """,
)
