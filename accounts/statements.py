"""Statements: one month of an account, computed from its postings and the closing prices alone.

Neither ever changes, so the statement of a past month never changes either. Months are Eastern, like the market's
days. The order of the ledger decides which month a posting belongs to: a month begins with the first posting dated in
it, and ends before the first posting dated in the next month.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from django.db import connection
from django.db.models import Min, Q, QuerySet, Sum
from django.utils import timezone

from accounts.gains import Totals, totals_of
from accounts.models import CASH, ClosingPrice, Customer, Lot, LotClosing, Posting
from accounts.queries import postings_of
from web.timezones import EASTERN, eastern_date, eastern_today

LINES_A_PART = 500  # on a page and in a PDF; a busier month has several parts
# The totals of a statement by kind of posting, in order. Those in ALWAYS are shown even if they are zero.
SUMS = {
    Posting.Kind.DEPOSIT: "Deposits",
    Posting.Kind.WITHDRAWAL: "Withdrawals",
    Posting.Kind.BUY: "Shares bought",
    Posting.Kind.SELL: "Shares sold",
    Posting.Kind.FEE: "Regulatory fees",
    Posting.Kind.DIVIDEND: "Dividends",
    Posting.Kind.SPLIT: "Cash in lieu of fractions",
    Posting.Kind.NEW_TICKER: "Ticker changes",
    Posting.Kind.ADJUSTMENT: "Adjustments",
}
ALWAYS = {Posting.Kind.DEPOSIT, Posting.Kind.WITHDRAWAL, Posting.Kind.BUY, Posting.Kind.SELL}
# Share postings of SHARES_ALONE are lines of their own; the shares of a trade are shown in the line of its cash.
OF_A_TRADE = (Posting.Kind.BUY, Posting.Kind.SELL)
SHARES_ALONE = (Posting.Kind.ADJUSTMENT, Posting.Kind.SPLIT, Posting.Kind.NEW_TICKER)
LATE = timedelta(minutes=1)  # how long after its date a posting may be committed


@dataclass(frozen=True, slots=True, order=True)
class Month:
    """A calendar month."""

    year: int
    month: int

    @classmethod
    def of(cls, at: datetime) -> "Month":
        """Return the Eastern month of a time."""
        return cls.of_day(eastern_date(at))

    @classmethod
    def of_day(cls, day: date) -> "Month":
        """Return the month of a day."""
        return cls(day.year, day.month)

    @property
    def first(self) -> date:
        return date(self.year, self.month, 1)

    @property
    def last(self) -> date:
        return self.following.first - timedelta(days=1)

    @property
    def following(self) -> "Month":
        return Month(self.year + self.month // 12, self.month % 12 + 1)

    @property
    def preceding(self) -> "Month":
        return Month(self.year - (self.month == 1), (self.month - 2) % 12 + 1)

    @property
    def begins(self) -> datetime:
        """When it begins, Eastern."""
        return datetime.combine(self.first, time(), EASTERN)

    @property
    def is_over(self) -> bool:
        """Whether no posting can get a date in this month anymore."""
        return timezone.now() >= self.following.begins + LATE

    def __str__(self) -> str:
        return f"{self.first:%B %Y}"


@dataclass(frozen=True, slots=True)
class Line:
    """One movement: cash (USD), with the shares of its trade if any, or shares alone, such as by an adjustment."""

    at: datetime
    kind: str
    ticker: str
    quantity: int
    price: Decimal | None
    change: Decimal | None
    balance: Decimal | None
    cause: str
    traded_on: date
    settles_on: date | None


class Holding(NamedTuple):
    """A stock at the beginning and at the end of a month: whole shares and the price, USD; None: there was none."""

    ticker: str
    opening: int
    closing: int
    opening_price: Decimal | None
    closing_price: Decimal | None

    @property
    def opening_value(self) -> Decimal | None:
        return _value(self.opening, self.opening_price)

    @property
    def closing_value(self) -> Decimal | None:
        return _value(self.closing, self.closing_price)


def _value(shares: int, price: Decimal | None) -> Decimal | None:
    """Return what shares are worth, USD; None without a price, unless there are no shares."""
    return Decimal(0) if not shares else None if price is None else shares * price


class UnsettledItem(NamedTuple):
    """A trade of the month whose cash (USD, with fees) had not settled at the end of the month."""

    kind: str
    ticker: str
    quantity: int
    price: Decimal | None
    change: Decimal
    settles_on: date


@dataclass(frozen=True, slots=True)
class Statement:
    """A month of an account, in USD. `opening` plus all `sums` is `closing`: the cash.

    It is final once the month is over and its closing prices are stored. `gains` are the realized gains of the month,
    and `gains_of_year` those from January to the end of it, by term.
    """

    account: int
    name: str
    month: Month
    is_final: bool
    opening: Decimal
    closing: Decimal
    sums: list[tuple[str, Decimal]]  # in words, and what came in (above zero) or went out
    part: int
    parts: int
    lines: list[Line]  # of this part
    shares: list[Holding]
    unsettled: list[UnsettledItem]
    gains: dict[bool, Totals]  # short under False, long under True
    gains_of_year: dict[bool, Totals]
    last_known: list[str]  # stocks that are no longer listed, valued at their last known prices

    @property
    def opening_value(self) -> Decimal | None:
        """The value of the shares at the beginning, in USD; None if a price is unknown."""
        return _sum(holding.opening_value for holding in self.shares)

    @property
    def closing_value(self) -> Decimal | None:
        """The value of the shares at the end, in USD; None if a price is unknown."""
        return _sum(holding.closing_value for holding in self.shares)

    @property
    def note_on_prices(self) -> str:
        """A sentence that says why values of shares are missing; empty if none are."""
        if not self.month.is_over:
            return "Shares are valued at the last price of the month, once it is over."
        if not self.is_final:
            return "The closing prices of the month are not stored yet. Look again later."
        missing = [line.ticker for line in self.shares if None in (line.opening_value, line.closing_value)]
        notes = []
        if missing:
            notes.append(f"No closing price is known for {', '.join(missing)}, so the value is not known.")
        if self.last_known:
            notes.append(f"No longer listed, so valued at the last price known: {', '.join(self.last_known)}.")
        return " ".join(notes)


def _sum(values: Iterable[Decimal | None]) -> Decimal | None:
    known = list(values)
    return None if None in known else sum((value for value in known if value is not None), Decimal(0))


class GainsRow(NamedTuple):
    """A line of realized gains: the period and term, and the totals."""

    label: str
    totals: Totals


def gains_rows(statement: Statement) -> list[GainsRow]:
    """Return the lines of realized gains, for the page and the document."""
    return [
        GainsRow(f"{period}, {term}", gains[is_long])
        for period, gains in (("This month", statement.gains), ("Since January", statement.gains_of_year))
        for is_long, term in ((False, "short term"), (True, "long term"))
    ]


class NoStatement(Exception):
    """The account wasn't open in this month, or the month hasn't begun."""


def months_of(customer_id: int) -> list[Month]:
    """Return the months that have statements, newest first: from the first posting's month to the current one."""
    opened = postings_of(customer_id).order_by("id").values_list("created_at", flat=True).first()
    if opened is None:
        return []
    months, month = [], Month.of(timezone.now())
    while month >= Month.of(opened):
        months.append(month)
        month = month.preceding
    return months


