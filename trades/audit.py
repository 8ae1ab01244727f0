"""Audit: proves from the tables alone that the trades, their history, their reports and the books agree.

What came first is told by the ids of moves, which are drawn under the customer's lock: no clock decides an order.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from accounts.audit import BOOKS, Findings, Rule, count_rows, examine, one_instant
from trades.models import FINAL, TRANSITIONS, Reason, Status

CLOCKS_APART_SECONDS_MAX = 60  # a time may be this much before the one it follows: a failover brings another clock


@dataclass(frozen=True, slots=True)
class Audit:
    """What was looked at, and what was found; all as of one instant."""

    customers: int
    trades: int
    postings: int
    findings: Findings


def audit_books() -> Audit:
    """Prove the books and the trades. Reads only, waits for nobody, and nobody waits for it; a second call proves anew.

    Its memory does not grow with the tables. Raises RuntimeError inside a transaction.
    """
    with one_instant():
        return Audit(
            customers=count_rows("accounts_customer"),
            trades=count_rows("trades_trade"),
            postings=count_rows("accounts_posting"),
            findings=examine(BOOKS + TRADES),
        )


def _legal_histories(status: str = Status.PLACED, so_far: str = f">{Status.PLACED}") -> Iterator[tuple[str, str]]:
    """Every status, with every way to it that TRANSITIONS allows."""
    yield str(status), so_far
    for following in sorted(TRANSITIONS.get(Status(status), ())):
        yield from _legal_histories(following, f"{so_far}, {status}>{following}")


def _texts(values: list[str]) -> str:
    return ", ".join(f"'{value}'" for value in values)


FINAL_TEXTS = _texts(sorted(FINAL))
REASON_TEXTS = _texts(Reason.values)
HISTORIES = ", ".join(f"({_texts([status, history])})" for status, history in _legal_histories())

TRADES = (
    Rule(
        "one_trade_in_flight",
        "A customer has at most one trade IN PROGRESS.",
        """
        SELECT customer_id AS "customerId", min(id::text) AS "tradeId",
               format('%s trades are IN PROGRESS: %s', count(*), string_agg(id::text, ', ')) AS detail
        FROM trades_trade WHERE status = 'IN PROGRESS' GROUP BY customer_id HAVING count(*) > 1
        """,
    ),
    Rule(
        "line_has_no_gap",
        "A customer's trades are numbered from 1, without a gap and without a double.",
        """
        SELECT customer_id AS "customerId", id AS "tradeId", format('number %s follows %s', sequence, before) AS detail
        FROM (
            SELECT customer_id, id, sequence,
                   lag(sequence, 1, 0::bigint) OVER (PARTITION BY customer_id ORDER BY sequence) AS before
            FROM trades_trade
        ) AS trade
        WHERE sequence <> before + 1
        """,
    ),
    Rule(
        "counter_is_the_last_number",
        "A customer's counter is the number of the customer's last trade.",
        """
        SELECT customer_id AS "customerId", format('the counter is %s, the last number %s',
               coalesce(counter.last::text, 'missing'), coalesce(line.last::text, 'missing')) AS detail
        FROM trades_tradecounter AS counter
        FULL JOIN (SELECT customer_id, max(sequence) AS last FROM trades_trade GROUP BY customer_id) AS line
        USING (customer_id)
        WHERE counter.last IS DISTINCT FROM line.last
        """,
    ),
    Rule(
        "held_cash_is_the_buy_in_flight",
        "The cash that is held is the max_price of the BUY in flight, else 0.",
        """
        SELECT customer_id AS "customerId", trade_id AS "tradeId",
               format('%s USD are held, for a BUY in flight of %s', coalesce(balance.held::text, 'no balance'),
               coalesce(flight.held, 0)) AS detail
        FROM accounts_balance AS balance
        FULL JOIN (
            SELECT customer_id, min(id::text) AS trade_id, sum(max_price) AS held
            FROM trades_trade WHERE status = 'IN PROGRESS' AND type = 'BUY' GROUP BY customer_id
        ) AS flight USING (customer_id)
        WHERE balance.held IS DISTINCT FROM coalesce(flight.held, 0)
        """,
    ),
    Rule(
        "held_shares_are_the_sell_in_flight",
        "The shares that are held are those of the SELL in flight, else 0.",
        """
        SELECT customer_id AS "customerId", trade_id AS "tradeId", ticker AS "stockTicker",
               format('%s shares are held, for a SELL in flight of %s', coalesce(position.held::text, 'no position'),
               coalesce(flight.held, 0)) AS detail
        FROM accounts_position AS position
        FULL JOIN (
            SELECT customer_id, ticker, min(id::text) AS trade_id, sum(quantity) AS held
            FROM trades_trade WHERE status = 'IN PROGRESS' AND type = 'SELL' GROUP BY customer_id, ticker
        ) AS flight USING (customer_id, ticker)
        WHERE position.held IS DISTINCT FROM coalesce(flight.held, 0)
        """,
    ),
    Rule(
        "fill_has_its_postings",
        "Every FILLED trade has one posting of its cash and one of its shares, at its price, and no other.",
        """
        SELECT trade.customer_id AS "customerId", trade.id AS "tradeId",
               format('%s %s %s for %s; posted: %s', trade.type, trade.quantity, trade.ticker, trade.amount, coalesce(
                   string_agg(posting.change || ' ' || coalesce(nullif(posting.ticker, ''), 'USD'), ', '), 'nothing')
               ) AS detail
        FROM trades_trade AS trade LEFT JOIN accounts_posting AS posting ON posting.cause = trade.id
        WHERE trade.status = 'FILLED'
        GROUP BY trade.id
        HAVING count(posting.id) <> 2
        OR count(*) FILTER (
            WHERE (posting.customer_id, posting.kind, posting.price, posting.ticker, posting.change) =
            (trade.customer_id, lower(trade.type), trade.price, '',
             CASE trade.type WHEN 'BUY' THEN -trade.amount ELSE trade.amount END)) <> 1
        OR count(*) FILTER (
            WHERE (posting.customer_id, posting.kind, posting.price, posting.ticker, posting.change) =
            (trade.customer_id, lower(trade.type), trade.price, trade.ticker,
             CASE trade.type WHEN 'BUY' THEN trade.quantity ELSE -trade.quantity END)) <> 1
        """,
    ),
    Rule(
        "posting_has_its_fill",
        "Every buy and sell in the books has its FILLED trade, of the same customer.",
        """
        SELECT customer_id AS "customerId", cause AS "tradeId", id AS "postingId",
               format('a %s of %s %s that no FILLED trade of this customer caused', kind, change,
               coalesce(nullif(ticker, ''), 'USD')) AS detail
        FROM accounts_posting AS posting
        WHERE kind IN ('buy', 'sell') AND NOT EXISTS (
            SELECT FROM trades_trade AS trade
            WHERE trade.id = posting.cause AND trade.customer_id = posting.customer_id AND trade.status = 'FILLED')
        """,
    ),
    Rule(
        "fill_adds_up",
        "A FILLED trade's amount is its price times its quantity, and a BUY's no more than its max_price.",
        """
        SELECT customer_id AS "customerId", id AS "tradeId", format('%s %s at %s for %s, max_price %s',
               type, quantity, price, amount, coalesce(max_price::text, 'none')) AS detail
        FROM trades_trade
        WHERE status = 'FILLED' AND
        (price > 0 AND amount = price * quantity AND (type = 'SELL' OR amount <= max_price)) IS NOT TRUE
        """,
    ),
    Rule(
        "trade_is_as_its_status_says",
        "A trade has what its status asks for and nothing else; a REJECTED one has a reason that we know.",
        f"""
        SELECT customer_id AS "customerId", id AS "tradeId",
               format('%s, claimed at %s, settled at %s, price %s, amount %s, reason “%s”', status,
               coalesce(claimed_at::text, 'no time'), coalesce(settled_at::text, 'no time'),
               coalesce(price::text, 'none'), coalesce(amount::text, 'none'), reason_code) AS detail
        FROM trades_trade
        WHERE (CASE status
            WHEN 'PLACED' THEN claimed_at IS NULL AND settled_at IS NULL
            WHEN 'IN PROGRESS' THEN claimed_at IS NOT NULL AND settled_at IS NULL AND expires_at IS NOT NULL
                AND CASE type WHEN 'BUY' THEN max_price > 0 ELSE max_price IS NULL END
            WHEN 'FILLED' THEN claimed_at IS NOT NULL AND settled_at IS NOT NULL
            WHEN 'REJECTED' THEN settled_at IS NOT NULL
        END
        AND (status = 'FILLED') = (price IS NOT NULL) AND (status = 'FILLED') = (amount IS NOT NULL)
        AND CASE status WHEN 'REJECTED' THEN reason_code IN ({REASON_TEXTS}) ELSE reason_code = '' END
        AND quantity > 0 AND type IN ('BUY', 'SELL')) IS NOT TRUE
        """,
    ),
    Rule(
        "history_leads_to_the_status",
        "A trade's history is a legal way to its status, step by step, and ends there: final is final.",
        f"""
        SELECT trade.customer_id AS "customerId", trade.id AS "tradeId",
               format('the trade is %s, its history %s', trade.status, coalesce(history.steps, 'missing')) AS detail
        FROM trades_trade AS trade
        LEFT JOIN (
            SELECT trade_id, string_agg(from_status || '>' || to_status, ', ' ORDER BY id) AS steps
            FROM trades_statuschange GROUP BY trade_id
        ) AS history ON history.trade_id = trade.id
        WHERE ((trade.status, history.steps) IN ({HISTORIES})) IS NOT TRUE
        """,
    ),
    Rule(
        "history_has_the_trades_times",
        "A trade was placed, claimed and settled when its history says so.",
        """
        SELECT trade.customer_id AS "customerId", trade.id AS "tradeId", format('%s at %s, by its history at %s',
               move.to_status, coalesce(happened.at::text, 'no time'), move.at) AS detail
        FROM trades_trade AS trade
        JOIN trades_statuschange AS move ON move.trade_id = trade.id
        CROSS JOIN LATERAL (SELECT CASE move.to_status
            WHEN 'PLACED' THEN trade.placed_at WHEN 'IN PROGRESS' THEN trade.claimed_at ELSE trade.settled_at END AS at
        ) AS happened
        WHERE move.at IS DISTINCT FROM happened.at
        """,
    ),
    Rule(
        "times_go_forward",
        "A trade was placed, then claimed, then settled, as far as clocks can tell.",
        f"""
        SELECT customer_id AS "customerId", id AS "tradeId", format('placed at %s, claimed at %s, settled at %s',
               placed_at, coalesce(claimed_at::text, 'no time'), coalesce(settled_at::text, 'no time')) AS detail
        FROM trades_trade
        WHERE coalesce(claimed_at, settled_at) < placed_at - interval '{CLOCKS_APART_SECONDS_MAX} s'
        OR settled_at < claimed_at - interval '{CLOCKS_APART_SECONDS_MAX} s'
        """,
    ),
    Rule(
        "sent_in_line",
        "A trade was claimed after every earlier trade of its customer had ended: in order, and one at a time.",
        f"""
        SELECT customer_id AS "customerId", id AS "tradeId",
               format('number %s was claimed while an earlier one was open', sequence) AS detail
        FROM (
            SELECT trade.customer_id, trade.id, trade.sequence, claim.id AS claim,
                   max(coalesce(ending.id, {2**63 - 1})) OVER (
                       PARTITION BY trade.customer_id ORDER BY trade.sequence
                       ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
                   ) AS last_ending
            FROM trades_trade AS trade
            LEFT JOIN trades_statuschange AS claim ON claim.trade_id = trade.id AND claim.to_status = 'IN PROGRESS'
            LEFT JOIN trades_statuschange AS ending
                ON ending.trade_id = trade.id AND ending.to_status IN ({FINAL_TEXTS})
        ) AS line
        WHERE claim < last_ending
        """,
    ),
    Rule(
        "sent_trade_is_ended_by_one_report",
        "A trade that was sent and is final was ended by one report of the exchange; every other trade by none.",
        f"""
        SELECT trade.customer_id AS "customerId", coalesce(trade.id, settled.trade_id) AS "tradeId",
               format('%s reports ended a trade that %s', coalesce(settled.reports, 0), CASE
                   WHEN trade.id IS NULL THEN 'is not here'
                   WHEN trade.claimed_at IS NULL THEN 'was not sent and is ' || trade.status
                   ELSE 'was sent and is ' || trade.status
               END) AS detail
        FROM trades_trade AS trade
        FULL JOIN (
            SELECT trade_id, count(*) AS reports FROM trades_report WHERE outcome = 'settled' GROUP BY trade_id
        ) AS settled ON settled.trade_id = trade.id
        WHERE coalesce(settled.reports, 0) IS DISTINCT FROM
            (trade.claimed_at IS NOT NULL AND trade.status IN ({FINAL_TEXTS}))::integer
        """,
    ),
    Rule(
        "trade_is_as_reported",
        "A report that ended a trade, or agreed, says what the trade says: customer, terms, status, price, amount.",
        r"""
        SELECT coalesce(trade.customer_id, report.customer_id) AS "customerId", report.trade_id AS "tradeId",
               report.id AS "reportId", format('%s %s %s %s at %s for %s; the report says: %s', trade.status,
               trade.type, trade.quantity, trade.ticker, coalesce(trade.price::text, 'no price'),
               coalesce(trade.amount::text, 'no amount'), left(report.body, 500)) AS detail
        FROM trades_report AS report
        LEFT JOIN trades_trade AS trade ON trade.id = report.trade_id
        CROSS JOIN LATERAL (
            -- Without its escapes: some of them a database takes in no text, and none is in what is compared.
            SELECT replace(replace(report.body, '\\', '/'), '\u', 'u') AS body
        ) AS plain
        CROSS JOIN LATERAL (
            SELECT CASE WHEN pg_input_is_valid(plain.body, 'jsonb') THEN plain.body::jsonb END AS says OFFSET 0
        ) AS word
        WHERE report.outcome IN ('settled', 'agrees') AND (
            (report.customer_id, says->>'status', says->>'stockTicker', says->>'type', says->>'quantity')
            IS DISTINCT FROM
            (trade.customer_id, trade.status, trade.ticker, trade.type, trade.quantity::text)
            OR trade.status = 'FILLED' AND (
                CASE WHEN pg_input_is_valid(says->>'price', 'numeric') THEN (says->>'price')::numeric END,
                CASE WHEN pg_input_is_valid(says->>'amount', 'numeric') THEN (says->>'amount')::numeric END
            ) IS DISTINCT FROM (trade.price, trade.amount)
        )
        """,
    ),
)
