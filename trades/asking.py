"""When the sweep asks the exchange about a trade, and which trades come next."""

from collections.abc import Sequence
from uuid import UUID

from django.db import connection

from trades.models import Trade

ASK_AFTER_SECONDS = 3  # from the claim, or from an answer that was not final
ASK_AFTER_SECONDS_MAX = 15  # if the exchange repeatedly gives no answer about the trade


def take(limit: int, trade_id: UUID | None = None) -> list[Trade]:
    """Take the trades that the exchange should be asked about now, or one given trade at any time.

    Taking a trade moves its next time, so that no two sweeps ask about it at once; a sweep that dies only delays it.
    Trades that the exchange answered about come first, and each question without an answer makes the next pause longer.
    """
    parameters = {"ask_after": ASK_AFTER_SECONDS, "ask_after_max": ASK_AFTER_SECONDS_MAX, "limit": limit}
    which = ONE if trade_id else DUE
    return list(Trade.objects.raw(TAKE.format(which=which), parameters | {"trade_id": trade_id}))


def note_answers(answered: Sequence[Trade], not_asked: Sequence[Trade]) -> None:
    """Set when to ask next about trades that were taken, but are still open or were not asked about after all."""
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
    """Let the sweep ask about these IN PROGRESS trades as soon as it can."""
    if trade_ids:
        with connection.cursor() as cursor:
            cursor.execute(ASK_AT_ONCE, [list(trade_ids)])


# A time that is further ahead than any pause is long was set by another clock, before a failover: it counts as due.
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
    WHERE id IN ({which})
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