def statement_of(customer_id: int, month: Month, part: int = 1) -> Statement:
    """Return the statement of a month; for the current month, up to now.

    Args:
        customer_id: The owner of the account.
        month: The month.
        part: The part of the lines to return, of LINES_A_PART each. The rest is the same in every part.

    Raises:
        NoStatement: There is no statement for this month, or it has fewer parts.
    """
    if month not in months_of(customer_id):
        raise NoStatement
    first, end = _first_id(customer_id, month), _first_id(customer_id, month.following)
    ledger = postings_of(customer_id)
    before, after = _totals(customer_id, first), _totals(customer_id, end)
    postings = _between(ledger, first, end)
    sums = dict(postings.filter(ticker=CASH).order_by("kind").values_list("kind").annotate(sum=Sum("change")))
    of_lines = postings.filter(Q(ticker=CASH) | Q(kind__in=SHARES_ALONE)).order_by("id")
    parts = max(1, -(-of_lines.count() // LINES_A_PART))
    if not 1 <= part <= parts:
        raise NoStatement
    stocks = [ticker for ticker in sorted(after) if ticker != CASH and (before.get(ticker) or after[ticker])]
    closing_prices = _prices_of(stocks, month)
    return Statement(
        account=customer_id,
        name=_name_of(customer_id),
        month=month,
        is_final=month.is_over and all(ticker in closing_prices for ticker in stocks if after[ticker]),
        opening=before.get(CASH, Decimal(0)),
        closing=after.get(CASH, Decimal(0)),
        sums=[(label, sums.get(kind, Decimal(0))) for kind, label in SUMS.items() if kind in ALWAYS or kind in sums],
        part=part,
        parts=parts,
        lines=_lines(customer_id, postings, list(of_lines[(part - 1) * LINES_A_PART : part * LINES_A_PART])),
        shares=_holdings(stocks, before, after, _prices_of(stocks, month.preceding), closing_prices),
        unsettled=_unsettled(postings, min(month.last, eastern_today())),
        gains=_gains(customer_id, postings),
        last_known=_last_known(stocks, month),
        gains_of_year=_gains(customer_id, _between(ledger, _first_id(customer_id, Month(month.year, 1)), end)),
    )


def _holdings(
    tickers: list[str],
    before: dict[str, Decimal],
    after: dict[str, Decimal],
    opening_prices: dict[str, Decimal | None],
    closing_prices: dict[str, Decimal | None],
) -> list[Holding]:
    return [
        Holding(
            ticker,
            int(before.get(ticker, 0)),
            int(after[ticker]),
            opening_prices.get(ticker),
            closing_prices.get(ticker),
        )
        for ticker in tickers
    ]


def _prices_of(tickers: list[str], month: Month) -> dict[str, Decimal | None]:
    """Return the closing prices of a month by ticker; empty until they are stored."""
    prices = ClosingPrice.objects.filter(day=month.last, ticker__in=tickers)
    return dict(prices.values_list("ticker", "price"))


def _last_known(tickers: list[str], month: Month) -> list[str]:
    found = ClosingPrice.objects.filter(day=month.last, ticker__in=tickers, is_last_known=True)
    return list(found.order_by("ticker").values_list("ticker", flat=True))


def _name_of(customer_id: int) -> str:
    """Return the customer's name as it is now, or the email address if there is none."""
    customer = Customer.objects.get(id=customer_id)
    return customer.name or customer.email


def _unsettled(postings: QuerySet[Posting], last: date) -> list[UnsettledItem]:
    of_trades = postings.filter(settles_on__gt=last, kind__in=(*OF_A_TRADE, Posting.Kind.FEE)).order_by("id")
    found: dict[UUID, list[Posting]] = {}
    for posting in of_trades:
        found.setdefault(posting.cause, []).append(posting)
    return [
        UnsettledItem(
            shares.kind,
            shares.ticker,
            int(abs(shares.change)),
            shares.price,
            sum((posting.change for posting in moved if posting.ticker == CASH), Decimal(0)),
            settles_on,
        )
        for moved in found.values()
        for shares in moved
        if shares.ticker != CASH and (settles_on := shares.settles_on)
    ]


def _gains(customer_id: int, postings: QuerySet[Posting]) -> dict[bool, Totals]:
    """Return the realized gains of the sales among these postings, by term."""
    sales = postings.filter(kind=Posting.Kind.SELL).exclude(ticker=CASH).values("cause")
    return totals_of(LotClosing.objects.filter(customer_id=customer_id, cause__in=sales, proceeds__isnull=False))


def _lines(customer_id: int, postings: QuerySet[Posting], postings_shown: list[Posting]) -> list[Line]:
    """Return statement lines, each with the shares that the posting or its trade moved."""
    trades = [posting.cause for posting in postings_shown if posting.kind in OF_A_TRADE]
    of_trades = {posting.cause: posting for posting in postings.filter(cause__in=trades).exclude(ticker=CASH)}
    traded_on = dict(Lot.objects.filter(customer_id=customer_id, cause__in=trades).values_list("cause", "acquired_on"))
    sales = LotClosing.objects.filter(customer_id=customer_id, cause__in=trades)
    traded_on |= dict(sales.values_list("cause", "closed_on"))
    return [
        _line(
            posting,
            of_trades.get(posting.cause) if posting.kind in OF_A_TRADE else _own_shares(posting),
            traded_on.get(posting.cause) or eastern_date(posting.created_at),
        )
        for posting in postings_shown
    ]


def _own_shares(posting: Posting) -> Posting | None:
    return None if posting.ticker == CASH else posting


def _first_id(customer_id: int, month: Month) -> int | None:
    """Return the id of the first posting dated in this month or later; None if there is none."""
    postings = postings_of(customer_id)
    # No posting before this one is dated in the month. It is found from the newest back, so earlier ones aren't read.
    earlier = postings.filter(created_at__lt=month.begins - LATE).order_by("-id").values_list("id", flat=True).first()
    dated = postings.filter(created_at__gte=month.begins, id__gt=earlier or 0)
    first: int | None = dated.aggregate(first=Min("id"))["first"]
    return first


def _between(ledger: QuerySet[Posting], first: int | None, end: int | None) -> QuerySet[Posting]:
    if first is None or first == end:
        return ledger.none()
    return ledger.filter(id__gte=first, id__lt=end) if end else ledger.filter(id__gte=first)


def _totals(customer_id: int, end: int | None) -> dict[str, Decimal]:
    """Return the cash and shares before the posting with this id, by ticker; None: those of now.

    They are those of now less what has moved since, so the work grows with the later postings, not the earlier ones.
    """
    with connection.cursor() as cursor:
        cursor.execute(TOTALS, {"customer": customer_id, "end": end or BIGINT_MAX})
        return dict(cursor.fetchall())


BIGINT_MAX = 2**63 - 1
TOTALS = """
    WITH has AS (
        SELECT '' AS ticker, amount AS total FROM accounts_balance WHERE customer_id = %(customer)s
        UNION ALL SELECT ticker, quantity FROM accounts_position WHERE customer_id = %(customer)s
    ), moved AS (
        SELECT ticker, sum(change) AS change FROM accounts_posting
        WHERE customer_id = %(customer)s AND id >= %(end)s GROUP BY ticker
    )
    SELECT ticker, has.total - coalesce(moved.change, 0) FROM has LEFT JOIN moved USING (ticker)
"""


def _line(posting: Posting, moved: Posting | None, traded_on: date) -> Line:
    is_cash = posting.ticker == CASH
    return Line(
        at=posting.created_at,
        kind=posting.kind,
        ticker=moved.ticker if moved else "",
        quantity=int(moved.change if posting == moved else abs(moved.change)) if moved else 0,
        price=posting.price,
        change=posting.change if is_cash else None,
        balance=posting.total if is_cash else None,
        cause=str(posting.cause),
        traded_on=traded_on,
        settles_on=posting.settles_on,
    )
