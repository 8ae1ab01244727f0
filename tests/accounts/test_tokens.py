"""Tokens: random, hashed, and limited in scope and lifetime."""

import time
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from accounts import tokens
from accounts.customers import create_customer
from accounts.models import Customer, Token
from tests.races.concurrency import Open, Running, outcomes
from tests.responses import assert_problem
from webhooks import subscriptions
from webhooks.models import Webhook


def test_every_token_is_unique(bob: Customer) -> None:
    issued = [tokens.issue(bob, "same name") for _ in range(20)]
    for secret in ("token", "key_id", "secret_key"):
        assert len({getattr(token, secret) for token in issued}) == 20


@pytest.mark.django_db(transaction=True)
def test_simultaneous_requests_create_no_more_tokens_than_a_customer_may_have(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tokens, "TOKENS_MAX", 3)
    carol = create_customer("carol@example.com", "copper lantern drifts 41")
    attempts = outcomes(*[partial(tokens.issue, carol, "robot")] * 8)
    refusals = [attempt.error for attempt in attempts if attempt.error]
    assert [type(error) for error in refusals] == [tokens.TooManyTokens] * 5
    assert Token.objects.count() == 3
    body = {"email": carol.email, "password": "copper lantern drifts 41", "name": "one more"}
    assert_problem(Client().post("/api/v1/tokens", body, "application/json"), 409, "too_many_tokens")


def test_expired_tokens_leave_room_for_new_ones(bob: Customer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "TOKENS_MAX", 2)
    now = timezone.now()
    long_ago, lately = tokens.issue(bob, "robot").grant, tokens.issue(bob, "robot").grant
    subscriptions.create(bob.id, "https://93.184.216.34/events", token_id=long_ago.id)
    for grant, days in ((long_ago, 31), (lately, 29)):
        Token.objects.filter(pk=grant.pk).update(expires_at=now - timedelta(days=days))
    valid = [tokens.issue(bob, "robot").grant, tokens.issue(bob, "robot", expires_at=now + timedelta(days=1)).grant]
    assert set(Token.objects.all()) == {lately, *valid}
    assert not Webhook.objects.filter(status="active").exists()
    with pytest.raises(tokens.TooManyTokens):
        tokens.issue(bob, "robot")


def test_a_token_has_a_recognizable_prefix_and_enough_randomness(bob: Customer) -> None:
    issued = tokens.issue(bob, "test")
    assert issued.token.startswith("brk_")
    assert len(issued.token) == 4 + 43  # 256 bits
    assert len(issued.secret_key) == 43


def test_only_hashes_are_stored(bob: Customer) -> None:
    issued = tokens.issue(bob, "test")
    (row,) = Token.objects.values()
    assert not {issued.token, issued.secret_key} & set(map(str, row.values()))
    assert len(row["token_hash"]) == len(row["secret_hash"]) == 64


def test_a_token_names_its_customer(alice: Customer, bob: Customer) -> None:
    bobs, alices = tokens.issue(bob, "test"), tokens.issue(alice, "test")
    grant = tokens.find(bobs.token)
    assert grant is not None
    assert grant.customer == bob
    grant = tokens.find_pair(alices.key_id, alices.secret_key)
    assert grant is not None
    assert grant.id == alices.grant.id


def test_a_key_needs_its_own_secret(alice: Customer, bob: Customer) -> None:
    bobs, alices = tokens.issue(bob, "test"), tokens.issue(alice, "test")
    assert tokens.find_pair(bobs.key_id, alices.secret_key) is None
    assert tokens.find_pair(bobs.key_id, bobs.token) is None
    assert tokens.find_pair("BK0", bobs.secret_key) is None


@pytest.mark.parametrize("token", ["", "x", "brk_", "\x00", "é", "x" * 100_000])
def test_other_strings_identify_nobody(bob: Customer, token: str) -> None:
    tokens.issue(bob, "test")
    assert tokens.find(token) is None
    assert tokens.find_pair("BK0", token) is None


