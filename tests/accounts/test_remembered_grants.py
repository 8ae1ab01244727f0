"""Placing a trade with a remembered grant: a token ends, expires, and changes as promptly as if it were looked up."""

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.core.cache import cache
from django.db import OperationalError, connection, transaction
from django.test import Client
from django.utils import timezone

from accounts import tokens
from accounts.customers import create_customer
from accounts.models import Customer, Limits, Token
from accounts.request_limits import set_limits
from accounts.revocation import POLICY, Cause, revoke_access
from accounts.tokens import Grant
from tests.accounts.test_revocation import PASSWORD, TRIGGERS, browser_of
from tests.responses import assert_problem
from trades import place
from trades.controls import Kind, set_control
from trades.models import Trade
from web import rate_limits

pytestmark = [pytest.mark.usefixtures("static_files"), pytest.mark.django_db(transaction=True)]

TRADES = "/api/v1/trades"
BUY = {"stockTicker": "KO", "type": "BUY", "quantity": 1}


@pytest.fixture(autouse=True)
def _fresh_limits() -> None:
    cache.clear()
    rate_limits.reset()


class Robot:
    """A customer's program, whose token this process remembers."""

    def __init__(self, customer: Customer, **terms: Any) -> None:
        self.customer = customer
        self.issued = tokens.issue(customer, "robot", **terms)
        self.client = Client(headers={"Authorization": f"Bearer {self.issued.token}"})
        for _ in range(2):
            assert self.place().status_code == 201
            assert tokens.recall(self.issued.token) is not None

    def place(self, body: Any = BUY, **headers: str) -> Any:
        return self.client.post(TRADES, body, content_type="application/json", headers=headers)

    @property
    def trades(self) -> int:
        return Trade.objects.filter(customer=self.customer).count()

    @property
    def row(self) -> Any:
        return Token.objects.filter(pk=self.issued.grant.pk)


@pytest.fixture
def carol(db: None) -> Customer:
    return create_customer("carol@example.com", PASSWORD)


@pytest.fixture
def robot(carol: Customer) -> Robot:
    return Robot(carol)


def statements_of(do: Callable[[], Any]) -> list[str]:
    """Return the statements about tokens that `do` executes."""
    statements: list[str] = []

    def record(execute: Any, sql: str, *more: Any) -> Any:
        statements.extend([sql] if "accounts_token" in sql else [])
        return execute(sql, *more)

    with connection.execute_wrapper(record):
        do()
    return statements


def test_placing_again_looks_up_no_token(robot: Robot) -> None:
    (statement,) = statements_of(robot.place)
    assert "INSERT INTO trades_trade" in statement
    assert robot.trades == 3


@pytest.mark.parametrize("cause", list(Cause))
def test_each_cause_that_ends_tokens_ends_a_remembered_one(robot: Robot, cause: Cause) -> None:
    TRIGGERS[cause](robot.customer, browser_of(robot.customer))
    response = robot.place()
    if POLICY[cause].programs:
        assert_problem(response, 401, "authentication_failed")
        assert robot.trades == 2
    else:
        assert response.status_code in {201, 409}, "a freeze of trading refuses the order, not the token"


def end(robot: Robot) -> None:
    assert tokens.end(robot.customer.id, robot.issued.grant.id)


def expire(robot: Robot) -> None:
    robot.row.update(expires_at=timezone.now())


def deactivate_only(robot: Robot) -> None:
    Customer.objects.filter(pk=robot.customer.pk).update(is_active=False)


@pytest.mark.parametrize("change", [end, expire, deactivate_only])
@pytest.mark.parametrize(
    "request_of",
    [
        lambda robot: robot.place(),
        lambda robot: robot.place({"stockTicker": "KO"}),
        lambda robot: robot.place(BUY | {"stockTicker": "NOSUCH"}),
        lambda robot: robot.place(**{"Idempotency-Key": "first"}),
        lambda robot: robot.place(BUY | {"quantity": 2}, **{"Idempotency-Key": "first"}),
        lambda robot: robot.place(**{"Idempotency-Key": ""}),
        lambda robot: robot.client.post(TRADES, "{", content_type="application/json"),
        lambda robot: robot.client.post(TRADES, "{}", content_type="text/plain"),
        lambda robot: robot.client.delete(TRADES),
        lambda robot: robot.client.get(TRADES),
    ],
    ids=["valid", "invalid", "unlisted", "replay", "key reused", "bad key", "no JSON", "no type", "method", "read"],
)
def test_no_answer_at_all_is_given_to_a_token_that_has_ended(robot: Robot, change: Any, request_of: Any) -> None:
    robot.place(**{"Idempotency-Key": "first"})
    before = robot.trades
    change(robot)
    response = request_of(robot)
    assert_problem(response, 401, "authentication_failed")
    assert response["WWW-Authenticate"] == 'Bearer realm="api"'
    assert robot.trades == before


