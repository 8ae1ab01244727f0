"""The audit's rules about the exchange's reports: what they say, and the verdicts on them."""

from accounts.audit import Rule, Scope
from trades.audit.sql import CLOCKS_APART_SECONDS_MAX, FINAL_TEXTS

# Joins the report's body as the jsonb column `says`, or NULL if it is not JSON. Escapes are replaced first: PostgreSQL
# rejects some of them, and none occurs in what is compared.
PARSED_BODY = r"""
    CROSS JOIN LATERAL (SELECT replace(replace(report.body, '\\', '/'), '\u', 'u') AS body) AS plain
    CROSS JOIN LATERAL (
        SELECT CASE WHEN pg_input_is_valid(plain.body, 'jsonb') THEN plain.body::jsonb END AS says OFFSET 0
    ) AS word
"""
ALL_AMOUNTS = " AND ".join(
    f"""
    jsonb_typeof(says->'{name}') = 'string' AND pg_input_is_valid(says->>'{name}', 'numeric')
    AND CASE WHEN pg_input_is_valid(says->>'{name}', 'numeric') THEN
        (says->>'{name}')::numeric > 0 AND (says->>'{name}')::numeric < 1e14
        AND (says->>'{name}')::numeric = round((says->>'{name}')::numeric, 4)
    END
    """
    for name in ("price", "amount")
)

