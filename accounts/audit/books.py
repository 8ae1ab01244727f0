"""The audit's rules about the books: balances, positions, lots, and the postings behind them."""

from accounts.audit.rule import CLOCKS_APART_SECONDS_MAX, Rule, Scope

BOOKS = (
    Rule(
        "nothing_below_zero",
        "An amount is below zero, or more is held than there is",
        "No balance, position, hold or total is below zero, and no hold exceeds what is there.",
        """
        SELECT customer_id AS "customerId", NULL AS "stockTicker", NULL::bigint AS "postingId",
               format('the balance is %s USD, of which %s are held', amount, held) AS detail
        FROM accounts_balance WHERE held < 0 OR held > amount OR amount < 0
        UNION ALL
        SELECT customer_id, ticker, NULL, format('the position is %s shares, of which %s are held', quantity, held)
        FROM accounts_position WHERE held < 0 OR held > quantity OR quantity < 0
        UNION ALL
        SELECT customer_id, ticker, id, format('the posting leaves %s', total) FROM accounts_posting WHERE total < 0
        """,
        Scope.POSTING,
    ),
    Rule(
        "customer_has_a_balance",
        "Customer has no balance",
        "Every customer has a balance.",
        """
        SELECT customer.id AS "customerId", format('%s has no balance', customer.email) AS detail
        FROM accounts_customer AS customer
        WHERE NOT EXISTS (SELECT FROM accounts_balance AS balance WHERE balance.customer_id = customer.id)
        """,
        Scope.ALL,
    ),
    Rule(
        "balance_is_the_sum_of_its_postings",
        "Balance doesn't match its postings",
        "Every balance is the sum of its cash postings, or 0 without any, and no cash is posted without a balance.",
        """
        SELECT customer_id AS "customerId", format('the balance is %s USD, its postings add up to %s',
               coalesce(balance.amount::text, 'missing'), coalesce(posted.amount, 0)) AS detail
        FROM accounts_balance AS balance
        FULL JOIN (
            SELECT customer_id, sum(change) AS amount FROM accounts_posting WHERE ticker = '' GROUP BY customer_id
        ) AS posted USING (customer_id)
        WHERE balance.amount IS DISTINCT FROM coalesce(posted.amount, 0)
        """,
    ),
    Rule(
        "position_is_the_sum_of_its_postings",
        "Position doesn't match its postings",
        "Every position is the sum of its share postings, and no shares are posted without a position.",
        """
        SELECT customer_id AS "customerId", ticker AS "stockTicker",
               format('the position is %s shares, its postings add up to %s',
               coalesce(position.quantity::text, 'missing'), coalesce(posted.quantity, 0)) AS detail
        FROM accounts_position AS position
        FULL JOIN (
            SELECT customer_id, ticker, sum(change) AS quantity
            FROM accounts_posting WHERE ticker <> '' GROUP BY customer_id, ticker
        ) AS posted USING (customer_id, ticker)
        WHERE position.quantity IS DISTINCT FROM coalesce(posted.quantity, 0)
        """,
        Scope.STOCK,
    ),
    Rule(
        "cost_follows_from_its_postings",
        "Position's cost doesn't match its postings",
        "A position's cost is what its shares cost, less the cost of the shares sold, posting by posting; "
        "shares under a new ticker bring the cost that they had.",
        """
        SELECT customer_id AS "customerId", ticker AS "stockTicker",
               format('the position cost %s USD, its postings add up to %s', position.cost, posted.cost) AS detail
        FROM accounts_position AS position
        JOIN (
            SELECT customer_id, ticker, accounts_cost(
                CASE WHEN kind = 'new_ticker' AND change > 0 THEN 1 ELSE change END, total,
                CASE WHEN kind = 'new_ticker' AND change > 0 THEN (
                    SELECT cost FROM trades_entitlement AS entitlement WHERE entitlement.id = cause
                ) ELSE price END ORDER BY id) AS cost
            FROM accounts_posting WHERE ticker <> '' GROUP BY customer_id, ticker
        ) AS posted USING (customer_id, ticker)
        WHERE position.cost IS DISTINCT FROM posted.cost
        """,
        Scope.STOCK,
    ),
    Rule(
        "lots_are_the_position",
        "Lots don't match the position",
        "A position is what remains of the customer's lots in the stock, plus what moved before lots were recorded.",
        """
        SELECT customer_id AS "customerId", ticker AS "stockTicker",
               format('the position is %s shares, the lots have %s, and %s have no lots yet',
               coalesce(position.quantity, 0), coalesce(lot.remaining, 0), coalesce(undated.change, 0)) AS detail
        FROM accounts_position AS position
        FULL JOIN (
            SELECT customer_id, ticker, sum(remaining) AS remaining FROM accounts_lot GROUP BY customer_id, ticker
        ) AS lot USING (customer_id, ticker)
        LEFT JOIN (
            SELECT customer_id, ticker, sum(change) AS change FROM accounts_posting
            WHERE ticker <> '' AND settles_on IS NULL GROUP BY customer_id, ticker
        ) AS undated USING (customer_id, ticker)
        WHERE coalesce(position.quantity, 0) <> coalesce(lot.remaining, 0) + coalesce(undated.change, 0)
        """,
        Scope.STOCK,
    ),
    Rule(
        "lot_is_what_remains_and_what_was_closed",
        "Lot doesn't add up",
        "A lot's shares and cost are what remains plus what was closed, with its customer, stock and date.",
        """
        SELECT lot.customer_id AS "customerId", lot.ticker AS "stockTicker", lot.id AS "lotId",
               format('%s shares for %s: %s remain for %s, %s were closed for %s', lot.quantity, lot.cost,
               lot.remaining, lot.remaining_cost, coalesce(sum(closing.quantity), 0), coalesce(sum(closing.cost), 0)
               ) AS detail
        FROM accounts_lot AS lot LEFT JOIN accounts_lotclosing AS closing ON closing.lot_id = lot.id
        GROUP BY lot.id, lot.customer_id, lot.ticker, lot.acquired_on, lot.quantity, lot.cost, lot.remaining,
                 lot.remaining_cost
        HAVING lot.quantity <> lot.remaining + coalesce(sum(closing.quantity), 0)
        OR lot.cost <> lot.remaining_cost + coalesce(sum(closing.cost), 0)
        OR lot.remaining < 0 OR (lot.remaining = 0 AND lot.remaining_cost <> 0)
        OR bool_or((closing.customer_id, closing.ticker, closing.acquired_on) IS DISTINCT FROM
                   (lot.customer_id, lot.ticker, lot.acquired_on)) FILTER (WHERE closing.id IS NOT NULL)
        """,
        Scope.LOT,
    ),
    Rule(
        "shares_that_came_in_are_a_lot",
        "Shares came in without the right lot",
        "A purchase, or an adjustment that adds shares, opened one lot with as many shares, at its price plus fees.",
        """
        SELECT posting.customer_id AS "customerId", posting.ticker AS "stockTicker", posting.id AS "postingId",
               posting.cause, format('%s shares at %s came in; lots: %s', posting.change, posting.price,
               coalesce(string_agg(lot.quantity || ' for ' || lot.cost, ', '), 'none')) AS detail
        FROM (
            SELECT *, min(change) FILTER (WHERE ticker = '') OVER (PARTITION BY cause) AS fee
            FROM accounts_posting
            WHERE ticker = '' AND kind = 'fee'
            OR ticker <> '' AND change > 0 AND kind IN ('buy', 'adjustment') AND settles_on IS NOT NULL
        ) AS posting
        LEFT JOIN public.accounts_lot AS lot ON lot.customer_id = posting.customer_id AND lot.ticker = posting.ticker
            AND lot.cause = posting.cause AND lot.origin IS NULL
        WHERE posting.ticker <> ''
        GROUP BY posting.id, posting.customer_id, posting.ticker, posting.cause, posting.change, posting.price,
                 posting.fee
        HAVING count(lot.id) <> 1 OR sum(lot.quantity) <> posting.change
        OR sum(lot.cost) <> posting.change * posting.price - coalesce(posting.fee, 0)
        """,
        Scope.LOT,
    ),
    Rule(
        "lot_came_in",
        "Lot has no posting",
        "A lot that continues no other lot was opened by a posting that added shares.",
        """
        SELECT customer_id AS "customerId", ticker AS "stockTicker", id AS "lotId", cause,
               format('a lot of %s shares that no posting brought in', quantity) AS detail
        FROM accounts_lot AS lot
        WHERE origin IS NULL AND NOT EXISTS (
            SELECT FROM public.accounts_posting AS posting
            WHERE posting.cause = lot.cause AND posting.ticker = lot.ticker AND posting.change > 0
              AND posting.customer_id = lot.customer_id AND posting.settles_on IS NOT NULL)
        """,
        Scope.LOT,
    ),
    Rule(
        "shares_that_went_out_closed_lots",
        "Shares went out without closing the right lots",
        "A sale, or an adjustment that removes shares, closed as many; a sale's proceeds are its cash less fees.",
        """
        SELECT customer_id AS "customerId", ticker AS "stockTicker", id AS "postingId", cause,
               format('%s shares went out for %s; closed: %s for %s', change, coalesce(cash::text, 'nothing'),
               coalesce(closed, 0), coalesce(proceeds::text, 'nothing')) AS detail
        FROM (
            SELECT customer_id, ticker, cause, id, change, quantity IS NOT NULL AS is_closing,
                   sum(quantity) OVER of_stock AS closed, sum(proceeds) OVER of_stock AS proceeds,
                   CASE WHEN bool_or(kind = 'sell' AND ticker = '') OVER of_cause THEN
                       sum(change) FILTER (WHERE ticker = '') OVER of_cause END AS cash
            FROM (
                SELECT customer_id, ticker, cause, kind, id, change, NULL::bigint AS quantity, NULL::numeric AS proceeds
                FROM accounts_posting
                WHERE ticker = '' AND kind IN ('sell', 'fee')
                OR ticker <> '' AND change < 0 AND kind IN ('sell', 'adjustment') AND settles_on IS NOT NULL
                UNION ALL
                SELECT customer_id, ticker, cause, NULL, NULL, NULL, quantity, proceeds FROM accounts_lotclosing
            ) AS row
            WINDOW of_cause AS (PARTITION BY cause), of_stock AS (PARTITION BY cause, customer_id, ticker)
        ) AS gone
        WHERE ticker <> '' AND NOT is_closing
          AND (closed IS DISTINCT FROM -change OR proceeds IS DISTINCT FROM cash)
        """,
    ),
    Rule(
        "gain_is_proceeds_less_cost",
        "Gain doesn't match its proceeds and cost",
        "A realized gain is the proceeds less the cost, and its term follows from its dates.",
        """
        SELECT customer_id AS "customerId", ticker AS "stockTicker", cause,
               format('%s less %s is not %s; acquired %s, closed %s, long term: %s', proceeds, cost, gain,
               acquired_on, closed_on, is_long_term) AS detail
        FROM accounts_lotclosing
        WHERE gain IS DISTINCT FROM proceeds - cost
        OR is_long_term <> (closed_on > acquired_on + interval '1 year')
        """,
    ),
    Rule(
        "posting_follows_the_one_before",
        "Posting doesn't follow from the one before",
        "A posting's total is its change plus the total of the one before, if any, of the same customer and stock.",
        """
        SELECT customer_id AS "customerId", ticker AS "stockTicker", id AS "postingId", cause,
               format('%s moved by %s is not %s', before, change, total) AS detail
        FROM (
            SELECT *, coalesce(lag(total) OVER (PARTITION BY customer_id, ticker ORDER BY id), (
                SELECT total FROM public.accounts_posting AS earlier
                WHERE earlier.customer_id = posting.customer_id AND earlier.ticker = posting.ticker
                  AND earlier.id < posting.id ORDER BY id DESC LIMIT 1
            ), 0) AS before
            FROM accounts_posting AS posting
        ) AS posting
        WHERE total <> before + change
        """,
        Scope.POSTING,
    ),
    Rule(
        "posting_is_of_its_kind",
        "Posting doesn't fit its kind",
        "Deposits, sells and dividends add cash; withdrawals, buys and fees remove it; buys add and sells remove whole "
        "shares; adjustments do any of this; splits change shares at a price of 0 and may add cash; a new ticker takes "
        "all shares. Buys, sells and shares that an adjustment adds have a price, other postings have none.",
        """
        SELECT customer_id AS "customerId", ticker AS "stockTicker", id AS "postingId", cause,
               format('a %s moves %s %s at %s', kind, change, coalesce(nullif(ticker, ''), 'USD'),
               coalesce(price::text, 'no price')) AS detail
        FROM accounts_posting
        WHERE (CASE kind
            WHEN 'deposit' THEN ticker = '' AND change > 0 AND price IS NULL
            WHEN 'withdrawal' THEN ticker = '' AND change < 0 AND price IS NULL
            WHEN 'fee' THEN ticker = '' AND change < 0 AND price IS NULL
            WHEN 'adjustment' THEN change <> 0 AND (price IS NOT NULL) = (ticker <> '' AND change > 0)
            WHEN 'dividend' THEN ticker = '' AND change > 0 AND price IS NULL
            WHEN 'split' THEN CASE WHEN ticker = '' THEN change > 0 AND price IS NULL
                              ELSE change <> 0 AND price IS NOT DISTINCT FROM CASE WHEN total > 0 THEN 0 END END
            WHEN 'new_ticker' THEN ticker <> '' AND (change > 0 OR total = 0) AND price IS NULL
            WHEN 'buy' THEN price > 0 AND change <> 0 AND (ticker = '') = (change < 0)
            WHEN 'sell' THEN price > 0 AND change <> 0 AND (ticker = '') = (change > 0)
        END AND (ticker = '' OR change = trunc(change))) IS NOT TRUE
        """,
        Scope.POSTING,
    ),
    Rule(
        "transfer_has_its_posting",
        "Transfer doesn't match its posting",
        "Every transfer has exactly one posting, with its customer, kind and amount.",
        """
        SELECT transfer.customer_id AS "customerId", transfer.id AS "transferId",
               format('a %s of %s USD; posted: %s', transfer.type, transfer.amount,
               coalesce(string_agg(posting.change::text, ', '), 'nothing')) AS detail
        FROM accounts_transfer AS transfer
        LEFT JOIN accounts_posting AS posting ON posting.cause = transfer.id
        GROUP BY transfer.id, transfer.customer_id, transfer.type, transfer.amount
        HAVING count(posting.id) <> 1 OR bool_or(
            (posting.customer_id, posting.ticker, posting.kind, posting.change) IS DISTINCT FROM
            (transfer.customer_id, '', transfer.type,
             CASE transfer.type WHEN 'deposit' THEN transfer.amount ELSE -transfer.amount END))
        """,
        Scope.CAUSE,
    ),
    Rule(
        "posting_has_its_transfer",
        "Posting has no transfer",
        "Every deposit and withdrawal in the books belongs to a transfer of the same customer.",
        """
        SELECT customer_id AS "customerId", id AS "postingId", cause,
               format('a %s of %s USD that no transfer of this customer caused', kind, change) AS detail
        FROM accounts_posting AS posting
        WHERE kind IN ('deposit', 'withdrawal') AND NOT EXISTS (
            SELECT FROM accounts_transfer AS transfer
            WHERE transfer.id = posting.cause AND transfer.customer_id = posting.customer_id)
        """,
        Scope.POSTING,
    ),
    Rule(
        "adjustment_has_its_posting",
        "Adjustment doesn't match its posting",
        "Every approved adjustment has one posting, with its customer, stock, change and price; others have none.",
        """
        SELECT adjustment.customer_id AS "customerId", adjustment.id AS "adjustmentId",
               format('an adjustment of %s %s, approved: %s; posted: %s', adjustment.change,
               coalesce(nullif(adjustment.ticker, ''), 'USD'),
               coalesce(adjustment.approved::text, 'not decided'),
               coalesce(string_agg(posting.change::text, ', '), 'nothing')) AS detail
        FROM accounts_adjustment AS adjustment
        LEFT JOIN accounts_posting AS posting ON posting.cause = adjustment.id
        GROUP BY adjustment.id, adjustment.customer_id, adjustment.ticker, adjustment.change, adjustment.price,
                 adjustment.approved
        HAVING count(posting.id) <> CASE WHEN adjustment.approved THEN 1 ELSE 0 END
        OR count(posting.id) > 0 AND bool_or(
            (posting.customer_id, posting.ticker, posting.kind, posting.change, posting.price) IS DISTINCT FROM
            (adjustment.customer_id, adjustment.ticker, 'adjustment', adjustment.change, adjustment.price))
        """,
    ),
    Rule(
        "posting_has_its_adjustment",
        "Adjustment was posted without approval",
        "Every adjustment in the books was approved by somebody other than the person who requested it.",
        """
        SELECT customer_id AS "customerId", id AS "postingId", cause,
               format('an adjustment of %s %s that nobody approved', change, coalesce(nullif(ticker, ''), 'USD'))
               AS detail
        FROM accounts_posting AS posting
        WHERE kind = 'adjustment' AND NOT EXISTS (
            SELECT FROM accounts_adjustment AS adjustment
            WHERE adjustment.id = posting.cause AND adjustment.customer_id = posting.customer_id
              AND adjustment.approved AND adjustment.decided_by_id <> adjustment.asked_by_id)
        """,
        Scope.POSTING,
    ),
    Rule(
        "only_trades_settle_later",
        "Posting settles on the wrong day",
        "A posting without a trade settles on the Eastern date of the posting, as far as clocks can tell.",
        """
        SELECT customer_id AS "customerId", id AS "postingId", cause,
               format('the %s is dated %s and settles on %s', kind, created_at, settles_on) AS detail
        FROM accounts_posting
        WHERE kind NOT IN ('buy', 'sell', 'fee')
          AND abs(settles_on - (created_at AT TIME ZONE 'America/New_York')::date) > 1
        """,
        Scope.POSTING,
    ),
    Rule(
        "posting_has_the_time_of_its_cause",
        "Posting and its cause have different times",
        "A posting is dated when its transfer was made or its adjustment was approved, as far as clocks can tell.",
        f"""
        SELECT posting.customer_id AS "customerId", posting.id AS "postingId", posting.cause,
               format('the %s is dated %s, its cause %s', posting.kind, posting.created_at, happened.at) AS detail
        FROM accounts_posting AS posting
        LEFT JOIN accounts_transfer AS transfer ON transfer.id = posting.cause
        LEFT JOIN accounts_adjustment AS adjustment ON adjustment.id = posting.cause
        CROSS JOIN LATERAL (SELECT coalesce(transfer.created_at, adjustment.decided_at) AS at) AS happened
        WHERE posting.kind IN ('deposit', 'withdrawal', 'adjustment')
          AND abs(extract(epoch FROM posting.created_at - happened.at)) > {CLOCKS_APART_SECONDS_MAX}
        """,
        Scope.POSTING,
    ),
)
