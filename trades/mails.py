"""Mail customers how their trades ended, if they want it: one email for all trades of a short while.

Nothing is written about this when a trade ends, because its history says it all. The sweep finds trades that have ended
there, marks their customers in TradeMail, and mails those that are due. So a customer whose program places ten trades a
second gets one email a minute, with a table of them.
"""

import time
from collections.abc import Iterable
from decimal import Decimal
from itertools import groupby
from typing import Any, NamedTuple

from django.core.mail import EmailMultiAlternatives, get_connection
from django.db import connection, transaction
from django.template.loader import render_to_string

from accounts import notice_mail, notices
from trades.models import Reason, Status, Type
from web.templatetags.figures import usd

COLLECT_SECONDS = 10  # how long the first trade waits for others to share its email
PAUSE_SECONDS = 60  # between two of these emails to a customer
TRADES_A_MAIL_MAX = 50
CUSTOMERS_AT_ONCE_MAX = 200  # in one transaction
ROUND_SECONDS_MAX = 5.0
PLACE = "trade notices"


class Recipient(NamedTuple):
    """A customer whose mail is due; `last` is the id of the last status change that it is about."""

    customer_id: int
    xact: int
    first: int
    last: int
    name: str
    email: str
    wants_mail: bool


class Ended(NamedTuple):
    """A trade that has ended. `trades_in_mail` is how many trades the customer's mail is about."""

    customer_id: int
    trades_in_mail: int
    sequence: int
    ticker: str
    type: str
    quantity: int
    status: str
    price: Decimal | None
    amount: Decimal | None
    reason_code: str

    @property
    def is_filled(self) -> bool:
        return self.status == Status.FILLED

    @property
    def reason(self) -> str:
        """Why it was rejected, as a sentence."""
        return str(Reason(self.reason_code).label)

    @property
    def title(self) -> str:
        shares = f"{self.quantity:,} {self.ticker}"
        if self.is_filled:
            return f"{'Bought' if self.type == Type.BUY else 'Sold'} {shares} at {usd(self.price)}"
        return f"Not executed: {'buy' if self.type == Type.BUY else 'sell'} {shares}"

    @property
    def line(self) -> dict[str, Any]:
        """The trade as a line of a table. A dict, because templates look into one in half the time."""
        total, reason = (usd(self.amount), "") if self.is_filled else ("", self.reason)
        return {"sequence": self.sequence, "title": self.title, "total": total, "reason": reason}

    @property
    def text(self) -> str:
        if self.is_filled:
            price, amount = usd(self.price), usd(self.amount)
            done = f"Your trade was filled: {self.quantity:,} shares at {price}, {amount} in total."
        else:
            done = f"Your trade was rejected. {self.reason} Nothing was bought or sold."
        return f"{done} It was your trade number {self.sequence}."


def mail_trades() -> int:
    """Find the trades that have ended, and mail the customers that are due; return how many mails were sent.

    Any number of processes may do this at once.

    Idempotent: yes. A trade is in one mail. Trades that ended before the very first round are in none.
    """
    find_ended()
    sent, ends_at = 0, time.monotonic() + ROUND_SECONDS_MAX
    while time.monotonic() < ends_at:
        recipients = _due()
        if recipients:
            sent += _mail(recipients)
        if len(recipients) < CUSTOMERS_AT_ONCE_MAX:
            break
    return sent


def find_ended() -> None:
    """Mark the customers whose trades have ended since the last round.

    A round handles the status changes up to the newest one of the round before, once every transaction that ran then
    has ended: from then on, no earlier one can appear. (A transaction ends trades only after it has locked the
    customer, and so has its number before the status change has its id.)

    Idempotent: yes.
    """
    with connection.cursor() as cursor:
        cursor.execute(FIND_ENDED, {"place": PLACE, "collect": COLLECT_SECONDS, "pause": PAUSE_SECONDS})
        if cursor.fetchone()[0] is None:
            cursor.execute(BEGIN, [PLACE])


def _due() -> list[Recipient]:
    with connection.cursor() as cursor:
        cursor.execute(DUE, {"most": CUSTOMERS_AT_ONCE_MAX, "pause": PAUSE_SECONDS})
        return [Recipient(*row) for row in cursor.fetchall()]


