"""Response headers: the request id, no caching, and Retry-After."""

from collections.abc import Callable, Iterator

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from pytest_django.plugin import DjangoDbBlocker

from accounts.models import Customer
from tests import people
from tests.lasting import lasting
from tests.security.routes import routes
from web.headers import DefaultHeaders

UNKNOWN_ID = "00000000-0000-4000-8000-000000000000"
VALUES = {"ticker": "AAPL", "symbol": "AAPL", "delivery_id": "1", "year": "2026", "month": "1", "activity_type": "FILL"}
OFFICE = ["/admin/", "/admin/login/", "/admin/accounts/customer/", "/admin/accounts/customer/export/", "/admin/nothing"]


def addresses() -> list[str]:
    """Return every address of pages and APIs that accepts GET."""
    readable = [route for route in routes() if "GET" in route.methods]
    return sorted({route.to(**dict.fromkeys(route.parameters, UNKNOWN_ID) | VALUES) for route in readable})


@pytest.fixture(scope="module")
def alice(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Customer]:
    with lasting(django_db_blocker):
        yield people.alice()


@pytest.mark.django_db
@pytest.mark.usefixtures("static_files", "exchange")
@pytest.mark.parametrize("path", [*addresses(), *OFFICE, "/nowhere"])
def test_no_response_is_cached_and_each_has_a_request_id(
    alice: Customer, api_of: Callable[..., Client], path: str
) -> None:
    signed_in = api_of(alice)
    signed_in.force_login(alice, "allauth.account.auth_backends.AuthenticationBackend")
    for client in (signed_in, Client()):
        response = client.get(path)
        assert "no-store" in response.headers["Cache-Control"]
        assert len(response.headers["X-Request-ID"]) >= 8


def response_with(status: int, **headers: str) -> HttpResponse:
    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse(status=status, headers=headers)

    return DefaultHeaders(view)(RequestFactory().get("/"))


@pytest.mark.parametrize("status", [429, 503])
def test_retryable_errors_have_retry_after(status: int) -> None:
    assert response_with(status).headers["Retry-After"] == "2"
    assert response_with(status, **{"Retry-After": "60"}).headers["Retry-After"] == "60"


def test_other_responses_have_no_retry_after() -> None:
    assert "Retry-After" not in response_with(200).headers
    assert response_with(200, **{"Cache-Control": "max-age=60"}).headers["Cache-Control"] == "max-age=60"
