"""The audit of trades finds nothing in correct books, and names each broken rule with the ids concerned."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from pytest_django.plugin import DjangoDbBlocker

from accounts.audit import BOOKS, examine
from accounts.funding import withdraw
from accounts.models import Customer
from tests.accounts import test_good_faith
from tests.people import claim, receive_shares, send_report
from tests.planted import assert_found, shared_books
from tests.trades import test_corporate_actions, test_ticker_changes, test_trial_balance
from trades.audit import CLOCKS_APART_SECONDS_MAX, TRADES, corporate_actions, firm, good_faith
from trades.models import Report, Status, Trade, Type
from trades.place import place_trade

UGLY = 'Reason: \\u0000 "no" \\ \x00 \ud800 \U0001f600 {"status": "FILLED"}'


def books(alice: Customer, bob: Customer) -> dict[str, Any]:
    """Create trades of Alice and Bob that end in every way, with one of each in flight; return the ids by name."""

    def end(trade: Trade, status: str, price: Decimal | None = None, **more: Any) -> None:
        assert claim(alice) == [trade]
        send_report(trade, status, price, **more)
        claim(alice)

    withdraw(alice.id, Decimal("1.5"))
    bought = receive_shares(alice, "MSFT", 3, Decimal("7.0001"))
    sold, _ = place_trade(alice.id, "AAPL", Type.SELL, 4)
    end(sold, Status.FILLED, Decimal("99.5"), reason=UGLY)
    rejected, _ = place_trade(alice.id, "AAPL", Type.BUY, 1)
    end(rejected, Status.REJECTED, reason=UGLY, reasonCode="past_market_hours")
    too_many, _ = place_trade(alice.id, "AAPL", Type.SELL, 99)
    buying, _ = place_trade(alice.id, "AAPL", Type.BUY, 2)
    waiting, _ = place_trade(alice.id, "AAPL", Type.BUY, 1, key="once")
    assert claim(alice) == [buying]
    send_report(bought, Status.FILLED, Decimal("7.0001"), executionId="agrees")
    send_report(bought, Status.FILLED, Decimal("8.0001"), executionId="contradicts")
    send_report(rejected, Status.REJECTED, reason="agrees")
    send_report(buying, Status.FILLED, Decimal(7), quantity=3)
    send_report(buying, "NONSENSE", Decimal(7))
    claim(alice)
    receive_shares(bob, "AAPL", 2, Decimal("100"))
    selling, _ = place_trade(bob.id, "AAPL", Type.SELL, 1)
    claim(bob)
    outcomes = set(Report.objects.values_list("outcome", flat=True))
    assert outcomes == {"settled", "agrees", "contradicts", "breaks_terms", "malformed"}
    return {
        "alice": alice.id,
        "bob": bob.id,
        "bought": bought.id,
        "sold": sold.id,
        "rejected": rejected.id,
        "too_many": too_many.id,
        "buying": buying.id,
        "waiting": waiting.id,
        "selling": selling.id,
        "report": Report.objects.get(trade_id=bought.id, outcome="settled").id,
        "agreement": Report.objects.get(trade_id=bought.id, outcome="agrees").id,
    }


@pytest.fixture
def ids(alice: Customer, bob: Customer) -> dict[str, Any]:
    return books(alice, bob)


def test_correct_books_pass_the_audit(ids: dict[str, Any]) -> None:
    findings = examine(BOOKS + TRADES)
    assert (findings.ok, findings.violations) == (True, [])


def test_empty_books_pass_the_audit(db: None) -> None:
    assert examine(BOOKS + TRADES).ok


def trade(id_name: str, change: str) -> str:
    return f"UPDATE trades_trade SET {change} WHERE id = %({id_name})s"


def posting(id_name: str, change: str, ticker: str = "") -> str:
    return f"UPDATE accounts_posting SET {change} WHERE cause = %({id_name})s AND ticker = '{ticker}'"


def status_change(name: str, to_status: str, change: str) -> str:
    return f"UPDATE trades_statuschange SET {change} WHERE trade_id = %({name})s AND to_status = '{to_status}'"


def report(name: str, change: str) -> str:
    return f"UPDATE trades_report SET {change} WHERE id = %({name})s"


def insert_status_change(name: str, from_status: str, to_status: str) -> str:
    return (
        "INSERT INTO trades_statuschange (trade_id, from_status, to_status, reason, by, customer_id) "
        f"SELECT id, '{from_status}', '{to_status}', '', '', customer_id FROM trades_trade WHERE id = %({name})s"
    )


POSTED_AGAIN = """
    INSERT INTO accounts_posting (customer_id, ticker, kind, cause, change, total, price)
    SELECT customer_id, ticker, kind, {cause}, change, total, price FROM accounts_posting WHERE cause = %(bought)s
