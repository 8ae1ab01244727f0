"""The audit's rules about good-faith violations: marked lots, early sales, and restricted accounts."""

from accounts.audit import Rule

SETTLES_WITHIN_DAYS = 14  # from its trade date until a sale has settled, at most

# Each purchase with the cash that paid for it, and the sales that had not settled then. It reads each posting a few
# times, however many trades a customer makes in a day: the proceeds up to a purchase are a running sum, for each
# settlement day, over the sales and the purchases in the order of their postings.
_PAID_WITH = f"""
    WITH sale AS (
        SELECT customer_id, settles_on, min(id) AS posting_id, sum(change) AS net FROM accounts_posting
        WHERE ticker = '' AND kind IN ('sell', 'fee') AND settles_on IS NOT NULL
        GROUP BY customer_id, settles_on, cause HAVING bool_or(kind = 'sell')
    ), bought AS (
        SELECT lot.customer_id, lot.ticker, lot.id, lot.cause, lot.acquired_on, lot.paid_with_until,
               paid.id AS posting_id, paid.total + coalesce(fee.change, 0) AS cash_left
        FROM accounts_lot AS lot
        JOIN accounts_posting AS paid ON paid.cause = lot.cause AND paid.kind = 'buy' AND paid.ticker = ''
        LEFT JOIN accounts_posting AS fee ON fee.cause = lot.cause AND fee.kind = 'fee' AND fee.ticker = ''
        WHERE lot.origin IS NULL AND lot.paid_with_until IS NOT NULL
    ), settling AS (
        SELECT customer_id, settles_on, settles_on - days AS acquired_on
        FROM (SELECT DISTINCT customer_id, settles_on FROM sale) AS day
        CROSS JOIN generate_series(1, {SETTLES_WITHIN_DAYS}) AS days
    ), moment AS (
        SELECT customer_id, settles_on, posting_id, net, NULL::uuid AS lot_id, NULL::numeric AS cash_left FROM sale
        UNION ALL
        SELECT customer_id, settling.settles_on, posting_id, 0, bought.id, cash_left
        FROM bought JOIN settling USING (customer_id, acquired_on)
    ), until_then AS (
        SELECT *, sum(net) OVER (PARTITION BY customer_id, settles_on ORDER BY posting_id) AS brought FROM moment
    ), unsettled AS (
        SELECT lot_id, max(settles_on) AS day FROM (
            SELECT lot_id, settles_on, cash_left,
                   sum(brought) OVER (PARTITION BY lot_id ORDER BY settles_on DESC) AS brought
            FROM until_then WHERE lot_id IS NOT NULL
        ) AS later WHERE brought > cash_left GROUP BY lot_id
    )
    SELECT bought.*, coalesce(unsettled.day, acquired_on) AS paid_on
    FROM bought LEFT JOIN unsettled ON unsettled.lot_id = bought.id
"""
RULES = (
    Rule(
        "lot_is_marked_until_it_is_paid_for",
        "Lot has the wrong date of payment",
        "A purchase that used unsettled proceeds is marked with the day on which the last of them settle, any other "
        "purchase with its trade date.",
        f"""
        SELECT customer_id AS "customerId", ticker AS "stockTicker", id AS "lotId", cause,
               format('marked until %s; according to the postings it was paid for on %s', paid_with_until, paid_on)
               AS detail
        FROM ({_PAID_WITH}) AS purchase WHERE paid_with_until <> paid_on
        """,
    ),
    Rule(
        "early_sale_is_a_violation",
        "Good-faith violation is missing or wrong",
        "A sale of shares before they were paid for is recorded as a good-faith violation, and no other sale is.",
        """
        SELECT coalesce(sold.customer_id, violation.customer_id) AS "customerId", cause,
               format('its lots were paid for on %s; recorded: %s', coalesce(sold.until::text, 'time'),
               coalesce(violation.settles_on::text, 'nothing')) AS detail
        FROM (
            SELECT closing.customer_id, closing.cause, max(lot.paid_with_until) AS until
            FROM accounts_lotclosing AS closing JOIN accounts_lot AS lot ON lot.id = closing.lot_id
            WHERE closing.proceeds IS NOT NULL AND lot.paid_with_until > lot.acquired_on
              AND lot.paid_with_until > closing.closed_on
            GROUP BY closing.customer_id, closing.cause
        ) AS sold
        FULL JOIN accounts_goodfaithviolation AS violation USING (cause)
        WHERE (sold.customer_id, sold.until) IS DISTINCT FROM (violation.customer_id, violation.settles_on)
        """,
    ),
    Rule(
        "violation_is_a_sale",
        "Good-faith violation has no sale",
        "A good-faith violation belongs to a FILLED sale of the same customer and stock.",
        """
        SELECT customer_id AS "customerId", ticker AS "stockTicker", cause AS "tradeId",
               format('a violation of %s that is no sale', sold_on) AS detail
        FROM accounts_goodfaithviolation AS violation
        WHERE NOT EXISTS (
            SELECT FROM trades_trade AS trade
            WHERE trade.id = cause AND (trade.customer_id, trade.ticker, trade.type, trade.status)
                = (violation.customer_id, violation.ticker, 'SELL', 'FILLED'))
        """,
    ),
    Rule(
        "restriction_follows_from_its_violation",
        "Restriction doesn't follow from its violations",
        "Violations are counted over 12 months, and an account is restricted until the latest date that one of its "
        "violations sets, unless staff lifted it.",
        """
        SELECT customer_id AS "customerId", cause, format('counted %s; there were %s', number, within) AS detail
        FROM (
            SELECT violation.*, (
                SELECT count(*) FROM accounts_goodfaithviolation AS other
                WHERE other.customer_id = violation.customer_id AND other.id <= violation.id
                  AND other.sold_on > violation.sold_on - interval '1 year') AS within
            FROM accounts_goodfaithviolation AS violation
        ) AS counted WHERE number <> within
        UNION ALL
        SELECT balance.customer_id, NULL, format('restricted until %s; its violations say %s',
               coalesce(settled_cash_until::text, 'never'), coalesce(imposed.until::text, 'never'))
        FROM accounts_balance AS balance
        LEFT JOIN (
            SELECT customer_id, max(restricts_until) AS until FROM accounts_goodfaithviolation
            WHERE lifted_at IS NULL GROUP BY customer_id
        ) AS imposed USING (customer_id)
        WHERE settled_cash_until IS DISTINCT FROM imposed.until
        """,
    ),
)
