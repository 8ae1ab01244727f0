"""The WSGI application: two middleware stacks, and requests on which Django would fail before any middleware."""

import io
import json
import select
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from standardwebhooks import Webhook

from accounts import tokens
from accounts.models import Customer
from brokerage.wsgi import Door, application, people, probes, programs
from tests.conftest import StandInExchange
from tests.people import open_account
from web import headers

Response = tuple[str, dict[str, str], bytes]
PASSWORD = "correct horse battery staple"
PER_REQUEST = {"X-RateLimit-Remaining", "X-RateLimit-Reset", "X-Request-ID", "Vary"}  # pages may be compressed


def call(stack: Callable[..., Any], method: str, path: str, body: Any = None, **headers: str) -> Response:
    """Call the application like the web server does."""
    content = b"" if body is None else json.dumps(body).encode()
    environ = RequestFactory().generic(method, path, content, "application/json", headers=headers).environ
    started: list[Any] = []
    environ["SERVER_NAME"] = headers.get("host", "localhost")
    response = stack(environ, lambda status, headers_sent, *_: started.extend([status, headers_sent]))
    content_sent = b"".join(response)
    getattr(response, "close", lambda: None)()
    return started[0], {name: value for name, value in started[1] if name not in PER_REQUEST}, content_sent


@pytest.mark.django_db(transaction=True)  # a request outside Django's test client closes the connection
@pytest.mark.parametrize("charset", ["base64", "zlib", "no-such", "utf-7", ""])
@pytest.mark.parametrize(
    ("path", "status", "expected"),
    [
        ("/healthz?a=%C3%A9", "200 OK", {"ok": True}),
        ("/api/v1/none", "404 Not Found", {"status": 404, "code": "not_found"}),
    ],
)
def test_a_declared_charset_is_ignored(charset: str, path: str, status: str, expected: dict[str, Any]) -> None:
    environ = RequestFactory().get(path).environ | {"CONTENT_TYPE": f"text/plain; charset={charset}"}
    statuses: list[Any] = []
    environ["SERVER_NAME"] = "localhost"
    body = b"".join(application(environ, lambda status, *_: statuses.append(status)))
    assert statuses == [status]
    assert json.loads(body).items() >= expected.items()


def chunked(path: str, body: bytes, **headers: str) -> tuple[int, dict[str, Any]]:
    """Send a request with a chunked body, which declares no length; return the status and the JSON body."""
    environ = RequestFactory().post(path, b"", "application/json", headers=headers).environ
    environ.pop("CONTENT_LENGTH", None)
    environ |= {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input": io.BytesIO(body), "SERVER_NAME": "localhost"}
    environ["CONTENT_TYPE"] = "application/json"
    statuses: list[str] = []
    content = b"".join(application(environ, lambda status, *_: statuses.append(status)))
    return int(statuses[0][:3]), json.loads(content) if content else {}


@pytest.mark.django_db(transaction=True)
def test_a_body_in_chunks_is_read(exchange: StandInExchange, alice: Customer) -> None:
    authorization = f"Bearer {tokens.issue(alice, 'test').token}"
    order = json.dumps({"stockTicker": "AAPL", "type": "BUY", "quantity": 1}).encode()
    assert chunked("/api/v1/trades", order, authorization=authorization)[0] == 201
    assert chunked("/api/v1/trades", b"", authorization=authorization)[0] == 400
    long = order + b" " * settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    assert chunked("/api/v1/trades", long, authorization=authorization)[0] == 413
    report = json.dumps({"reports": [{"tradeId": "none"}]}).encode()
    assert chunked("/exchange/callbacks", report)[0] == 401
    now = datetime.now(UTC)
    signed = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(settings.EXCHANGE_SECRET.split()[0]).sign("msg_1", now, report.decode()),
    }
    assert chunked("/exchange/callbacks", report, **signed)[0] == 204


@pytest.mark.parametrize(
    ("path", "stack"),
    [
        ("/api/v1/trades", programs),
        ("/alpaca/v2/account", programs),
        ("/exchange/callbacks", programs),
        ("/", people),
        ("/trades", people),
        ("/admin/", people),
        ("/healthz", probes),
        ("/readyz", probes),
        ("/metrics", probes),
        ("/healthz/", people),
        ("/api/docs/", people),
        ("/api/v1", people),
    ],
)
def test_programs_and_pages_use_different_middleware_stacks(
    path: str, stack: WSGIHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(stack), "__call__", lambda self, environ, start: [str(id(self)).encode()])
    assert application({"PATH_INFO": path}, lambda *_: None) == [str(id(stack)).encode()]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
