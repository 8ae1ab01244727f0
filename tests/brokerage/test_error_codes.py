"""The type of a problem is the address of its explanation."""

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from brokerage.errors import TABLE
from tests.responses import post
from trades.models import Reason

# Codes that are in no table: those of the framework, of single views, of streams and of the balancer.
UNLISTED_CODES = {
    "not_found", "authentication_failed", "throttled", "method_not_allowed", "not_authenticated", "permission_denied",
    "too_large", "unsupported_media_type", "parse_error", "invalid", "bad_request", "wrong_credentials",
    "second_factor_required", "address_not_allowed", "email_not_verified", "too_many_streams", "exchange_unavailable",
    "error", "unsigned", "malformed",
}  # fmt: skip
BALANCER = (Path(settings.BASE_DIR) / "deploy/haproxy.cfg").read_text()
CODES = sorted({row.code for row in TABLE.values()} | UNLISTED_CODES | set(re.findall(r'"code": "(\w+)"', BALANCER)))


@pytest.fixture
def page(db: None) -> str:
    return errors_page()


@cache
def errors_page() -> str:
    response = Client().get("/api/errors/")
    assert response.status_code == 200
    return response.content.decode()


@pytest.mark.parametrize("code", CODES)
def test_each_code_has_a_row(page: str, code: str) -> None:
    assert page.count(f'id="{code}"') == 1


@pytest.mark.parametrize("code", Reason.values)
def test_each_reason_code_has_a_row(page: str, code: str) -> None:
    assert page.count(f'id="reason-{code}"') == 1


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v1/nothing"),
        ("GET", "/api/v1/balance"),
        ("DELETE", "/api/v1/tokens"),
        ("GET", "/exchange/callbacks"),
    ],
)
def test_the_type_of_a_problem_links_to_its_row(page: str, method: str, path: str) -> None:
    problem: dict[str, Any] = Client().generic(method, path).json()
    address, _, anchor = problem["type"].partition("#")
    assert (address, anchor) == ("/api/errors/", problem["code"])
    assert f'id="{anchor}"' in page


def test_field_errors_do_not_change_the_type(db: None) -> None:
    problem = post(Client(), "/api/v1/tokens", {}).json()
    assert problem["type"] == "/api/errors/#invalid"
    assert problem["errors"]


def test_the_balancer_uses_the_same_types() -> None:
    problems = re.findall(r'\{"type": "([^"]+)".*?"code": "(\w+)"', BALANCER)
    assert len(problems) >= 7
    assert all(type == f"/api/errors/#{code}" for type, code in problems)
