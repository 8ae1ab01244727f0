"""Schedule the sweep's questions to the exchange: which trades it asks about next, and when."""

from collections.abc import Sequence
from uuid import UUID

from django.db import connection

from trades.models import Trade

ASK_AFTER_SECONDS = 3  # from the claim, or from an answer that was not final
ASK_AFTER_SECONDS_MAX = 15  # if the exchange repeatedly gives no answer about the trade


def take_trades(limit: int, trade_id: UUID | None = None) -> list[Trade]:
    """Take the trades that the sweep should ask the exchange about now.

    Taking a trade postpones its next question, so no two sweeps ask about it at once; if a sweep dies, the question is
    only delayed. Trades that got an answer last time come first, and each unanswered question lengthens the pause.

    Args:
        limit: How many trades at most.
        trade_id: Take only this trade, whether or not it is due.
    """
    parameters = {"ask_after": ASK_AFTER_SECONDS, "ask_after_max": ASK_AFTER_SECONDS_MAX, "limit": limit}
    selection = ONE if trade_id else DUE
    return list(Trade.objects.raw(TAKE.format(selection=selection), parameters | {"trade_id": trade_id}))


def note_answers(answered: Sequence[Trade], not_asked: Sequence[Trade]) -> None:
    """Schedule the next question about trades that are still open, or that were taken but not asked about."""
    if answered or not_asked:
        with connection.cursor() as cursor:
            cursor.execute(
                NOTE_ANSWERS,
                [
                    [trade.id for trade in [*answered, *not_asked]],
                    [*(0 for _ in answered), *(trade.unanswered - 1 for trade in not_asked)],
                    [*(ASK_AFTER_SECONDS for _ in answered), *(0 for _ in not_asked)],
                ],
            )


def ask_at_once(trade_ids: Sequence[UUID]) -> None:
    """Make the sweep ask about these IN PROGRESS trades in its next round."""
    if trade_ids:
        with connection.cursor() as cursor:
            cursor.execute(ASK_AT_ONCE, [list(trade_ids)])


# A time further ahead than the longest pause was set by another clock, before a failover, so it counts as due.
DUE = """
    SELECT id FROM trades_trade
    WHERE status = 'IN PROGRESS'
      AND (ask_at <= statement_timestamp()
           OR ask_at > statement_timestamp() + make_interval(secs => %(ask_after_max)s + 1))
    ORDER BY unanswered, ask_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
"""
ONE = "SELECT id FROM trades_trade WHERE status = 'IN PROGRESS' AND id = %(trade_id)s"
TAKE = """
    UPDATE trades_trade
    SET unanswered = least(unanswered + 1, 1000), ask_at = statement_timestamp()
        + make_interval(secs => least(%(ask_after)s * 2 ^ least(unanswered, 10), %(ask_after_max)s))
    WHERE id IN ({selection})
    RETURNING *
"""
NOTE_ANSWERS = """
    UPDATE trades_trade AS t
    SET unanswered = new.unanswered, ask_at = statement_timestamp() + make_interval(secs => new.seconds)
    FROM unnest(%s::uuid[], %s::int[], %s::float8[]) AS new (id, unanswered, seconds)
    WHERE t.id = new.id AND t.status = 'IN PROGRESS'
"""
ASK_AT_ONCE = """
    UPDATE trades_trade SET ask_at = statement_timestamp() WHERE id = ANY (%s::uuid[]) AND status = 'IN PROGRESS'
"""
