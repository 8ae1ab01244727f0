"""The whole brokerage with real processes, for stories that are told over real HTTP."""

import json
import shutil
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from brokerage.local.harness import Brokerage

PASSWORD = "correct horse battery"


def call(url: str, body: Any = None, token: str | None = None, method: str | None = None, **headers: str) -> Any:
    """One call of the REST API; the decoded answer. Raises HTTPError."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", **headers}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    with urllib.request.urlopen(urllib.request.Request(url, data, headers, method=method), timeout=20) as answer:  # noqa: S310
        content = answer.read()
    return json.loads(content) if content else None


@pytest.fixture(scope="package")
def brokerage() -> Iterator[Brokerage]:
    """One that is up."""
    folder = Path(tempfile.mkdtemp(prefix="brokerage-test-"))
    try:
        with Brokerage(folder / "var") as up:
            yield up
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def account(brokerage: Brokerage) -> Callable[..., dict[str, Any]]:
    """Opens an account with cash; its token and its pair of keys."""

    def account(email: str, cash: int = 100_000) -> dict[str, Any]:
        made = brokerage.manage("create_customer", email, "--password", PASSWORD, "--deposit", str(cash), "--json")
        assert made.returncode == 0, made.stderr
        body = {"email": email, "password": PASSWORD, "name": "story"}
        return json.loads(made.stdout) | call(f"{brokerage.url}/api/v1/tokens", body)

    return account
