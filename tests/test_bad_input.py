"""Bad input to both APIs gets a 4xx in the API's format, naming the field at fault."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import Client
from pytest_django.plugin import DjangoDbBlocker

from accounts.models import Customer
from tests import people
from tests.conftest import StandInExchange
from tests.lasting import lasting
from trades.models import Trade

ORDER = {"symbol": "AAPL", "qty": 1, "side": "buy", "type": "market", "time_in_force": "day"}
TRADE = {"stockTicker": "AAPL", "type": "BUY", "quantity": 1}
DEEP = "[" * 100_000

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def alice(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Customer]:
    with lasting(django_db_blocker):
        yield people.alice()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"qty": "1e400"}, "qty"), ({"qty": 10**60}, "qty"), ({"qty": "NaN"}, "qty"), ({"qty": True}, "qty"),
        ({"qty": -1}, "qty"), ({"qty": 0}, "qty"), ({"qty": [1]}, "qty"), ({"qty": {}}, "qty"), ({"qty": None}, "qty"),
        ({"qty": "1_0"}, "qty"), ({"symbol": "A\x00B"}, "symbol"), ({"symbol": 7}, "symbol"),
        ({"symbol": ""}, "symbol"),
        ({"symbol": "A" * 5_000}, "symbol"), ({"side": "hold"}, "side"), ({"side": ["buy"]}, "side"),
        ({"type": "limit", "limit_price": 3}, "limit_price"), ({"time_in_force": "opg"}, "time_in_force"),
        ({"client_order_id": "x" * 129}, "client_order_id"), ({"client_order_id": "\x00"}, "client_order_id"),
        ({"client_order_id": 7}, "client_order_id"), ({"surprise": 1}, "surprise"),
        ({"extended_hours": True}, "extended_hours"),
        ({"notional": 100}, "notional"), ({"take_profit": {"limit_price": "1"}}, "take_profit"),
        ({"legs": [{}]}, "legs"),
    ],
)  # fmt: skip
def test_a_bad_order_is_refused_by_its_field(
    alice: Customer, api_of: Callable[..., Client], change: dict, field: str
) -> None:
    before = Trade.objects.count()
    response = api_of(alice).post("/alpaca/v2/orders", json.dumps(ORDER | change), content_type="application/json")
    assert response.status_code == 422, response.content
    assert response.json()["code"] == 40010001
    assert field in response.json()["message"]
    assert Trade.objects.count() == before


@pytest.mark.parametrize("address", ["/alpaca/v2/orders", "/api/v1/trades"])
@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (DEEP, "application/json", 400),
        ("{", "application/json", 400),
        ("", "application/json", None),
        ("\xff", "application/json", None),
        (b"\xff\xfe", "application/json", 400),
        ('{"qty": NaN}', "application/json", 400),
        ("[]", "application/json", None),
        ("null", "application/json", None),
        ("7", "application/json", None),
        ("a=1", "application/x-www-form-urlencoded", 415),
        ("x", "text/plain", 415),
        (" " * 10_000_000, "application/json", 413),
        ('{"a": "' + "x" * 10_000_000 + '"}', "application/json", 413),
        ('{"' + '":1,"'.join(map(str, range(5_000))) + '":1}', "application/json", None),
    ],
)
def test_a_bad_body_gets_a_4xx_in_the_apis_format(
    alice: Customer, api_of: Callable[..., Client], address: str, body: Any, kind: str, status: int | None
) -> None:
    response = api_of(alice).post(address, body, content_type=kind)
    assert 400 <= response.status_code < 500
    assert status in (None, response.status_code)
    problem = response.json()
    if address.startswith("/api/"):
        assert response["Content-Type"] == "application/problem+json"
        assert problem["status"] == response.status_code
        assert problem["code"]
    else:
        assert str(problem["code"]).startswith(str(response.status_code)) or problem["code"] == 40010001
        assert problem["message"]
    assert len(response.content) < 10_000


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("orders?limit=0", 422), ("orders?limit=99999999999999999999", 422), ("orders?status=x", 422),
        ("orders?after=x", 422), ("orders?after=0002-01-01T00:00:00Z", 200), ("orders?until=9999-12-31T23:59:59Z", 200),
        ("orders?symbols=%00", 422), ("orders?symbols=,,", 200), ("orders?surprise=1", 422), ("orders/x", 422),
        ("orders/%00", 422), ("orders:by_client_order_id", 422), ("orders:by_client_order_id?client_order_id=%00", 422),
        ("orders?before_order_id=00000000-0000-0000-0000-000000000000", 404), ("positions/%00", 404),
        ("positions/%F0%9F%98%80", 404), ("assets/%00", 404), ("assets?exchange=%00", 422), ("calendar?start=x", 422),
        ("calendar?start=2029-12-31&end=1970-01-01", 200), ("calendar?start=9999-12-31", 200),
        ("calendar?end=0001-01-01", 200), ("account/activities?page_token=x", 422), ("account/activities/%00", 200),
        ("account/activities?date=x", 422), ("account/activities?activity_types=%00", 422),
        ("account/portfolio/history?period=1X", 422), ("account/portfolio/history?timeframe=1Min&period=9A", 422),
        ("account/portfolio/history?start=9999-12-31T00:00:00Z", 422), ("watchlists/x", 404), ("watchlists/%00", 404),
        ("account/portfolio/history?start=0001-01-01T00:00:00Z", 200), ("nothing", 404), ("orders/", 404),
        ("account/portfolio/history?date_end=0001-01-01", 422),
        ("account/portfolio/history?end=0001-01-02T00:00:00Z", 422),
    ],
)  # fmt: skip
def test_a_bad_address_or_query_gets_the_documented_status(
    alice: Customer, api_of: Callable[..., Client], exchange: StandInExchange, address: str, status: int
) -> None:
    response = api_of(alice).get(f"/alpaca/v2/{address}")
    assert response.status_code == status, response.content[:500]
    if status != 200:
        assert set(response.json()) >= {"code", "message"}


def test_requests_without_valid_credentials_are_refused(db: None) -> None:
    for headers in (
        {},
        {"APCA-API-KEY-ID": "x"},
        {"APCA-API-KEY-ID": "x", "APCA-API-SECRET-KEY": "y"},
        {"APCA-API-KEY-ID": "x\u00e9", "APCA-API-SECRET-KEY": "y"},
        {"Authorization": "Bearer x"},
        {"Authorization": "Basic eDp5"},
    ):
        response = Client(headers=headers).get("/alpaca/v2/account")
        assert (response.status_code, response.json()["code"]) == (401, 40110000)


def test_scopes_apply_to_the_alpaca_api(alice: Customer, api_of: Callable[..., Client]) -> None:
    reader = api_of(alice, ["read"])
    assert reader.get("/alpaca/v2/account").status_code == 200
    refused = reader.post("/alpaca/v2/orders", json.dumps(ORDER), content_type="application/json")
    assert (refused.status_code, refused.json()["code"]) == (403, 40310000)
    assert reader.delete("/alpaca/v2/account").status_code == 405


def test_a_bad_trade_is_refused_by_its_field(alice: Customer, api_of: Callable[..., Client]) -> None:
    for change, field in (({"quantity": 1e300}, "quantity"), ({"stockTicker": "\x00"}, "stockTicker"), ({"x": 1}, "x")):
        response = api_of(alice).post("/api/v1/trades", json.dumps(TRADE | change), content_type="application/json")
        assert response.status_code == 400
        assert field in [error["field"] for error in response.json()["errors"]]