def _mail(recipients: list[Recipient]) -> int:
    """Mail these customers; return how many mails that took.

    No event is served to anybody before every transaction that began earlier has ended. So the mails are prepared
    first, and the transaction only writes them.
    """
    mails = prepare([recipient for recipient in recipients if recipient.wants_mail])
    with transaction.atomic(durable=True):
        with connection.cursor() as cursor:
            columns = zip(
                *((each.customer_id, each.last, each.customer_id in mails) for each in recipients), strict=True
            )
            cursor.execute(TAKE, [list(column) for column in columns])
            taken = [mails[customer_id] for (customer_id,) in cursor.fetchall() if customer_id in mails]
        if taken:
            get_connection().send_messages(taken)
    return len(taken)


def prepare(recipients: list[Recipient]) -> dict[int, EmailMultiAlternatives]:
    """Return the mails by customer id. A customer who has only cancelled trades gets none."""
    if not recipients:
        return {}
    by_id = {recipient.customer_id: recipient for recipient in recipients}
    columns = [[each[column] for each in recipients] for column in range(4)]
    with connection.cursor() as cursor:
        cursor.execute(ENDED, [*columns, TRADES_A_MAIL_MAX])
        ended = [Ended(*row) for row in cursor.fetchall()]
    grouped = groupby(ended, key=lambda trade: trade.customer_id)
    return {customer_id: _mail_of(by_id[customer_id], list(trades)) for customer_id, trades in grouped}


def _mail_of(to: Recipient, trades: list[Ended]) -> EmailMultiAlternatives:
    if trades[0].trades_in_mail == 1:
        return notice_mail.mail_of(to.name, to.email, notices.Kind.TRADES, trades)
    lines = [trade.line for trade in trades]
    context = {"name": to.name, "lines": lines, "more": trades[0].trades_in_mail - len(trades)}
    mail = EmailMultiAlternatives(_subject(trades), render_to_string("mails/trades.txt", context), to=[to.email])
    mail.attach_alternative(render_to_string("mails/trades.html", context), "text/html")
    return mail


def _subject(trades: Iterable[Ended]) -> str:
    """Return “3 trades filled, 1 not executed”, or only the number if the mail does not show all of them."""
    shown = list(trades)
    count, filled = shown[0].trades_in_mail, sum(trade.is_filled for trade in shown)
    if count > len(shown):
        return f"{count:,} trades were filled or rejected"
    counts = {"filled": filled, "not executed": count - filled}
    first, *others = [f"{number} {word}" for word, number in counts.items() if number]
    number, _, word = first.partition(" ")
    return ", ".join([f"{number} {'trade' if number == '1' else 'trades'} {word}", *others])