"""
CLAIMED_BEFORE = """
    UPDATE trades_statuschange SET id = -1 WHERE trade_id = %(rejected)s AND to_status = 'IN PROGRESS'
"""
IN_FLIGHT = "status = 'IN PROGRESS', claimed_at = now(), expires_at = now(), max_price = 1"
LONGER_SECONDS = CLOCKS_APART_SECONDS_MAX + 1

TAKEN_OUT = """
    WITH last AS (DELETE FROM trades_trade WHERE id = %(waiting)s RETURNING id, customer_id),
    changes AS (DELETE FROM trades_statuschange WHERE trade_id = %(waiting)s)
    UPDATE trades_tradecounter SET last = trades_tradecounter.last - 1 WHERE customer_id = %(alice)s
"""
FILLED_TWICE = """
    UPDATE trades_report SET body = regexp_replace(body, '"executionId":"[^"]*"', '"executionId":"x"')
    WHERE outcome = 'settled' AND body LIKE '%%FILLED%%' AND customer_id = %(alice)s
"""
STAFF_REPORT = """
    INSERT INTO trades_staffreport (trade_id, status, reason, entered_by_id, approved, decided_by_id, decided_at)
    SELECT %(buying)s, 'REJECTED', '', entered, approved, decided, now()
    FROM (VALUES ({})) AS word (entered, approved, decided)
"""

FEE_POSTED = """
    INSERT INTO accounts_posting (customer_id, ticker, kind, cause, change, total, settles_on)
    SELECT customer_id, '', 'fee', %(bought)s, -1, total, settles_on FROM accounts_posting
    WHERE cause = %(bought)s AND ticker = ''
"""
FEE_RATE = """
    INSERT INTO trades_feerate (kind, first_day, per_usd, per_share, source, by, at)
    VALUES ('sec', '2026-01-01', 0.5, 0, '', '', now() - interval '1 day')
