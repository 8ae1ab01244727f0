"""Demo accounts, whose passwords are public, are created in an embedded database, and elsewhere only if DEMO is set."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from local.harness import Brokerage
from tests.brokerage.test_settings import PRODUCTION
from tests.local.databases import database

pytestmark = pytest.mark.process
ONLY_WEB = {"lanes": 0, "sweep": 0, "stream": 0}


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, str]]:
    """Return the settings for a PostgreSQL and a Valkey that are already running."""
    with database("demo") as url:
        yield {
            "DATABASE_URL": url,
            "BROKER_URL": urlunsplit(urlsplit(os.environ["BROKER_URL"])._replace(path="/14")),
            "SECRET_KEY": os.environ["SECRET_KEY"],
            "EXCHANGE_SECRET": os.environ["EXCHANGE_SECRET"],
        }


def emails(url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        return [email for (email,) in connection.execute("SELECT email FROM accounts_customer ORDER BY email")]


def test_an_external_database_gets_demo_accounts_only_if_demo_is_set(servers: dict[str, str], tmp_path: Path) -> None:
    with Brokerage(tmp_path / "without", ONLY_WEB, env=servers) as brokerage:
        assert "password" not in brokerage.output()
        refused = brokerage.manage("load_demo")
        assert (refused.returncode, refused.stdout) == (1, "")
        assert "public passwords" in refused.stderr
        assert emails(servers["DATABASE_URL"]) == []
        assert "brokerage.E001" not in brokerage.manage("check", "--deploy").stderr
    with Brokerage(tmp_path / "with", ONLY_WEB, env=servers | {"DEMO": "1"}) as brokerage:
        assert "demo@example.com" in brokerage.output()
        assert emails(servers["DATABASE_URL"]) == ["demo@example.com", "staff@example.com"]
        check = brokerage.manage("check", "--deploy")
        assert check.returncode != 0
        assert check.stderr.count("brokerage.E001") == 2
        again = brokerage.manage("set_up", "--demo", "--json")
        assert json.loads(again.stdout)["demo"]["customer"]["email"] == "demo@example.com", again.stderr
        assert emails(servers["DATABASE_URL"]) == ["demo@example.com", "staff@example.com"]


def test_an_embedded_database_gets_no_demo_accounts_in_production(tmp_path: Path) -> None:
    production = PRODUCTION | {"PRODUCTION": "1", "ALLOWED_HOSTS": "127.0.0.1", "DEMO": "1"}
    with Brokerage(tmp_path / "var", ONLY_WEB, env=production) as brokerage:
        assert "password" not in brokerage.output()
        assert emails(brokerage.environment["DATABASE_URL"]) == []
        assert brokerage.manage("load_demo").returncode == 1