BEGIN = """
    INSERT INTO accounts_noticeplace (name, place, seen, xact)
    SELECT %s, place, place, pg_snapshot_xmax(pg_current_snapshot())::text::bigint
    FROM (SELECT coalesce(max(id), 0) AS place FROM trades_statuschange) AS newest
    ON CONFLICT DO NOTHING
"""
# Under the customer's lock, ids and transaction numbers grow together, so `first` and `last` bound the trades. A number
# above every transaction's is of another server, from which the database was copied.
FIND_ENDED = """
    WITH newest AS (
        SELECT max(change.id) AS id
        FROM accounts_noticeplace AS p JOIN trades_statuschange AS change ON change.id > p.seen
        WHERE p.name = %(place)s
    ), was AS (
        SELECT p.name, p.place, greatest(p.place, p.seen) AS until FROM accounts_noticeplace AS p, newest
        WHERE name = %(place)s AND (p.seen > p.place OR newest.id > p.seen)
          AND p.xact NOT BETWEEN pg_snapshot_xmin(pg_current_snapshot())::text::bigint + 1
                             AND pg_snapshot_xmax(pg_current_snapshot())::text::bigint
        FOR UPDATE OF p
    ), moved AS (
        UPDATE accounts_noticeplace AS p
        SET place = was.until, seen = greatest(p.seen, newest.id),
            xact = pg_snapshot_xmax(pg_current_snapshot())::text::bigint
        FROM was, newest WHERE p.name = was.name
    ), ended AS (
        SELECT change.customer_id, min(change.xact) AS xact, min(change.id) AS first, max(change.id) AS last
        FROM was JOIN trades_statuschange AS change ON change.id > was.place AND change.id <= was.until
        WHERE change.to_status IN ('FILLED', 'REJECTED')
        GROUP BY change.customer_id
    ), marked AS (
        INSERT INTO trades_trademail AS mail (customer_id, xact, first, last, due_at)
        SELECT customer_id, xact, first, last, statement_timestamp() + make_interval(secs => %(collect)s)
        FROM ended ORDER BY customer_id
        ON CONFLICT (customer_id) DO UPDATE
        SET xact = CASE WHEN mail.due_at IS NULL THEN excluded.xact ELSE mail.xact END,
            first = CASE WHEN mail.due_at IS NULL THEN excluded.first ELSE mail.first END,
            last = excluded.last,
            due_at = coalesce(mail.due_at, greatest(
                excluded.due_at,
                CASE WHEN mail.mailed_at IS NOT NULL  -- a customer may have had no mail yet, and LEAST ignores NULL
                     THEN least(mail.mailed_at, statement_timestamp()) + make_interval(secs => %(pause)s) END))
    )
    SELECT (SELECT place FROM accounts_noticeplace WHERE name = %(place)s)
"""
# A time further ahead than the pause was set by another clock, before a failover, so it counts as due.
DUE = """
    SELECT mail.customer_id, mail.xact, mail.first, mail.last, customer.name, customer.email,
           customer.is_active AND customer.erased_at IS NULL AND NOT EXISTS (
               SELECT FROM accounts_mutednotice AS muted
               WHERE muted.customer_id = mail.customer_id AND muted.kind = 'trades')
    FROM trades_trademail AS mail JOIN accounts_customer AS customer ON customer.id = mail.customer_id
    WHERE mail.due_at <= statement_timestamp()
       OR mail.due_at > statement_timestamp() + make_interval(secs => %(pause)s + 1)
    ORDER BY mail.due_at LIMIT %(most)s
"""
# For a plain `change.id <= wanted.last`, the index of ranges of ids would be read too, once for each customer, and it
# names nearly all pages of the table. The release before this one wrote a notice for each trade, which
# `accounts.notice_mail` mails.
ENDED = """
    SELECT customer_id, trades_in_mail, sequence, ticker, type, quantity, status, price, amount, reason_code
    FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[]) AS wanted (customer_id, xact, first, last)
    CROSS JOIN LATERAL (
        SELECT change.id AS change, count(*) OVER () AS trades_in_mail, trade.sequence, trade.ticker, trade.type,
               trade.quantity, trade.status, trade.price, trade.amount, trade.reason_code
        FROM trades_statuschange AS change JOIN trades_trade AS trade ON trade.id = change.trade_id
        WHERE change.customer_id = wanted.customer_id AND (change.xact, change.id) >= (wanted.xact, wanted.first)
          AND change.id + 0 <= wanted.last AND change.to_status IN ('FILLED', 'REJECTED')
          AND trade.reason_code <> 'cancelled'
          AND NOT EXISTS (
              SELECT FROM accounts_notice AS notice
              WHERE notice.customer_id = wanted.customer_id AND notice.kind = 'trades'
                AND notice.cause = trade.id::text)
        ORDER BY change.xact, change.id LIMIT %s
    ) AS ended
    ORDER BY customer_id, change
"""
# Skips customers whose trades have gone on ending since the mail was prepared, and those that another process mails.
TAKE = """
    WITH wanted AS (
        SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::bool[]) AS wanted (customer_id, last, is_mailed)
    ), mine AS (
        SELECT customer_id, is_mailed FROM trades_trademail AS mail JOIN wanted USING (customer_id)
        WHERE mail.last = wanted.last AND mail.due_at IS NOT NULL
        ORDER BY customer_id FOR UPDATE OF mail SKIP LOCKED
    )
    UPDATE trades_trademail AS mail
    SET due_at = NULL, mailed_at = CASE WHEN is_mailed THEN statement_timestamp() ELSE mailed_at END
    FROM mine WHERE mail.customer_id = mine.customer_id
    RETURNING mail.customer_id
"""
