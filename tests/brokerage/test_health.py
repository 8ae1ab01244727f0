"""Health, readiness and metrics endpoints."""

import json
import socket
import time
from typing import Any

import pytest
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client

from accounts.models import Customer
from brokerage import health
from tests.people import claim
from trades.place import place_trade


def ready() -> tuple[int, dict[str, Any]]:
    response = Client().get("/readyz")
    return response.status_code, json.loads(response.content)


def test_a_process_that_responds_is_healthy(database_down: None, broker_down: None) -> None:
    response = Client().get("/healthz")
    assert (response.status_code, json.loads(response.content)) == (200, {"ok": True})


def test_with_database_and_broker_it_is_ready(db: None) -> None:
    assert ready() == (200, {"ok": True, "database": True, "migrations": True, "broker": True})


def test_without_the_broker_it_is_not_ready(db: None, broker_down: None) -> None:
    assert ready() == (503, {"ok": False, "database": True, "migrations": True, "broker": False})


def test_a_process_that_is_not_ready_sends_retry_after(db: None, broker_down: None) -> None:
    assert Client().get("/readyz").headers["Retry-After"] == "2"


def test_a_frozen_broker_does_not_delay_readiness(db: None, settings: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as frozen:
        settings.BROKER_URL = f"redis://127.0.0.1:{frozen.getsockname()[1]}/0"
        started_at = time.monotonic()
        assert ready() == (503, {"ok": False, "database": True, "migrations": True, "broker": False})
    assert time.monotonic() - started_at < 5


def test_without_the_database_it_is_not_ready(database_down: None) -> None:
    assert ready() == (503, {"ok": False, "database": False, "migrations": False, "broker": True})


def test_a_read_only_session_is_replaced_by_one_that_can_write(read_only_session: None) -> None:
    assert ready() == (200, {"ok": True, "database": True, "migrations": True, "broker": True})


def test_a_database_that_can_only_be_read_is_not_ready(read_only_database: None) -> None:
    assert ready() == (503, {"ok": False, "database": False, "migrations": False, "broker": True})


def test_a_missing_migration_is_not_ready(transactional_db: None) -> None:
    health.finds_every_migration.cache_clear()
    ((app, newest),) = MigrationLoader(connection).graph.leaf_nodes("exchange")
    MigrationRecorder(connection).record_unapplied(app, newest)
    try:
        assert ready() == (503, {"ok": False, "database": False, "migrations": False, "broker": True})
    finally:
        MigrationRecorder(connection).record_applied(app, newest)
    assert ready() == (200, {"ok": True, "database": True, "migrations": True, "broker": True})


def test_a_broker_that_takes_no_messages_is_not_ready(db: None, full_broker: None) -> None:
    assert ready() == (503, {"ok": False, "database": True, "migrations": True, "broker": False})


def test_metrics_count_open_trades(alice: Customer, bob: Customer) -> None:
    place_trade(alice.id, "AAPL", "SELL", 1)
    claim(alice)
    place_trade(bob.id, "AAPL", "BUY", 1)
    response = Client().get("/metrics")
    lines = response.content.decode().splitlines()
    assert response["Content-Type"].startswith("text/plain")
    assert 'brokerage_open_trades{status="PLACED"} 1.0' in lines
    assert 'brokerage_open_trades{status="IN PROGRESS"} 1.0' in lines
    assert "brokerage_waiting_reports 0.0" in lines


def test_metrics_are_zero_without_trades(db: None) -> None:
    lines = Client().get("/metrics").content.decode().splitlines()
    assert 'brokerage_open_trade_age_seconds_max{status="PLACED"} 0.0' in lines


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_probes_and_metrics_need_no_token(db: None, path: str) -> None:
    assert Client().get(path).status_code == 200
