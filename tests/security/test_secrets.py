"""Secrets never appear in logs or on error pages, and production refuses known secrets."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from accounts import funding, tokens
from accounts.models import Customer
from tests.people import open_account

PROJECT = Path(__file__).resolve().parents[2]
PRODUCTION = {
    "PRODUCTION": "true",
    "DEMO": "false",
    "TLS": "true",
    "DEBUG": "false",
    "ALLOWED_HOSTS": "broker.example.com",
    "SECRET_KEY": "k3y-" + "abcdefghij" * 6,
    "EXCHANGE_SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "NUM_PROXIES": "1",
    "TRUSTED_PROXY_COUNT": "1",
}


def start(without: str = "", **changed: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "brokerage.settings"} | PRODUCTION | changed
    environment.pop(without, None)
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", "import django; django.setup()"],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.process
def test_production_starts_with_safe_settings() -> None:
    completed = start()
    assert completed.returncode == 0, completed.stderr


@pytest.mark.process
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DEBUG", "true"),
        ("TLS", "false"),
        ("SECRET_KEY", "django-insecure-" + "x" * 50),
        ("SECRET_KEY", "short"),
        ("SECRET_KEY", "x" * 60),
        ("EXCHANGE_SECRET", ""),
        ("EXCHANGE_SECRET", "whsec_c2hvcnQ="),
        ("ALLOWED_HOSTS", "*"),
    ],
)
def test_production_refuses_to_start_with_an_unsafe_setting(name: str, value: str) -> None:
    completed = start(**{name: value})
    assert completed.returncode != 0
    assert name in completed.stderr.strip().splitlines()[-1]
    assert value == "" or len(value) < 6 or value not in completed.stderr


@pytest.mark.process
@pytest.mark.parametrize("name", ["NUM_PROXIES", "TRUSTED_PROXY_COUNT"])
def test_production_refuses_to_start_without_the_number_of_proxies(name: str) -> None:
    """With a wrong number, all clients share the balancer's address, so ten wrong passwords lock out everybody."""
    completed = start(without=name)
    assert completed.returncode != 0
    last = completed.stderr.strip().splitlines()[-1]
    assert "NUM_PROXIES and TRUSTED_PROXY_COUNT must be set" in last
    assert start(**{name: "0"}).returncode == 0  # having no proxy is safe if it is set explicitly


@pytest.mark.django_db
def test_no_secret_is_in_a_log_or_on_an_error_page(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    customer = open_account("carol@example.com", Decimal(10), password="correct-horse-staple")
    issued = tokens.issue(customer, "test")

    def fail(*_: Any) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(funding, "open_books", fail)
    client = Client(raise_request_exception=False, headers={"Authorization": f"Bearer {issued.token}"})
    responses = [
        client.post("/api/v1/deposits", {"amount": "1.00"}, content_type="application/json"),
        client.post(
            "/api/v1/tokens",
            {"email": "carol@example.com", "password": "correct-horse-staple-not", "name": "x"},
            content_type="application/json",
        ),
        client.get("/nowhere?token=" + issued.token),
        client.post(
            "/exchange/callbacks", "{}", content_type="application/json", headers={"webhook-signature": "v1,abc"}
        ),
    ]
    assert [response.status_code for response in responses] == [500, 401, 404, 401]
    streams = capsys.readouterr()
    output = "".join(response.content.decode() for response in responses) + caplog.text + streams.out + streams.err
    for secret in (issued.token, issued.secret_key, "correct-horse-staple", os.environ["SECRET_KEY"]):
        assert secret not in output
    assert "RuntimeError" not in responses[0].content.decode()


@pytest.mark.django_db
def test_a_token_cannot_be_guessed_letter_by_letter(alice: Customer, api_of: Callable[..., Client]) -> None:
    """Tokens are looked up by hash, so a guess that is partly right is simply wrong."""
    token = tokens.issue(alice, "test").token
    for guess in (token[:-1], token[:-1] + ("A" if token[-1] != "A" else "B"), token.upper(), token + " x", token * 2):
        assert tokens.find(guess) is None
    assert tokens.find(token)