"""
BOUGHT = {"customerId": "alice", "tradeId": "bought"}
PLANTED: list[tuple[str, str, dict[str, str]]] = [
    ("one_trade_in_flight", trade("waiting", IN_FLIGHT), {"customerId": "alice"}),
    ("line_has_no_gap", trade("waiting", "sequence = sequence + 1"), {"customerId": "alice", "tradeId": "waiting"}),
    ("line_has_no_gap", trade("waiting", "sequence = sequence - 1"), {"customerId": "alice"}),
    ("line_has_no_gap", "DELETE FROM trades_trade WHERE id = %(too_many)s", {"tradeId": "buying"}),
    ("line_has_no_gap", "DELETE FROM trades_trade WHERE sequence = 1", {"tradeId": "selling"}),
    ("counter_is_the_last_number", "UPDATE trades_tradecounter SET last = last + 1", {"customerId": "alice"}),
    ("counter_is_the_last_number", "DELETE FROM trades_tradecounter", {"customerId": "bob"}),
    ("counter_is_the_last_number", "DELETE FROM trades_trade WHERE customer_id = %(bob)s", {"customerId": "bob"}),
    (
        "held_cash_is_the_buy_in_flight",
        "UPDATE accounts_balance SET held = held - 1 WHERE customer_id = %(alice)s",
        {"customerId": "alice", "tradeId": "buying"},
    ),
    ("held_cash_is_the_buy_in_flight", "UPDATE accounts_balance SET held = 1", {"customerId": "bob"}),
    ("held_cash_is_the_buy_in_flight", "DELETE FROM accounts_balance", {"customerId": "alice", "tradeId": "buying"}),
    ("held_cash_is_the_buy_in_flight", trade("buying", "max_price = 1"), {"tradeId": "buying"}),
    (
        "held_shares_are_the_sell_in_flight",
        "UPDATE accounts_position SET held = 2 WHERE customer_id = %(bob)s",
        {"customerId": "bob", "tradeId": "selling", "stockTicker": "=AAPL"},
    ),
    (
        "held_shares_are_the_sell_in_flight",
        "UPDATE accounts_position SET held = 1 WHERE ticker = 'MSFT'",
        {"customerId": "alice", "stockTicker": "=MSFT"},
    ),
    ("held_shares_are_the_sell_in_flight", "DELETE FROM accounts_position", {"tradeId": "selling"}),
    ("held_shares_are_the_sell_in_flight", trade("selling", "ticker = 'MSFT'"), {"tradeId": "selling"}),
    ("fill_has_its_postings", "DELETE FROM accounts_posting WHERE cause = %(bought)s", BOUGHT),
    (
        "fill_has_its_postings",
        "DELETE FROM accounts_posting WHERE cause = %(sold)s AND ticker = ''",
        {"tradeId": "sold"},
    ),
    ("fill_has_its_postings", "DELETE FROM accounts_posting WHERE ticker = 'MSFT'", BOUGHT),
    ("fill_has_its_postings", POSTED_AGAIN.format(cause="cause"), BOUGHT),
    ("fill_has_its_postings", posting("bought", "change = change - 0.0001"), BOUGHT),
    ("fill_has_its_postings", posting("bought", "change = -change"), BOUGHT),
    ("fill_has_its_postings", posting("bought", "change = 4", "MSFT"), BOUGHT),
    ("fill_has_its_postings", posting("bought", "change = -change", "MSFT"), BOUGHT),
    ("fill_has_its_postings", posting("bought", "ticker = 'AAPL'", "MSFT"), BOUGHT),
    ("fill_has_its_postings", posting("bought", "price = price + 1"), BOUGHT),
    ("fill_has_its_postings", posting("bought", "price = NULL", "MSFT"), BOUGHT),
    ("fill_has_its_postings", posting("bought", "kind = 'sell'"), BOUGHT),
    ("fill_has_its_postings", posting("bought", "customer_id = %(bob)s"), BOUGHT),
    ("fill_has_its_postings", posting("sold", "change = -change"), {"tradeId": "sold"}),
    ("fill_has_its_postings", trade("bought", "price = 8, amount = 24"), BOUGHT),
    ("posting_has_its_fill", POSTED_AGAIN.format(cause="%(buying)s"), {"customerId": "alice", "tradeId": "buying"}),
    ("posting_has_its_fill", POSTED_AGAIN.format(cause="%(too_many)s"), {"tradeId": "too_many"}),
    ("posting_has_its_fill", POSTED_AGAIN.format(cause="gen_random_uuid()"), {"customerId": "alice"}),
    ("posting_has_its_fill", trade("bought", "status = 'REJECTED'"), BOUGHT),
    ("posting_has_its_fill", "DELETE FROM trades_trade WHERE id = %(bought)s", BOUGHT),
    ("posting_has_its_fill", trade("bought", "customer_id = %(bob)s"), BOUGHT),
    ("fill_adds_up", trade("bought", "amount = amount + 0.0001"), BOUGHT),
    ("fill_adds_up", trade("bought", "max_price = amount - 0.0001"), BOUGHT),
    ("fill_adds_up", trade("bought", "max_price = NULL"), BOUGHT),
    ("fill_adds_up", trade("bought", "price = NULL"), BOUGHT),
    ("fill_adds_up", trade("bought", "price = -price, amount = -amount"), BOUGHT),
    ("fill_adds_up", trade("sold", "quantity = 5"), {"tradeId": "sold"}),
    ("trade_is_as_its_status_says", trade("waiting", "claimed_at = now()"), {"tradeId": "waiting"}),
    ("trade_is_as_its_status_says", trade("waiting", "quantity = 0"), {"tradeId": "waiting"}),
    ("trade_is_as_its_status_says", trade("waiting", "status = 'LOST'"), {"tradeId": "waiting"}),
    ("trade_is_as_its_status_says", trade("waiting", "type = 'HOLD'"), {"tradeId": "waiting"}),
    ("trade_is_as_its_status_says", trade("buying", "expires_at = NULL"), {"tradeId": "buying"}),
    ("trade_is_as_its_status_says", trade("buying", "max_price = NULL"), {"tradeId": "buying"}),
    ("trade_is_as_its_status_says", trade("buying", "price = 1"), {"tradeId": "buying"}),
    ("trade_is_as_its_status_says", trade("bought", "settled_at = NULL"), BOUGHT),
    ("trade_is_as_its_status_says", trade("bought", "reason_code = 'expired'"), BOUGHT),
    ("trade_is_as_its_status_says", trade("rejected", "reason_code = ''"), {"tradeId": "rejected"}),
    ("trade_is_as_its_status_says", trade("rejected", "reason_code = 'mood'"), {"tradeId": "rejected"}),
    ("trade_is_as_its_status_says", trade("too_many", "amount = 1"), {"tradeId": "too_many"}),
    ("history_leads_to_the_status", "DELETE FROM trades_statuschange WHERE trade_id = %(bought)s", BOUGHT),
    ("history_leads_to_the_status", "DELETE FROM trades_statuschange WHERE from_status = ''", BOUGHT),
    ("history_leads_to_the_status", "DELETE FROM trades_statuschange WHERE to_status = 'IN PROGRESS'", BOUGHT),
    ("history_leads_to_the_status", insert_status_change("bought", "IN PROGRESS", "FILLED"), BOUGHT),
    ("history_leads_to_the_status", insert_status_change("bought", "FILLED", "REJECTED"), BOUGHT),
    ("history_leads_to_the_status", insert_status_change("buying", "IN PROGRESS", "FILLED"), {"tradeId": "buying"}),
    ("history_leads_to_the_status", insert_status_change("waiting", "IN PROGRESS", "PLACED"), {"tradeId": "waiting"}),
    ("history_leads_to_the_status", status_change("bought", "FILLED", "from_status = 'PLACED'"), BOUGHT),
    ("history_leads_to_the_status", status_change("bought", "FILLED", "id = -1"), BOUGHT),
    ("history_leads_to_the_status", trade("sold", "status = 'REJECTED'"), {"tradeId": "sold"}),
    ("history_leads_to_the_status", trade("rejected", "status = 'FILLED'"), {"tradeId": "rejected"}),
    ("history_has_the_trades_times", trade("bought", "settled_at = settled_at + interval '1 s'"), BOUGHT),
    ("history_has_the_trades_times", trade("bought", "claimed_at = NULL"), BOUGHT),
    ("history_has_the_trades_times", status_change("bought", "PLACED", "at = at - interval '1 s'"), BOUGHT),
    ("history_has_the_trades_times", status_change("bought", "IN PROGRESS", "at = at + interval '1 s'"), BOUGHT),
    ("times_go_forward", trade("bought", f"settled_at = claimed_at - interval '{LONGER_SECONDS} s'"), BOUGHT),
    ("times_go_forward", trade("bought", f"claimed_at = placed_at - interval '{LONGER_SECONDS} s'"), BOUGHT),
    (
        "times_go_forward",
        trade("too_many", f"settled_at = placed_at - interval '{LONGER_SECONDS} s'"),
        {"tradeId": "too_many"},
    ),
    ("sent_in_line", CLAIMED_BEFORE, {"customerId": "alice", "tradeId": "rejected"}),
    (
        "sent_in_line",
        insert_status_change("waiting", "PLACED", "IN PROGRESS"),
        {"customerId": "alice", "tradeId": "waiting"},
    ),
    ("sent_in_line", "DELETE FROM trades_statuschange WHERE trade_id = %(too_many)s", {"tradeId": "buying"}),
    ("sent_trade_is_ended_by_one_report", report("report", "outcome = 'agrees'"), BOUGHT),
    ("sent_trade_is_ended_by_one_report", report("agreement", "outcome = 'settled'"), BOUGHT),
    ("sent_trade_is_ended_by_one_report", "DELETE FROM trades_report", {"tradeId": "rejected"}),
    ("sent_trade_is_ended_by_one_report", report("report", "trade_id = %(too_many)s"), {"tradeId": "too_many"}),
    ("sent_trade_is_ended_by_one_report", report("report", "trade_id = %(buying)s"), {"tradeId": "buying"}),
    ("sent_trade_is_ended_by_one_report", "DELETE FROM trades_trade WHERE id = %(bought)s", {"tradeId": "bought"}),
    (
        "trade_is_as_reported",
        report("report", "body = replace(body, '7.0001', '7.0002')"),
        BOUGHT | {"reportId": "report"},
    ),
    ("trade_is_as_reported", report("report", "body = replace(body, '21.0003', '21.0004')"), BOUGHT),
    ("trade_is_as_reported", report("report", "body = replace(body, '21.0003', 'much')"), BOUGHT),
    ("trade_is_as_reported", report("report", "body = replace(body, 'FILLED', 'REJECTED')"), BOUGHT),
    ("trade_is_as_reported", report("report", "body = replace(body, 'MSFT', 'AAPL')"), BOUGHT),
    ("trade_is_as_reported", report("report", "body = replace(body, 'BUY', 'SELL')"), BOUGHT),
    ("trade_is_as_reported", report("report", "body = replace(body, '\"quantity\":3', '\"quantity\":4')"), BOUGHT),
    ("trade_is_as_reported", report("report", "body = 'nonsense'"), BOUGHT),
    ("trade_is_as_reported", report("report", "body = '[]'"), BOUGHT),
    ("trade_is_as_reported", report("report", "customer_id = %(bob)s"), BOUGHT),
    ("trade_is_as_reported", report("agreement", "body = replace(body, '7.0001', '8')"), {"reportId": "agreement"}),
    ("trade_is_as_reported", trade("bought", "price = 8, amount = 24"), BOUGHT),
    ("trade_is_as_reported", trade("sold", "status = 'REJECTED', price = NULL, amount = NULL"), {"tradeId": "sold"}),
    ("trade_is_as_reported", "DELETE FROM trades_trade WHERE id = %(bought)s", BOUGHT),
    ("key_is_used_once", trade("buying", "idempotency_key = 'once'"), {"customerId": "alice"}),
    (
        "line_is_in_the_order_of_time",
        trade("buying", f"placed_at = placed_at - interval '{LONGER_SECONDS} s'"),
        {"customerId": "alice", "tradeId": "buying"},
    ),
    ("counter_is_of_the_last_trade", "UPDATE trades_tradecounter SET xact = xact + 1000", {"customerId": "alice"}),
    ("counter_is_of_the_last_trade", "UPDATE trades_tradecounter SET xact = xact - 1000", {"customerId": "bob"}),
    ("counter_is_of_the_last_trade", TAKEN_OUT, {"customerId": "alice"}),
    ("hold_was_there", trade("bought", "max_price = max_price * 1000"), BOUGHT),
    ("sent_trade_has_its_terms", trade("bought", "expires_at = NULL"), BOUGHT),
    ("hold_is_within_its_collar", trade("bought", "last_price = 1, collar = 0.05"), BOUGHT),
    ("queued_trade_asked_for_it", trade("bought", "queued_at = placed_at"), BOUGHT),
    (
        "queued_trade_asked_for_it",
        trade("bought", f"when_closed = 'queue', queued_at = claimed_at + interval '{LONGER_SECONDS} s'"),
        BOUGHT,
    ),
    ("sent_trade_has_its_terms", trade("sold", "max_price = 1"), {"tradeId": "sold"}),
    ("sent_trade_has_its_terms", trade("waiting", "max_price = 1"), {"tradeId": "waiting"}),
    ("posted_when_settled", posting("bought", "created_at = created_at - interval '1 year'"), BOUGHT),
    ("posted_when_settled", posting("sold", "created_at = created_at + interval '1 hour'"), {"tradeId": "sold"}),
    ("fill_settles_after_it_was_executed", trade("bought", "settles_on = NULL"), BOUGHT),
    ("fill_settles_after_it_was_executed", trade("bought", "executed_at = NULL"), BOUGHT),
    ("fill_settles_after_it_was_executed", trade("bought", "settles_on = '2026-01-02'"), BOUGHT),
    ("fill_settles_after_it_was_executed", trade("bought", "settles_on = '2026-01-10'"), BOUGHT),
    ("fill_settles_after_it_was_executed", trade("bought", "settles_on = '2026-01-19'"), BOUGHT),
    (
        "fill_settles_after_it_was_executed",
        trade("too_many", "executed_at = '2026-01-02', settles_on = '2026-01-05'"),
        {"tradeId": "too_many"},
    ),
    ("fees_are_posted", trade("bought", """fees = '{"sec": "0.0100"}'"""), BOUGHT),
    ("fees_are_posted", trade("buying", "fees = '{}'"), {"tradeId": "buying"}),
    ("fees_are_posted", FEE_POSTED, BOUGHT),
    ("fees_follow_the_schedule", FEE_RATE, {"tradeId": "sold"}),
    ("fees_follow_the_schedule", trade("sold", """fees = '{"sec": "0.0100"}'"""), {"tradeId": "sold"}),
    ("fees_follow_the_schedule", trade("bought", """fees = '{"cat": "0.0100"}'"""), BOUGHT),
    ("posting_has_its_fill", FEE_POSTED.replace("%(bought)s", "%(waiting)s", 1), {"tradeId": "waiting"}),
    ("postings_settle_with_their_trade", posting("bought", "settles_on = '2026-01-06'"), BOUGHT),
    ("postings_settle_with_their_trade", posting("sold", "settles_on = NULL", "AAPL"), {"tradeId": "sold"}),
    (
        "status_change_is_of_its_trade",
        status_change("bought", "FILLED", "customer_id = %(bob)s"),
        {"customerId": "bob", "tradeId": "bought"},
    ),
    ("status_change_is_of_its_trade", "DELETE FROM trades_trade WHERE id = %(waiting)s", {"tradeId": "waiting"}),
    ("feed_is_in_order", status_change("bought", "FILLED", "xact = xact + 1000000"), BOUGHT),
    ("feed_is_in_order", status_change("bought", "FILLED", "xact = 1"), BOUGHT),
    ("feed_is_in_order", status_change("waiting", "PLACED", "xact = 0"), {"tradeId": "waiting"}),
    ("report_is_as_it_came", report("report", "digest = sha256('another')"), BOUGHT | {"reportId": "report"}),
    ("report_is_as_it_came", report("report", "trade_id = %(sold)s"), {"tradeId": "sold", "reportId": "report"}),
    ("report_is_of_its_trades_customer", report("agreement", "customer_id = NULL"), {"reportId": "agreement"}),
    ("report_is_of_its_trades_customer", report("agreement", "customer_id = %(bob)s"), {"reportId": "agreement"}),
    (
        "report_is_of_its_trades_customer",
        report("agreement", "outcome = 'waiting', handled_at = NULL, customer_id = NULL"),
        {"reportId": "agreement"},
    ),
    ("report_is_handled_by_a_turn", report("agreement", "outcome = 'waiting'"), {"reportId": "agreement"}),
    ("report_is_handled_by_a_turn", report("report", "handled_at = NULL"), BOUGHT),
    ("report_is_handled_by_a_turn", report("report", "handled_at = handled_at - interval '1 hour'"), BOUGHT),
    ("malformed_report_makes_no_sense", report("agreement", "outcome = 'malformed'"), {"reportId": "agreement"}),
    ("contradiction_contradicts", report("agreement", "outcome = 'contradicts'"), {"reportId": "agreement"}),
    ("execution_counts_once", FILLED_TWICE, {"customerId": "alice"}),
    ("staff_report_was_approved", report("report", "source = 'staff'"), BOUGHT | {"reportId": "report"}),
    ("staff_report_was_approved", STAFF_REPORT.format("%(alice)s, true, %(bob)s"), {"tradeId": "buying"}),
    ("staff_report_was_approved", STAFF_REPORT.format("%(alice)s, true, %(alice)s"), {"tradeId": "buying"}),
]


@pytest.mark.django_db
class TestPlanted:
    @pytest.fixture(scope="class")
    @classmethod
    def ids(cls, django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[dict[str, Any]]:
        with shared_books(books, django_db_blocker) as ids:
            yield ids

    @pytest.mark.parametrize(("rule", "plant", "names"), PLANTED)
    def test_each_broken_rule_is_found(self, rule: str, plant: str, names: dict[str, str], ids: dict[str, Any]) -> None:
        assert_found(TRADES, rule, plant, names, ids)


def test_every_rule_has_been_broken_by_a_test() -> None:
    elsewhere = {rule.name for rule in corporate_actions.RULES + firm.RULES + good_faith.RULES}
    assert {rule for rule, _, _ in PLANTED} == {rule.name for rule in TRADES} - elsewhere
    planted = test_corporate_actions.PLANTED + test_ticker_changes.PLANTED + test_trial_balance.PLANTED
    assert elsewhere <= {rule for rule, _ in planted + test_good_faith.BROKEN}


def test_no_two_rules_have_one_name() -> None:
    names = [rule.name for rule in BOOKS + TRADES]
    assert len(names) == len(set(names))
