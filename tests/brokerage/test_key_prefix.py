"""KEY_PREFIX begins every key that the brokerage has in Valkey, so that two brokerages can share a server."""

from typing import Any

import pytest
import redis
from django.core.cache import cache

from accounts import tokens
from accounts.models import Customer
from trades import backlog, lane
from web import rate_limits


@pytest.fixture
def valkey(settings: Any) -> redis.Redis:
    return redis.Redis.from_url(settings.BROKER_URL, decode_responses=True)


def test_every_key_begins_with_the_prefix(
    bob: Customer, settings: Any, valkey: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane, "BELL_SECONDS_MAX", 60)  # the bell's key must not expire before we look
    grant = tokens.find(tokens.issue(bob, "x").token)
    assert grant is not None
    settings.READS_A_MINUTE = settings.STRANGERS_A_MINUTE = 1  # so low that Valkey counts even the first request
    rate_limits.count(grant, True)
    rate_limits.count_stranger("192.0.2.1")
    cache.set("price", 1, 60)
    assert lane.ring([bob.id])  # rings a bell, and publishes a message with Celery
    keys = valkey.keys("*")
    assert isinstance(keys, list)
    # Celery's "_kombu.binding" is missing here: it is written once per connection, perhaps by an earlier test.
    expected = {
        "bell:lane-",
        "rang:lane-",
        "lane-",
        "limit:stranger:",
        f"limit:{bob.id}:",
        ":1:price",
    }
    for name in expected:
        assert any(key.startswith(settings.KEY_PREFIX + name) for key in keys), name
    assert [key for key in keys if not key.startswith(settings.KEY_PREFIX)] == []
    assert backlog.depths()[lane.lane_of(bob.id)] == (1, 1)
