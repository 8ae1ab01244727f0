"""The firm's own accounts: a trial balance for any day, computed from the customers' postings.

Each cash posting has a contra account that depends on its kind: the bank for deposits and withdrawals, clearing for
trades, fees payable for fees, the paying agent for dividends and cash in lieu, errors or suspense for adjustments. On
the settlement date, the balance of clearing moves to the bank. Debits are positive and credits negative.

Reading every posting ever made takes long, so the totals of days that have ended are stored, and only later postings
are read. The audit proves the stored totals.
"""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import structlog
from django.db import connection, transaction
from django.db.models import Max
from django.utils import timezone

from accounts.models import Adjustment
from accounts.queries import first_id_at
from trades.models import DayTotal, FeeRate
from web.timezones import EASTERN, eastern_date

Account = DayTotal.Account
FIRST_DAY = date(1970, 1, 3)
CLOCKS_APART = timedelta(minutes=10)  # how late a posting may be committed after its date, and how far ids may be off
SETTLED = "settled"  # the part of the bank that settled trades have moved
STATEMENT_SECONDS_MAX = 600
AGENCIES = {FeeRate.Kind.SEC: "SEC", FeeRate.Kind.TAF: "FINRA", FeeRate.Kind.CAT: "CAT"}

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Line:
    """The balance of an account, or of a part of it, USD."""

    account: str
    part: str
    amount: Decimal

    @property
    def title(self) -> str:
        """The account and its part in words, such as "Clearing: settles Nov 27, 2026"."""
        label = str(Account(self.account).label)
        return f"{label}: {part}" if (part := self._part_in_words()) else label

    def _part_in_words(self) -> str:
        if self.account == Account.BANK:
            return "settled trades" if self.part == SETTLED else "deposits and withdrawals"
        if self.account == Account.CLEARING:
            settles_on = date.fromisoformat(self.part)
            return f"settles {settles_on:%b} {settles_on.day}, {settles_on.year}"
        if self.account == Account.FEES:
            kind, _, month = self.part.partition(" ")
            return f"{AGENCIES[FeeRate.Kind(kind)]}, {date.fromisoformat(f'{month}-01'):%B %Y}"
        return str(Adjustment.Reason(self.part).label).lower() if self.part else ""

    @property
    def debit(self) -> Decimal | None:
        return self.amount if self.amount > 0 else None

    @property
    def credit(self) -> Decimal | None:
        return -self.amount if self.amount < 0 else None


@dataclass(frozen=True, slots=True)
class TrialBalance:
    """The balances of the firm's accounts at the end of an Eastern day, or now if the day is today."""

    day: date
    lines: list[Line]

    @property
    def debits(self) -> Decimal:
        return sum((line.debit or Decimal(0) for line in self.lines), Decimal(0))

    @property
    def credits(self) -> Decimal:
        return sum((line.credit or Decimal(0) for line in self.lines), Decimal(0))

    @property
    def is_zero(self) -> bool:
        """Whether debits and credits are equal, as they must be."""
        return self.debits == self.credits

    @property
    def reserve(self) -> Decimal:
        """The customer reserve: the sum of free credit balances, USD.

        This is the simplest form: all customers' cash counts, whether it has settled or not.

        Source: SEC rule 15c3-3.
        """
        return -self._sum(Account.CUSTOMERS)

    @property
    def bank(self) -> Decimal:
        """Cash at the bank, USD."""
        return self._sum(Account.BANK)

    def _sum(self, account: str) -> Decimal:
        return sum((line.amount for line in self.lines if line.account == account), Decimal(0))


def trial_balance(day: date) -> TrialBalance:
    """Return the balances of the firm's accounts at the end of a day.

    Args:
        day: An Eastern date, from FIRST_DAY on. For a date after today, the balances are those of now.
    """
    last_kept = _last_kept_day()
    parameters: dict[str, Any] = _after(last_kept) | {
        "day": day,
        "kept": last_kept,
        "end": _midnight(day + timedelta(days=1)),
    }
    with connection.cursor() as cursor:
        cursor.execute(KEPT if last_kept and day <= last_kept else f"{KEPT} UNION ALL {LATER}", parameters)
        totals: dict[tuple[str, str], Decimal] = {}
        for account, part, amount in cursor.fetchall():
            if account == Account.CLEARING and part <= day.isoformat():
                account, part = Account.BANK, SETTLED
            totals[account, part] = totals.get((account, part), Decimal(0)) + amount
    order = list(Account.values)
    keys = sorted(totals, key=lambda key: (order.index(key[0]), key[1]))
    return TrialBalance(day, [Line(*key, totals[key]) for key in keys if totals[key]])