RULES = (
    Rule(
        "sent_trade_is_ended_by_one_report",
        "Trade wasn't ended by exactly one report",
        "A trade that was sent and is final was ended by one report of the exchange, every other trade by none.",
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
        Scope.CAUSE,
    ),
    Rule(
        "trade_is_as_reported",
        "Trade doesn't match its report",
        "A report that ended a trade, or agreed with it, matches the trade: customer, terms, status, price, amount.",
        rf"""
        SELECT coalesce(trade.customer_id, report.customer_id) AS "customerId", report.trade_id AS "tradeId",
               report.id AS "reportId", format('%s %s %s %s at %s for %s; the report says: %s', trade.status,
               trade.type, trade.quantity, trade.ticker, coalesce(trade.price::text, 'no price'),
               coalesce(trade.amount::text, 'no amount'), left(report.body, 500)) AS detail
        FROM trades_report AS report
        LEFT JOIN trades_trade AS trade ON trade.id = report.trade_id
        {PARSED_BODY}
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
        Scope.CAUSE,
    ),
    Rule(
        "report_is_as_it_came",
        "Report was changed after it arrived",
        "A report's digest is that of its body, which names the trade that the report is stored for.",
        r"""
        SELECT customer_id AS "customerId", trade_id AS "tradeId", id AS "reportId",
               'the body is not the one that was received' AS detail
        FROM trades_report
        WHERE digest <> sha256(convert_to(body, 'UTF8'))
        OR position(trade_id::text IN lower(body)) = 0
        """,
        Scope.CAUSE,
    ),
    Rule(
        "report_is_of_its_trades_customer",
        "Report has the wrong customer",
        "A report belongs to its trade's customer. Only a report about an unknown trade has no customer.",
        """
        SELECT coalesce(report.customer_id, trade.customer_id) AS "customerId", report.trade_id AS "tradeId",
               report.id AS "reportId", format('%s, of %s, about %s', report.outcome,
               coalesce('customer ' || report.customer_id, 'no customer'),
               coalesce('a trade of customer ' || trade.customer_id, 'no trade')) AS detail
        FROM trades_report AS report LEFT JOIN trades_trade AS trade ON trade.id = report.trade_id
        WHERE report.customer_id IS DISTINCT FROM trade.customer_id
        OR (report.outcome = 'unknown_trade') <> (report.customer_id IS NULL)
        """,
        Scope.CAUSE,
    ),
    Rule(
        "report_is_handled_by_a_turn",
        "Report has the wrong handling time",
        "A waiting report has no handling time; any other has one. If it ended its trade, that is when it was settled.",
        f"""
        SELECT report.customer_id AS "customerId", report.trade_id AS "tradeId", report.id AS "reportId",
               format('%s, handled at %s, settled at %s', report.outcome,
               coalesce(report.handled_at::text, 'no time'), coalesce(trade.settled_at::text, 'no time')) AS detail
        FROM trades_report AS report LEFT JOIN trades_trade AS trade ON trade.id = report.trade_id
        WHERE (report.outcome IN ('waiting', 'unknown_trade')) <> (report.handled_at IS NULL)
        OR report.outcome = 'settled' AND report.handled_at NOT BETWEEN
            trade.settled_at - interval '{CLOCKS_APART_SECONDS_MAX} s'
            AND trade.settled_at + interval '{CLOCKS_APART_SECONDS_MAX} s'
        """,
        Scope.CAUSE,
    ),
    Rule(
        "malformed_report_makes_no_sense",
        "Report that can be read is marked as malformed",
        "A report marked as malformed cannot be read.",
        rf"""
        SELECT report.customer_id AS "customerId", report.trade_id AS "tradeId", report.id AS "reportId",
               format('it can be read: %s', left(report.body, 500)) AS detail
        FROM trades_report AS report {PARSED_BODY}
        WHERE report.outcome = 'malformed'
        AND says->>'status' IN ('ACCEPTED', 'FILLED', 'REJECTED')
        AND jsonb_typeof(says->'quantity') = 'number' AND says ? 'stockTicker' AND says ? 'type'
        AND (says->>'status' <> 'FILLED' OR {ALL_AMOUNTS})
        """,
        Scope.CAUSE,
    ),
    Rule(
        "contradiction_contradicts",
        "Report that agrees is marked as a contradiction",
        "A report marked as contradicting its final trade does contradict it.",
        rf"""
        SELECT report.customer_id AS "customerId", report.trade_id AS "tradeId", report.id AS "reportId",
               format('the trade is %s at %s; the report says: %s', trade.status,
               coalesce(trade.price::text, 'no price'), left(report.body, 500)) AS detail
        FROM trades_report AS report JOIN trades_trade AS trade ON trade.id = report.trade_id {PARSED_BODY}
        WHERE report.outcome = 'contradicts'
        AND (says->>'status', says->>'stockTicker', says->>'type', says->>'quantity')
            = (trade.status, trade.ticker, trade.type, trade.quantity::text)
        AND (trade.status <> 'FILLED' OR (
            CASE WHEN pg_input_is_valid(says->>'price', 'numeric') THEN (says->>'price')::numeric END,
            CASE WHEN pg_input_is_valid(says->>'amount', 'numeric') THEN (says->>'amount')::numeric END
        ) = (trade.price, trade.amount))
        """,
        Scope.CAUSE,
    ),
    Rule(
        "execution_counts_once",
        "One execution filled two trades",
        "No execution of the exchange filled two trades.",
        rf"""
        SELECT min(report.customer_id) AS "customerId", min(report.trade_id::text) AS "tradeId",
               format('execution %s filled %s trades', left(says->>'executionId', 100), count(*)) AS detail
        FROM trades_report AS report {PARSED_BODY}
        WHERE report.outcome = 'settled' AND says->>'status' = 'FILLED' AND says->>'executionId' IS NOT NULL
        GROUP BY says->>'executionId' HAVING count(*) > 1
        """,
        Scope.CAUSE,
    ),
    Rule(
        "staff_report_was_approved",
        "Staff report wasn't approved as it must be",
        "Every staff report was entered by one person and approved by another, and every approved one is stored once.",
        rf"""
        SELECT report.customer_id AS "customerId", coalesce(report.trade_id, entered.trade_id)
               AS "tradeId", report.id AS "reportId", format('entered as %s, approved: %s',
               coalesce(entered.id::text, 'nothing'), coalesce(entered.approved, false)) AS detail
        FROM trades_staffreport AS entered
        FULL JOIN (
            SELECT report.*, says->>'executionId' AS execution FROM trades_report AS report {PARSED_BODY}
            WHERE report.source = 'staff'
        ) AS report ON report.trade_id = entered.trade_id AND report.execution = 'staff-' || entered.id
        WHERE (report.id IS NOT NULL) <> coalesce(entered.approved, false)
        OR entered.decided_by_id = entered.entered_by_id
        """,
        Scope.CAUSE,
    ),
)