def test_a_token_that_has_ended_counts_as_a_stranger(robot: Robot, settings: Any) -> None:
    settings.STRANGERS_A_MINUTE = 0
    end(robot)
    assert_problem(robot.place(), 429, "throttled")


def test_a_token_expires_at_its_time(carol: Customer) -> None:
    robot = Robot(carol, expires_at=timezone.now() + timedelta(seconds=1.5))
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(greatest(0, extract(epoch FROM expires_at - now()))) FROM accounts_token")
    assert_problem(robot.place(), 401, "authentication_failed")
    assert robot.trades == 2


def test_scopes_and_addresses_are_those_of_now(robot: Robot) -> None:
    robot.row.update(scopes=["read"])
    assert_problem(robot.place(), 403, "permission_denied")
    robot.row.update(scopes=["read", "trade"], allowed_addresses=["203.0.113.0/24"])
    assert_problem(robot.place(), 403, "address_not_allowed")
    robot.row.update(allowed_addresses=["127.0.0.0/8"])
    assert robot.place().status_code == 201
    assert robot.place().status_code == 201
    assert robot.trades == 4


def test_a_token_is_refused_at_another_address_than_before(carol: Customer) -> None:
    robot = Robot(carol, allowed_addresses=["127.0.0.1/32"])
    response = robot.client.post(TRADES, BUY, content_type="application/json", REMOTE_ADDR="203.0.113.7")
    assert_problem(response, 403, "address_not_allowed")
    assert robot.place().status_code == 201


def test_a_change_between_a_look_up_and_the_recording_of_the_use_is_not_missed(
    robot: Robot, monkeypatch: pytest.MonkeyPatch
) -> None:
    note_use = tokens.note_use

    def change_and_note(*arguments: Any) -> None:
        robot.row.update(scopes=["read"])
        note_use(*arguments)

    robot.row.update(last_used_at=None)
    tokens.forget(robot.issued.token)
    with monkeypatch.context() as patch:
        patch.setattr(tokens, "note_use", change_and_note)
        assert robot.place().status_code == 201  # the change came later than the look-up
    assert_problem(robot.place(), 403, "permission_denied")
    assert robot.trades == 3


def test_a_customers_own_limit_is_found_with_the_next_trade(robot: Robot) -> None:
    assert robot.place()["X-RateLimit-Limit"] != "7"
    for limit in (7, 8):
        set_limits(robot.customer.id, None, limit)
        assert robot.place().status_code == 201
        assert robot.place()["X-RateLimit-Limit"] == str(limit)
    Limits.objects.all().delete()
    robot.place()
    assert robot.place()["X-RateLimit-Limit"] not in {"7", "8"}


def test_a_changed_token_is_looked_up_and_the_trade_is_placed_once(robot: Robot) -> None:
    robot.row.update(scopes=["trade"])
    assert len(statements_of(robot.place)) > 1
    assert robot.trades == 3
    assert tokens.recall(robot.issued.token) is not None
    assert len(statements_of(robot.place)) == 1


def test_a_noted_use_makes_no_look_up_necessary(robot: Robot) -> None:
    robot.row.update(last_used_at=timezone.now(), last_used_address="203.0.113.7")
    assert len(statements_of(robot.place)) == 1


def test_a_secret_that_was_replaced_places_nothing(robot: Robot) -> None:
    robot.row.update(token_hash="0" * 64)
    assert_problem(robot.place(), 401, "authentication_failed")
    assert robot.trades == 2