@pytest.mark.django_db(transaction=True)
def test_requests_that_arrive_together_share_a_look_up_and_each_gets_its_own_grant() -> None:
    people = [create_customer(f"{name}@example.com", "copper lantern drifts 41") for name in ("ada", "eve", "zoe")]
    issued = [tokens.issue(customer, "robot") for customer in people for _ in range(2)]
    statements = []

    def find(token: str) -> Any:
        def note(execute: Any, sql: str, *more: Any) -> Any:
            statements.append(sql)
            return execute(sql, *more)

        with connection.execute_wrapper(note):
            return tokens.find(token)

    def lock() -> None:
        with connection.cursor() as cursor:
            cursor.execute("LOCK accounts_token IN ACCESS EXCLUSIVE MODE")

    locked = Open(lock)
    running = [Running(partial(find, token)) for token in [one.token for one in issued] + ["unknown"] * 2]
    time.sleep(0.5)  # the first look-up waits for the lock, and the others for the first
    locked.commit()
    found = [look_up.result() for look_up in running]
    assert [grant and (grant.id, grant.customer_id) for grant in found] == [
        *((one.grant.id, one.grant.customer_id) for one in issued),
        None,
        None,
    ]
    assert len(statements) < len(found) / 2


def test_an_expired_token_is_not_found(bob: Customer) -> None:
    now = timezone.now()
    expired, valid = (tokens.issue(bob, "test", expires_at=now + timedelta(hours=hours)) for hours in (-1, 1))
    assert tokens.find(expired.token) is None
    assert tokens.find_pair(expired.key_id, expired.secret_key) is None
    assert tokens.find(valid.token) is not None
    assert tokens.find_pair(valid.key_id, valid.secret_key) is not None


def test_tokens_of_deactivated_customers_do_not_work(bob: Customer) -> None:
    issued = tokens.issue(bob, "test")
    Customer.objects.filter(id=bob.id).update(is_active=False)
    assert tokens.find(issued.token) is None
    assert tokens.find_pair(issued.key_id, issued.secret_key) is None


def test_a_token_has_all_scopes_by_default(bob: Customer) -> None:
    assert tokens.issue(bob, "test").grant.scopes == ["read", "trade", "funds", "webhooks"]
    assert tokens.issue(bob, "test", []).grant.scopes == []


def test_last_use_is_recorded_to_five_minutes(bob: Customer, django_assert_num_queries: Any) -> None:
    issued = tokens.issue(bob, "test")

    def use(writes: int) -> datetime:
        grant = tokens.find(issued.token)
        assert grant is not None
        with django_assert_num_queries(writes):
            tokens.note_use(grant, "203.0.113.7")
        last_used_at = Token.objects.get().last_used_at
        assert last_used_at is not None
        return last_used_at

    first = use(writes=1)
    assert Token.objects.get().last_used_address == "203.0.113.7"
    assert timezone.now() - first < timedelta(minutes=1)
    assert use(writes=0) == first
    Token.objects.update(last_used_at=first - timedelta(minutes=6))
    assert use(writes=1) >= first


@pytest.mark.django_db(transaction=True)
def test_uses_are_noted_together_and_wait_for_no_lock(django_assert_num_queries: Any) -> None:
    carol = create_customer("carol@example.com", "copper lantern drifts 41")
    free, locked, ended = (tokens.issue(carol, name).grant for name in ("free", "locked", "ended"))
    tokens.end(carol.id, ended.id)
    other = Open(lambda: Token.objects.select_for_update().get(pk=locked.pk))
    with django_assert_num_queries(1):
        tokens.write_uses({locked.id: "203.0.113.7", free.id: None, ended.id: "203.0.113.7"})
    other.commit()
    noted = dict(Token.objects.values_list("name", "last_used_at"))
    assert noted["free"] is not None
    assert noted == {"free": noted["free"], "locked": None}
