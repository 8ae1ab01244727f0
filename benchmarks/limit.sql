-- The life of a trade as three bare transactions, on the brokerage's own tables, indexes, constraints and triggers.
-- Nothing more is asked of the database than that: no counter, no hold, no history, no report.
-- Every client has customers of its own, so that nobody waits for anybody; `line` starts where other runs end.
\set customer :first + :client_id + :clients * random(0, :each - 1)
\set line :line + 1
\set side 2 * random(0, 1) - 1
\set quantity random(1, 9)
\set shares :side * :quantity
\set amount 100 * :quantity
\set cash 0 - :side * :amount

INSERT INTO trades_trade (id, customer_id, sequence, ticker, type, quantity, status, reason_code)
VALUES (uuidv7(), :customer, :line, 'AAPL', CASE :side::int WHEN 1 THEN 'BUY' ELSE 'SELL' END, :quantity, 'PLACED', '')
RETURNING id AS trade \gset

BEGIN;
SELECT FROM accounts_balance WHERE customer_id = :customer FOR NO KEY UPDATE;
UPDATE trades_trade
SET status = 'IN PROGRESS', max_price = CASE :side::int WHEN 1 THEN 1000000 END, claimed_at = now(),
    expires_at = now() + interval '30 s', ask_at = now() + interval '3 s'
WHERE id = :trade;
COMMIT;

BEGIN;
SELECT FROM accounts_balance WHERE customer_id = :customer FOR NO KEY UPDATE;
UPDATE accounts_balance SET amount = amount + :cash, modified_at = now()
WHERE customer_id = :customer RETURNING amount AS cash_left \gset
INSERT INTO accounts_position AS p (customer_id, ticker, quantity, held, cost)
VALUES (:customer, 'AAPL', :quantity, 0, :amount)
ON CONFLICT (customer_id, ticker) DO UPDATE
SET quantity = p.quantity + :shares, cost = p.cost - :cash::numeric, modified_at = now()
RETURNING quantity AS shares_left \gset
INSERT INTO accounts_posting (customer_id, ticker, kind, cause, change, total, price, settles_on)
VALUES (:customer, '', CASE :side::int WHEN 1 THEN 'buy' ELSE 'sell' END, :trade::uuid, :cash::numeric, :cash_left::numeric, 100, current_date),
       (:customer, 'AAPL', CASE :side::int WHEN 1 THEN 'buy' ELSE 'sell' END, :trade, :shares, :shares_left, 100, current_date);
UPDATE trades_trade SET status = 'FILLED', price = 100, amount = :amount, settled_at = now() WHERE id = :trade;
COMMIT;