@pytest.mark.parametrize("host", ["10.1.2.3:8000", "pod-7.web.internal", "a_b", ""])
def test_probes_may_call_a_process_by_any_name_and_without_tls(path: str, host: str, settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = True
    assert call(application, "GET", path, host=host)[0] == "200 OK"
    assert call(application, "GET", "/", host=host)[0] == "400 Bad Request"


def test_the_programs_stack_has_a_subset_of_the_middleware_in_the_same_order() -> None:
    asked, part = settings.REMEMBERED_MIDDLEWARE, list(settings.PROGRAM_MIDDLEWARE)
    place = part.index("web.headers.RememberedHeaders")
    part[place : place + 1] = asked
    assert [name for name in settings.MIDDLEWARE if name in part] == part


@pytest.mark.django_db(transaction=True)
def test_both_stacks_treat_hosts_and_schemes_alike(settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["localhost", ".example.com"]
    settings.SECURE_SSL_REDIRECT, settings.SECURE_HSTS_SECONDS = True, 60
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    stacks = [Door(settings.MIDDLEWARE), Door(settings.PROGRAM_MIDDLEWARE)]
    seen = []
    for host in ("a.example.com", "evil.example", "b.example.com", "a.example.com", "evil.example", "a b", ""):
        for path in ("/api/v1/trades", "/exchange/callbacks", "/exchange/other", "/alpaca/v2/account"):
            for scheme in ({}, {"X-Forwarded-Proto": "https"}, {}):
                responses = [call(stack, "GET", path, host=host, **scheme) for stack in stacks]
                assert responses[0] == responses[1], (host, path, scheme)
                seen.append((responses[0][0][:3], "Strict-Transport-Security" in responses[0][1]))
    assert {("401", True), ("301", False), ("405", False), ("400", True)} <= set(seen)


def test_kinds_of_requests_that_are_remembered_are_bounded(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.ALLOWED_HOSTS = [".example.com"]
    monkeypatch.setattr(headers, "REMEMBERED_MAX", 2)
    asked = []
    security = headers.SecurityMiddleware.process_response

    def note(self: Any, request: Any, response: Any) -> Any:
        asked.append(request.get_host())
        return security(self, request, response)

    monkeypatch.setattr(headers.SecurityMiddleware, "process_response", note)
    middleware = headers.RememberedHeaders(lambda request: HttpResponse())
    for name in ("a", "b", "a", "c", "a"):
        middleware(RequestFactory().get("/api/v1/trades", headers={"host": f"{name}.example.com"}))
    assert asked == [f"{name}.example.com" for name in ("a", "b", "c", "a")]


@pytest.mark.django_db(transaction=True)
def test_both_stacks_give_programs_the_same_responses(exchange: StandInExchange, alice: Customer) -> None:
    """The middleware that is skipped for programs affects neither the response nor its headers."""
    carol = open_account("carol@example.com", Decimal(100), password=PASSWORD)
    authorization = f"Bearer {tokens.issue(alice, 'test').token}"
    order = {"stockTicker": "AAPL", "type": "BUY", "quantity": 1}
    signed_in: list[tuple[str, str, Any]] = [
        ("GET", "/api/v1/trades", None),
        ("GET", "/api/v1/balance", None),
        ("GET", "/api/v1/positions", None),
        ("GET", "/api/v1/postings?limit=2", None),
        ("GET", "/api/v1/tokens", None),
        ("POST", "/api/v1/trades", {**order, "quantity": 0}),
        ("POST", "/api/v1/trades", {**order, "odd": 1}),
        ("PUT", "/api/v1/trades", order),
        ("GET", "/alpaca/v2/account", None),
        ("GET", "/alpaca/v2/orders", None),
        ("DELETE", "/alpaca/v2/orders/0193a9a0-0000-7000-8000-000000000000", None),
    ]
    anonymous: list[tuple[str, str, Any]] = [
        ("GET", "/api/v1/trades", None),
        ("POST", "/api/v1/trades", order),
        ("GET", "/api/v1/no-such", None),
        ("POST", "/api/v1/tokens", {"email": carol.email, "password": "wrong", "name": "a"}),
        ("POST", "/exchange/callbacks", {"reports": []}),
        ("GET", "/exchange/callbacks", None),
        ("GET", "/alpaca/v2/account", None),
    ]
    for method, path, body in signed_in:
        responses = [call(stack, method, path, body, authorization=authorization) for stack in (people, programs)]
        assert responses[0] == responses[1]
        assert responses[0][0][:3] in {"200", "400", "404", "405"}, path
    for method, path, body in anonymous:
        responses = [call(stack, method, path, body) for stack in (people, programs)]
        assert responses[0] == responses[1]
        assert responses[0][0][:3] in {"401", "403", "404", "405"}, path
    elsewhere = [call(stack, "GET", "/api/v1/trades", host="evil.example") for stack in (people, programs)]
    assert elsewhere[0] == elsewhere[1]
    assert elsewhere[0][0] == "400 Bad Request"
    created = [
        call(stack, "POST", "/api/v1/tokens", {"email": carol.email, "password": PASSWORD, "name": "a"})
        for stack in (people, programs)
    ]
    assert [status for status, _, _ in created] == ["201 Created"] * 2
    placed = [call(stack, "POST", "/api/v1/trades", order, authorization=authorization) for stack in (people, programs)]
    assert [status for status, _, _ in placed] == ["201 Created"] * 2
    assert placed[0][1].keys() == placed[1][1].keys()


@pytest.mark.django_db(transaction=True)
def test_a_connection_that_the_server_has_closed_is_replaced(alice: Customer) -> None:
    """Django checks it once a request, although we leave out one of its two checks."""
    authorization = f"Bearer {tokens.issue(alice, 'test').token}"
    statuses = []
    for _ in range(3):
        statuses.append(call(application, "GET", "/api/v1/trades", authorization=authorization)[0])
        session = connection.connection
        with connection.copy().cursor() as other:
            other.execute("SELECT pg_terminate_backend(%s)", [session.info.backend_pid])
            other.db.close()
        assert select.select([session.fileno()], [], [], 10)[0]  # the server's goodbye has arrived
    assert statuses == ["200 OK"] * 3


@pytest.mark.django_db(transaction=True)
def test_placing_does_not_parse_all_headers(
    exchange: StandInExchange, alice: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They include the process's environment, and parsing them was a twentieth of what a placing cost."""
    headers = {"authorization": f"Bearer {tokens.issue(alice, 'test').token}", "idempotency-key": "1"}
    order = {"stockTicker": "AAPL", "type": "BUY", "quantity": 1}
    monkeypatch.setattr(HttpRequest, "headers", property(lambda _: pytest.fail("all headers were parsed")))
    assert [call(application, "POST", "/api/v1/trades", order, **headers)[0] for _ in range(2)] == [
        "201 Created",
        "200 OK",
    ]


IMPORT_AND_ASK = """
import io, json, sys
from brokerage.wsgi import application
before = set(sys.modules)
statuses = []
for method, path in (
    ("GET", "/api/v1/balance"), ("GET", "/api/v1/nothing"), ("GET", "/alpaca/v2/account"), ("POST", "/api/v1/tokens"),
    ("POST", "/exchange/callbacks"), ("GET", "/nowhere"), ("GET", "/account/login/"), ("GET", "/healthz"),
):
    environ = {
        "REQUEST_METHOD": method, "PATH_INFO": path, "SERVER_NAME": "127.0.0.1", "SERVER_PORT": "80",
        "REMOTE_ADDR": "127.0.0.1", "wsgi.input": io.BytesIO(b"{}"), "wsgi.url_scheme": "http", "CONTENT_LENGTH": "2",
        "CONTENT_TYPE": "application/json",
    }
    application(environ, lambda status, headers: statuses.append(int(status[:3])))
new = {name.partition(".")[0] for name in set(sys.modules) - before}
from django.template import engines
(loader,) = engines["django"].engine.template_loaders
print(json.dumps([statuses, sorted(new), "holidays" in sys.modules, "trades/home.html" in loader.get_template_cache]))
"""


@pytest.mark.process
def test_the_first_refusals_and_pages_import_nothing_big() -> None:
    """An import holds up every other request of its process."""
    ran = subprocess.run([sys.executable, "-c", IMPORT_AND_ASK], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    statuses, new, has_holidays, has_home = json.loads(ran.stdout.splitlines()[-1])
    assert statuses == [401, 404, 401, 400, 401, 404, 200, 200]
    assert not {"zxcvbn", "rest_framework", "allauth", "brokerage", "trades", "webhooks", "alpaca_api"} & set(new)
    assert not has_holidays, "they take 20 MB, and exchange/regular_days.txt has the days"
    assert has_home