def store_day_totals() -> int:
    """Store the totals of the days that have ended; return how many totals were stored.

    A day is stored once no posting can get a date in it anymore. None is stored while postings wait for `build_lots`,
    which gives them their settlement dates.

    Idempotent: yes. Stored totals never change, even if several processes do this at once.
    """
    last_kept, end = _last_kept_day(), _midnight(eastern_date(timezone.now() - CLOCKS_APART))
    if last_kept and end <= _midnight(last_kept + timedelta(days=1)):
        return 0
    parameters = _after(last_kept) | {"end": end}
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute("SET LOCAL transaction_timeout = 0")
        cursor.execute(f"SET LOCAL statement_timeout = '{STATEMENT_SECONDS_MAX}s'")
        with connection.answer_limit(STATEMENT_SECONDS_MAX):  # type: ignore[attr-defined] # of brokerage.database
            cursor.execute(UNDATED, parameters)
            if cursor.fetchone():
                log.warning("day totals not stored: postings wait for their settlement dates", command="build_lots")
                return 0
            cursor.execute(KEEP, parameters)
            return int(cursor.rowcount)


def _last_kept_day() -> date | None:
    last: date | None = DayTotal.objects.aggregate(last=Max("day"))["last"]
    return last


def _after(last_kept: date | None) -> dict[str, Any]:
    """Return the query parameters for the first posting after the last stored day."""
    begin = _midnight(last_kept + timedelta(days=1) if last_kept else FIRST_DAY)
    first_id = first_id_at("accounts_posting", "created_at", begin - CLOCKS_APART) if last_kept else 0
    return {"first_id": first_id, "begin": begin}


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), EASTERN)


_DAY = "(posting.created_at AT TIME ZONE 'America/New_York')::date"


def movements(condition: str = "true") -> str:
    """Return SQL for the net change of each account on each day, with the columns day, account, part, amount.

    The customers' side is taken from the running totals, and the other side from the postings' changes. Because the two
    are independent, it proves something that they add up to zero. For the same reason, fees are read from the trade and
    not from its posting.

    Args:
        condition: An SQL condition on `posting`.
    """
    return f"""
        SELECT day, account, part, sum(change) AS amount FROM (
            SELECT {_DAY} AS day,
                   CASE WHEN posting.kind IN ('deposit', 'withdrawal') THEN 'bank'
                        WHEN posting.kind IN ('buy', 'sell') THEN 'clearing'
                        WHEN posting.kind IN ('dividend', 'split') THEN 'paying_agent'
                        WHEN adjustment.reason_code = 'error' THEN 'errors' ELSE 'suspense' END AS account,
                   CASE WHEN posting.kind IN ('buy', 'sell') THEN coalesce(posting.settles_on, {_DAY})::text
                        WHEN posting.kind IN ('deposit', 'withdrawal') THEN 'deposits'
                        ELSE coalesce(adjustment.reason_code, '') END AS part,
                   posting.change
            FROM accounts_posting AS posting
            LEFT JOIN accounts_adjustment AS adjustment
                ON posting.kind = 'adjustment' AND adjustment.id = posting.cause
            WHERE posting.ticker = '' AND posting.kind <> 'fee' AND {condition}
            UNION ALL
            SELECT {_DAY}, 'fees', fee.key || ' ' || to_char(
                       coalesce(trade.executed_at, trade.settled_at) AT TIME ZONE 'America/New_York', 'YYYY-MM'),
                   -fee.value::numeric
            FROM accounts_posting AS posting JOIN trades_trade AS trade ON trade.id = posting.cause
            CROSS JOIN LATERAL jsonb_each_text(trade.fees) AS fee
            WHERE posting.ticker = '' AND posting.kind = 'fee' AND {condition}
            UNION ALL
            SELECT day, 'customers', '', before - total FROM (
                SELECT {_DAY} AS day, total, lag(total, 1, total - change)
                       OVER (PARTITION BY customer_id ORDER BY id) AS before
                FROM accounts_posting AS posting WHERE posting.ticker = '' AND {condition}
            ) AS running
        ) AS movement
        GROUP BY day, account, part HAVING sum(change) <> 0
    """


_NOT_KEPT = "posting.id > %(first_id)s AND posting.created_at >= %(begin)s AND posting.created_at < %(end)s"
KEPT = """
    SELECT account, part, sum(amount) FROM trades_daytotal WHERE day <= least(%(day)s, %(kept)s) GROUP BY account, part
"""
LATER = f"SELECT account, part, sum(amount) FROM ({movements(_NOT_KEPT)}) AS moved GROUP BY account, part"
UNDATED = f"""
    SELECT 1 FROM accounts_posting AS posting
    WHERE ticker = '' AND kind IN ('buy', 'sell') AND settles_on IS NULL AND {_NOT_KEPT} LIMIT 1
"""
KEEP = f"""
    INSERT INTO trades_daytotal (day, account, part, amount) {movements(_NOT_KEPT)} ON CONFLICT DO NOTHING
"""
