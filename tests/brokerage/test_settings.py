"""Settings are safe in production, and errors in them are clear."""

import os
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from accounts.models import Customer
from brokerage import environment as environment_settings
from brokerage.checks import demo_accounts

ROOT = Path(__file__).resolve().parents[2]
PRODUCTION = {
    "TLS": "1",
    "DEBUG": "0",
    "ALLOWED_HOSTS": "broker.example.com",
    "SECRET_KEY": "k3y-" + "abcdefghij" * 6,
    "NUM_PROXIES": "1",
    "TRUSTED_PROXY_COUNT": "1",
}


def manage(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "ignore", "manage.py", *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.process
def test_production_passes_djangos_own_checks() -> None:
    process = manage("check", "--deploy", "--fail-level", "WARNING", **PRODUCTION)
    assert process.returncode == 0, process.stderr


def test_models_and_migrations_agree(db: None) -> None:
    call_command("makemigrations", check=True, dry_run=True)


@pytest.mark.process
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LANES", "0"),
        ("LANES", "1001"),
        ("LANES", "-1"),
        ("BROKER_URL", "http://127.0.0.1"),
        ("BROKER_URL", "nonsense"),
        ("BROKER_URL", "redis://127.0.0.1:1/0;redis://127.0.0.1:2/0"),
        ("BROKER_URL", "redis://127.0.0.1:1/0;amqp://127.0.0.1:2//"),
        ("BROKER_URL", ";"),
        ("CACHE_URL", "amqp://127.0.0.1//"),
        ("DEBUG", "banana"),
        ("TLS", "maybe"),
        ("PRODUCTION", "ja"),
        ("READS_A_MINUTE", "many"),
        ("STATEMENT_TIMEOUT_MS", "5s"),
        ("EXCHANGE_CALLS_KEPT_DAYS", "0"),
        ("LOG_FORMAT", "xml"),
        ("LOG_LEVEL", "loud"),
        ("DATABASE_URL", "mysql://127.0.0.1/x"),
        ("DATABASE_URL", "banana"),
        ("MIGRATE_DATABASE_URL", "banana"),
        ("EXCHANGE_URL", "127.0.0.1:8100"),
    ],
)
def test_an_invalid_setting_is_named(name: str, value: str) -> None:
    process = manage("check", **{name: value})
    assert process.returncode != 0
    (line,) = process.stderr.strip().splitlines()
    assert line.startswith(f"error: {name} takes ")
    assert "not" in line


@pytest.mark.process
@pytest.mark.parametrize("name", ["SECRET_KEY", "EXCHANGE_SECRET"])
def test_a_missing_setting_is_reported_in_one_line(name: str) -> None:
    environment = {key: value for key, value in os.environ.items() if key != name}
    command = [sys.executable, "-W", "ignore", "manage.py", "check"]
    process = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert process.returncode != 0
    (line,) = process.stderr.strip().splitlines()
    assert line.startswith(f"error: {name} is not set: ")


@pytest.mark.parametrize(("value", "is_on"), [("1", True), ("TRUE", True), (" on ", True), ("0", False), ("no", False)])
def test_switches_take_the_usual_words(value: str, is_on: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWITCH", value)
    assert environment_settings.switch("SWITCH", default=not is_on) is is_on
    monkeypatch.setenv("SWITCH", "")
    assert environment_settings.switch("SWITCH", default=not is_on) is not is_on


@pytest.mark.process
@pytest.mark.parametrize("command", ["lanes", "sweep"])
def test_lanes_and_sweep_need_a_callback_url(command: str) -> None:
    process = manage(command, CALLBACK_URL="")
    assert process.returncode != 0
    assert "CALLBACK_URL is not set" in process.stderr.strip().splitlines()[-1]


# -- demo accounts


def test_demo_accounts_are_created_only_if_enabled(db: None, settings: Any) -> None:
    settings.DEMO = False
    with pytest.raises(CommandError, match="public passwords"):
        call_command("load_demo")
    settings.DEMO, settings.PRODUCTION = True, True
    with pytest.raises(CommandError, match="public passwords"):
        call_command("load_demo")
    assert not Customer.objects.exists()


@pytest.mark.process
def test_production_refuses_to_start_with_demo_data() -> None:
    process = manage("check", **PRODUCTION, PRODUCTION="1", DEMO="1")
    assert "DEMO must be off" in process.stderr
    assert process.returncode != 0


def test_a_deployment_with_demo_accounts_fails_its_checks(db: None, settings: Any, tmp_path: Path) -> None:
    settings.DEMO, settings.PRODUCTION, settings.DATA_DIR = True, False, tmp_path
    assert demo_accounts() == []
    call_command("load_demo", stdout=StringIO())
    assert [message.id for message in demo_accounts()] == ["brokerage.E001"] * 2


@pytest.mark.process
def test_several_brokers_and_a_cache_of_its_own() -> None:
    urls = {"BROKER_URL": "amqp://127.0.0.1:1//;amqp://127.0.0.1:2//", "CACHE_URL": "redis://127.0.0.1:3/0"}
    code = "from django.conf import settings as s; print(len(s.BROKER_URLS), s.BROKER_IS_RABBITMQ, s.CACHES['default'])"
    process = manage("shell", "--no-imports", "-c", code, **urls)
    assert process.stdout.startswith("2 True {'BACKEND': 'web.cache.BestEffortCache'"), process.stderr
    without_cache = manage("shell", "--no-imports", "-c", code, BROKER_URL=urls["BROKER_URL"])
    assert "locmem" in without_cache.stdout, without_cache.stderr
