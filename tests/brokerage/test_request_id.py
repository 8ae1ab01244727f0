"""A request's id, the balancer's or ours, is in its log lines and its response."""

import json
import subprocess
import sys

import pytest
import structlog
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory

from brokerage.request_id import PLAIN, RequestId


@pytest.mark.parametrize("sent_id", ["", "short", "a b c d e f g h i", "x" * 65, "id\nforged"])
def test_an_invalid_request_id_is_replaced(sent_id: str, db: None) -> None:
    request_id = Client(headers={"X-Request-ID": sent_id} if sent_id else {}).get("/healthz").headers["X-Request-ID"]
    assert request_id != sent_id
    assert PLAIN.fullmatch(request_id)


def test_log_lines_and_the_response_have_the_request_id() -> None:
    bound: dict[str, object] = {}

    def view(request: HttpRequest) -> HttpResponse:
        bound.update(structlog.contextvars.get_contextvars())
        return HttpResponse()

    sent_id = "0f6d0c1e-7d0a-4d0e-9f64-9d5a0c5a1f11"
    request = RequestFactory(headers={"X-Request-ID": sent_id}).get("/")
    assert RequestId(view)(request).headers["X-Request-ID"] == sent_id
    assert bound["request"] == sent_id
    assert "request" not in structlog.contextvars.get_contextvars()


FIRST_REQUESTS_AT_ONCE = """
import contextvars, json, threading, time, django
django.setup()
from django.http import HttpResponse
from django.test import RequestFactory
from brokerage.request_id import RequestId

ContextVar = contextvars.ContextVar

def make_slowly(*arguments, **options):
    time.sleep(0.3)  # long enough for every thread to find that there is none yet
    return ContextVar(*arguments, **options)

contextvars.ContextVar = make_slowly
answer, statuses = RequestId(lambda request: time.sleep(0.3) or HttpResponse()), []
ask = lambda: statuses.append(answer(RequestFactory().get("/")).status_code)
threads = [threading.Thread(target=ask) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(json.dumps(statuses))
"""


@pytest.mark.process
def test_the_first_requests_of_a_process_may_come_at_once() -> None:
    ran = subprocess.run([sys.executable, "-c", FIRST_REQUESTS_AT_ONCE], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout.splitlines()[-1]) == [200] * 4, ran.stderr
