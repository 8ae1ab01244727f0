"""Settings: safe in production, and clear about what is wrong."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import call_command

ROOT = Path(__file__).resolve().parents[2]
PRODUCTION = {"TLS": "1", "DEBUG": "0", "ALLOWED_HOSTS": "broker.example.com", "SECRET_KEY": "k3y-" + "abcdefghij" * 6}


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
    done = manage("check", "--deploy", "--fail-level", "WARNING", **PRODUCTION)
    assert done.returncode == 0, done.stderr


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
    ],
)
def test_a_setting_that_makes_no_sense_is_named(name: str, value: str) -> None:
    done = manage("check", **{name: value})
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert f"{name} takes" in last
    assert "not" in last


@pytest.mark.process
def test_several_brokers_and_a_cache_of_its_own() -> None:
    urls = {"BROKER_URL": "amqp://127.0.0.1:1//;amqp://127.0.0.1:2//", "CACHE_URL": "redis://127.0.0.1:3/0"}
    code = "from django.conf import settings as s; print(len(s.BROKER_URLS), s.BROKER_IS_RABBITMQ, s.CACHES['default'])"
    done = manage("shell", "--no-imports", "-c", code, **urls)
    assert done.stdout.startswith("2 True {'BACKEND': 'web.cache.BestEffortCache'"), done.stderr
    alone = manage("shell", "--no-imports", "-c", code, BROKER_URL=urls["BROKER_URL"])
    assert "locmem" in alone.stdout, alone.stderr
