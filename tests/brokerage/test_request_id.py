"""A request's id, the balancer's or ours, is in its log lines and its response."""

import pytest
import structlog
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory

from brokerage.request_id import PLAIN, RequestId


@pytest.mark.parametrize("given", ["", "short", "a b c d e f g h i", "x" * 65, "id\nforged"])
def test_an_invalid_request_id_is_replaced(given: str, db: None) -> None:
    request_id = Client(headers={"X-Request-ID": given} if given else {}).get("/healthz").headers["X-Request-ID"]
    assert request_id != given
    assert PLAIN.fullmatch(request_id)


def test_log_lines_and_the_response_have_the_request_id() -> None:
    bound: dict[str, object] = {}

    def view(request: HttpRequest) -> HttpResponse:
        bound.update(structlog.contextvars.get_contextvars())
        return HttpResponse()

    given = "0f6d0c1e-7d0a-4d0e-9f64-9d5a0c5a1f11"
    request = RequestFactory(headers={"X-Request-ID": given}).get("/")
    assert RequestId(view)(request).headers["X-Request-ID"] == given
    assert bound["request"] == given
    assert "request" not in structlog.contextvars.get_contextvars()