def test_a_revocation_that_commits_during_the_request_refuses_the_trade(
    robot: Robot, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_order = place.check_order

    def check_and_revoke(*arguments: Any) -> Any:
        placing = check_order(*arguments)
        end(robot)
        return placing

    monkeypatch.setattr(place, "check_order", check_and_revoke)
    assert_problem(robot.place(), 401, "authentication_failed")
    assert robot.trades == 2


def test_a_revocation_that_is_not_committed_neither_ends_nor_delays_anything(robot: Robot) -> None:
    is_revoked, may_end = threading.Event(), threading.Event()

    def revoke(*, commits: bool) -> None:
        try:
            with transaction.atomic():
                revoke_access(robot.customer, Cause.TOKENS_ENDED)
                is_revoked.set()
                assert may_end.wait(20)
                transaction.set_rollback(not commits)
        finally:
            connection.close()

    for commits, status in ((False, 201), (True, 401)):
        is_revoked.clear()
        may_end.clear()
        thread = threading.Thread(target=partial(revoke, commits=commits))
        thread.start()
        assert is_revoked.wait(20)
        assert robot.place().status_code == 201
        may_end.set()
        thread.join(20)
        assert robot.place().status_code == status
    assert robot.trades == 2 + 3


def test_a_token_that_has_ended_affects_no_other_order_of_the_batch(robot: Robot, bob: Customer) -> None:
    other = Robot(bob)
    end(robot)
    answers: list[int] = []
    barrier = threading.Barrier(8)

    def run(one: Robot) -> None:
        try:
            barrier.wait(20)
            answers.extend(one.place().status_code for _ in range(5))
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(one,)) for one in [robot, other] * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(answers) == [201] * 20 + [401] * 20
    assert (robot.trades, other.trades) == (2, 22)


def test_trades_placed_while_tokens_are_revoked_stop_with_the_revocation(robot: Robot) -> None:
    """Once a revocation has been answered, no request that begins afterwards places a trade."""
    answers: list[tuple[bool, int]] = []
    is_over = threading.Event()

    def keep_placing() -> None:
        try:
            for _ in range(200):
                began_after = is_over.is_set()
                answers.append((began_after, robot.place().status_code))
                if began_after:
                    return
        finally:
            connection.close()

    threads = [threading.Thread(target=keep_placing) for _ in range(6)]
    for thread in threads:
        thread.start()
    while sum(status == 201 for _, status in answers) < 20:
        pass
    end(robot)
    is_over.set()
    for thread in threads:
        thread.join(30)
    assert {status for began_after, status in answers if began_after} == {401}
    assert robot.trades == 2 + sum(status == 201 for _, status in answers)


def test_with_a_limit_of_orders_the_token_is_looked_up(robot: Robot, bob: Customer) -> None:
    set_control(Kind.ORDERS_A_MINUTE_MAX, True, reason="test", by=bob, customer=robot.customer, value=3)  # type: ignore[arg-type]
    assert robot.place().status_code == 201
    assert_problem(robot.place(), 429)
    end(robot)
    assert_problem(robot.place(), 401, "authentication_failed")


def test_an_error_of_the_database_is_answered_as_before(robot: Robot, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Any) -> Any:
        raise OperationalError("gone")

    monkeypatch.setattr(place, "insert_batched", fail)
    assert_problem(robot.place(), 503, "unavailable")


def test_a_process_forgets_when_it_remembers_too_much(carol: Customer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "REMEMBERED_MAX", 1)
    first, second = Robot(carol), Robot(carol)
    assert tokens.recall(first.issued.token) is None
    assert tokens.recall(second.issued.token) is not None


def test_a_grant_is_remembered_only_until_its_use_must_be_recorded_again(robot: Robot) -> None:
    def find_used(seconds_ago: int) -> Grant:
        robot.row.update(last_used_at=timezone.now() - timedelta(seconds=seconds_ago))
        grant = tokens.find(robot.issued.token)
        assert grant is not None
        tokens.forget(robot.issued.token)
        tokens.remember(robot.issued.token, grant)
        return grant

    assert 0 < find_used(tokens.LAST_USED_SECONDS - 1).noted_seconds <= 1
    assert tokens.recall(robot.issued.token) is not None
    time.sleep(1.1)
    assert tokens.recall(robot.issued.token) is None
    assert not find_used(tokens.LAST_USED_SECONDS + 1).use_is_noted
    assert tokens.recall(robot.issued.token) is None
    assert len(statements_of(robot.place)) == 3, "look-up, recording of the use, trade"
    assert len(statements_of(robot.place)) == 1
    assert timezone.now() - robot.row.get().last_used_at < timedelta(seconds=5)
