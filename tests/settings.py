"""Settings for tests: the brokerage's own, on servers that belong to the tests alone.

Each pytest-xdist worker has its own PostgreSQL, Valkey number, key prefix and data folder. A database of its own would
not be enough: an open transaction in any database of a server delays the event feed in all of them.

Tests empty all of these, so they refuse servers that nobody has declared disposable.
"""

import os
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from local.with_services import start_postgresql

if os.environ.get("DISPOSABLE_SERVICES") != "1":
    raise pytest.UsageError(
        "Tests empty the database and the Valkey they run on. Use `make quick` or `make test`, which start their own; "
        "or set DISPOSABLE_SERVICES=1 if nobody else uses those at DATABASE_URL and BROKER_URL."
    )

WORKER = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
_services = Path(os.environ.setdefault("SERVICES_DIR", os.environ["DATA_DIR"]))
os.environ.update(
    DATA_DIR=str(_services / WORKER),
    BROKER_URL=urlsplit(os.environ["BROKER_URL"])._replace(path=f"/{int(WORKER.removeprefix('gw')) + 1}").geturl(),
    KEY_PREFIX=f"{WORKER}:",
    # Processes started by tests run with the brokerage's own settings.
    DJANGO_SETTINGS_MODULE="brokerage.settings",
)
os.environ.pop("CACHE_URL", None)  # the cache is in the Valkey of BROKER_URL
os.environ.pop("MIGRATE_DATABASE_URL", None)  # tests own the tables that they empty
POSTGRESQL_DIR = _services  # the server's folder, with the administrator's password
if WORKER != "gw0" and (_services / "postgres").exists():  # otherwise the server is not ours, and all workers share it
    POSTGRESQL_DIR = _services / WORKER
    os.environ["DATABASE_URL"] = start_postgresql(POSTGRESQL_DIR)

from brokerage.settings import *  # noqa: E402, F403
from brokerage.settings import DATABASES  # noqa: E402
from brokerage.settings import PASSWORD_HASHERS as REAL_PASSWORD_HASHERS  # noqa: E402

# One worker collects static files for all.
STATIC_ROOT = _services / "static"

# Every test client makes the middleware anew, and WhiteNoise would list all static files each time.
WHITENOISE_AUTOREFRESH = True

# Argon2 is slow on purpose; tests open hundreds of accounts.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher", *REAL_PASSWORD_HASHERS]

# Each test is one transaction, and tests can take long on a busy machine.
DATABASES["default"]["OPTIONS"]["options"] += (
    " -c transaction_timeout=120000 -c idle_in_transaction_session_timeout=60000"
)
