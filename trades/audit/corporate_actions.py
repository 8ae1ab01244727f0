"""The audit's rules about corporate actions: what each customer received, and its postings."""

from accounts.audit import Rule, Scope

RULES = (
    Rule(
        "entitlement_follows_from_its_action",
        "Entitlement doesn't follow from its corporate action",
        "Each customer's entitlement follows from the shares that counted and from the corporate action's terms.",
        """
        SELECT entitlement.customer_id AS "customerId", entitlement.id AS "cause", action.ticker AS "stockTicker",
               format('%s shares became %s, with %s USD', entitlement.shares, entitlement.shares_after,
               entitlement.cash) AS detail
        FROM trades_entitlement AS entitlement JOIN trades_corporateaction AS action ON action.id = action_id
        WHERE (action.state IN ('applying', 'done') AND CASE action.kind
            WHEN 'CASH_DIVIDEND' THEN entitlement.shares_after = entitlement.shares
                AND abs(entitlement.cash - entitlement.shares * amount_per_share) <= 0.00005
            WHEN 'TICKER_CHANGE' THEN entitlement.shares_after = entitlement.shares AND entitlement.cash = 0
                AND entitlement.cost >= 0
            WHEN 'SPLIT' THEN entitlement.shares_after = div(entitlement.shares::numeric * numerator, denominator)
                AND abs(entitlement.cash - coalesce(reference_price, 0)
                        * mod(entitlement.shares::numeric * numerator, denominator) / denominator) <= 0.00005
        END) IS NOT TRUE
        """,
    ),
    Rule(
        "entitlement_has_its_postings",
        "Entitlement doesn't match its postings",
        "Each customer's entitlement was posted exactly once.",
        """
        SELECT entitlement.customer_id AS "customerId", entitlement.id AS "cause", action.ticker AS "stockTicker",
               format('%s shares became %s, with %s USD; posted: %s', entitlement.shares, entitlement.shares_after,
               entitlement.cash, coalesce(string_agg(posting.change || ' ' || posting.ticker, ', '), 'nothing')
               ) AS detail
        FROM trades_entitlement AS entitlement JOIN trades_corporateaction AS action ON action.id = action_id
        LEFT JOIN accounts_posting AS posting ON posting.cause = entitlement.id
        GROUP BY entitlement.id, entitlement.customer_id, entitlement.shares, entitlement.shares_after,
                 entitlement.cash, action.id, action.kind, action.ticker, action.new_ticker
        HAVING coalesce(sum(posting.change) FILTER (WHERE posting.ticker = ''), 0) <> entitlement.cash
        OR coalesce(sum(posting.change) FILTER (WHERE posting.ticker = action.ticker), 0)
           <> CASE action.kind WHEN 'TICKER_CHANGE' THEN 0 ELSE entitlement.shares_after END - entitlement.shares
        OR coalesce(sum(posting.change) FILTER (WHERE posting.ticker = action.new_ticker AND posting.ticker <> ''), 0)
           <> CASE action.kind WHEN 'TICKER_CHANGE' THEN entitlement.shares_after ELSE 0 END
        OR bool_or(posting.customer_id <> entitlement.customer_id
                   OR posting.ticker NOT IN ('', action.ticker, action.new_ticker)
                   OR posting.kind <> CASE action.kind
                       WHEN 'SPLIT' THEN 'split' WHEN 'TICKER_CHANGE' THEN 'new_ticker' ELSE 'dividend' END)
        """,
    ),
    Rule(
        "posting_has_its_entitlement",
        "Posting has no corporate action",
        "Every dividend, split and new ticker in the books belongs to what a corporate action brought its customer.",
        """
        SELECT customer_id AS "customerId", id AS "postingId", cause,
               format('a %s of %s %s that no corporate action caused', kind, change,
               coalesce(nullif(ticker, ''), 'USD')) AS detail
        FROM accounts_posting AS posting
        WHERE kind IN ('dividend', 'split', 'new_ticker') AND NOT EXISTS (
            SELECT FROM trades_entitlement AS entitlement
            WHERE entitlement.id = posting.cause AND entitlement.customer_id = posting.customer_id)
        """,
        Scope.POSTING,
    ),
    Rule(
        "corporate_action_keeps_lots_and_cost",
        "Corporate action doesn't match its lots",
        "A split or a new ticker closes lots of as many shares as counted, and opens others of as many as there are "
        "after it, of the same cost and dates; none where no share is left.",
        """
        SELECT entitlement.customer_id AS "customerId", entitlement.id AS "cause", action.ticker AS "stockTicker",
               format('%s shares for %s were closed, %s for %s opened; %s became %s', closed.quantity, closed.cost,
               opened.quantity, opened.cost, entitlement.shares, entitlement.shares_after) AS detail
        FROM trades_entitlement AS entitlement JOIN trades_corporateaction AS action ON action.id = action_id
        LEFT JOIN (
            SELECT cause, sum(quantity) AS quantity, sum(cost) AS cost, min(acquired_on) AS first
            FROM accounts_lotclosing WHERE proceeds IS NULL GROUP BY cause
        ) AS closed ON closed.cause = entitlement.id
        LEFT JOIN (
            SELECT cause, sum(quantity) AS quantity, sum(cost) AS cost, min(acquired_on) AS first,
                   min(ticker) AS ticker, max(ticker) AS last_ticker
            FROM accounts_lot WHERE origin IS NOT NULL GROUP BY cause
        ) AS opened ON opened.cause = entitlement.id
        WHERE (action.kind = 'TICKER_CHANGE'
               OR action.kind = 'SPLIT' AND entitlement.shares_after <> entitlement.shares)
        AND (closed.quantity IS DISTINCT FROM entitlement.shares
             OR coalesce(opened.quantity, 0) <> entitlement.shares_after
             OR entitlement.shares_after > 0 AND opened.cost > closed.cost
             OR action.kind = 'TICKER_CHANGE' AND opened.cost IS DISTINCT FROM closed.cost
             OR opened.first < closed.first
             OR (opened.ticker, opened.last_ticker) IS DISTINCT FROM
                (coalesce(nullif(action.new_ticker, ''), action.ticker), opened.ticker) AND opened.quantity > 0)
        """,
    ),
    Rule(
        "new_ticker_brings_the_cost",
        "Cost didn't move to the new ticker",
        "What shares cost goes with them to a new ticker, as their postings until then make it.",
        """
        SELECT posting.customer_id AS "customerId", posting.ticker AS "stockTicker", posting.id AS "postingId", cause,
               format('the shares had cost %s, and %s went with them', before.cost, entitlement.cost) AS detail
        FROM accounts_posting AS posting JOIN trades_entitlement AS entitlement ON entitlement.id = posting.cause
        CROSS JOIN LATERAL (
            SELECT accounts_cost(
                CASE WHEN kind = 'new_ticker' AND change > 0 THEN 1 ELSE change END, total,
                CASE WHEN kind = 'new_ticker' AND change > 0 THEN (
                    SELECT cost FROM trades_entitlement AS earlier WHERE earlier.id = moved.cause
                ) ELSE price END ORDER BY id) AS cost
            FROM accounts_posting AS moved
            WHERE moved.customer_id = posting.customer_id AND moved.ticker = posting.ticker AND moved.id < posting.id
        ) AS before
        WHERE posting.kind = 'new_ticker' AND posting.change < 0 AND entitlement.cost IS DISTINCT FROM before.cost
        """,
    ),
    Rule(
        "open_trade_follows_its_stock",
        "Open trade didn't follow its ticker change",
        "A trade that goes on under another ticker does so because of ticker changes, and no open trade has stayed "
        "behind.",
        """
        SELECT trade.customer_id AS "customerId", trade.id AS "tradeId", trade.ticker AS "stockTicker",
               format('%s, placed as %s', trade.status, coalesce(trade.placed_as, trade.ticker)) AS detail
        FROM trades_trade AS trade
        WHERE trade.placed_as IS NOT NULL AND NOT EXISTS (
            SELECT FROM trades_corporateaction AS action
            WHERE action.kind = 'TICKER_CHANGE' AND action.new_ticker = trade.ticker
              AND action.state IN ('applying', 'done') AND action.began_at > trade.placed_at)
        UNION ALL
        SELECT trade.customer_id, trade.id, trade.ticker, format('%s, although the ticker is %s since %s',
               trade.status, action.new_ticker, action.done_at)
        FROM trades_corporateaction AS action JOIN trades_trade AS trade
            ON trade.ticker = action.ticker AND trade.status IN ('PLACED', 'IN PROGRESS')
        WHERE action.kind = 'TICKER_CHANGE' AND action.state = 'done' AND trade.placed_at < action.began_at
        """,
    ),
    Rule(
        "corporate_action_counts_its_entitlements",
        "Corporate action's totals don't add up",
        "A corporate action's totals match the customers that it reached, their shares, and their cash.",
        """
        SELECT action.ticker AS "stockTicker",
               format('counted %s holders, %s shares and %s USD; there are %s, %s and %s',
               holders, action.shares, action.cash, count(entitlement.id), coalesce(sum(entitlement.shares), 0),
               coalesce(sum(entitlement.cash), 0)) AS detail
        FROM trades_corporateaction AS action LEFT JOIN trades_entitlement AS entitlement ON action_id = action.id
        GROUP BY action.id
        HAVING holders <> count(entitlement.id) OR action.shares <> coalesce(sum(entitlement.shares), 0)
        OR action.cash <> coalesce(sum(entitlement.cash), 0)
        """,
        Scope.ALL,
    ),
)
