"""The real web server withstands silent, slow and oversized clients."""

import json
import socket
import time
from contextlib import ExitStack

import pytest
import urllib3

from local.harness import Brokerage
from local.ports import LOOPBACK

pytestmark = pytest.mark.story
CLIENTS = 40
OK, BUSY = b"HTTP/1.1 200", b"HTTP/1.1 503"
HEAD_SECONDS_MAX = 30.0  # the web server's own limit, which it applies only with --http 1
ANSWER_SECONDS_MAX = 3.0
PLACING = b"POST /api/v1/trades HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"


def send(brokerage: Brokerage, data: bytes) -> socket.socket:
    client = socket.create_connection((LOOPBACK, brokerage.port), 5)
    client.sendall(data)
    return client


def others_are_served(brokerage: Brokerage) -> bool:
    started_at = time.monotonic()
    response = urllib3.request("GET", f"{brokerage.url}/healthz", timeout=ANSWER_SECONDS_MAX, retries=False)
    return response.status == 200 and time.monotonic() - started_at < ANSWER_SECONDS_MAX


def test_clients_with_incomplete_headers_are_disconnected_and_block_no_others(brokerage: Brokerage) -> None:
    partial_requests = [b"", b"GET / HT", PLACING + b"X-Drip: "]
    with ExitStack() as clients:
        slow = [clients.enter_context(send(brokerage, data)) for data in partial_requests * CLIENTS]
        started_at = time.monotonic()
        assert others_are_served(brokerage)
        for client in slow:
            client.settimeout(max(1.0, started_at + HEAD_SECONDS_MAX + 5 - time.monotonic()))
            assert client.recv(1000) == b""


def test_a_body_with_too_large_a_content_length_is_refused_unread(brokerage: Brokerage) -> None:
    token = brokerage.manage("create_customer", "large@example.com", "--password", "correct horse battery", "--json")
    bearer = token.stdout.partition('"token": "')[2].partition('"')[0].encode()
    head = PLACING + b"Authorization: Bearer " + bearer + b"\r\nContent-Length: 10000000000\r\n\r\n{"
    with send(brokerage, head) as client:
        client.settimeout(ANSWER_SECONDS_MAX)
        assert client.recv(1000).startswith(b"HTTP/1.1 413 ")
    assert others_are_served(brokerage)


def test_clients_that_do_not_read_their_response_occupy_no_thread(brokerage: Brokerage) -> None:
    customer = json.loads(
        brokerage.manage(
            "create_customer", "reader@example.com", "--password", "copper lantern drifts 41", "--json"
        ).stdout
    )
    cookie = brokerage.manage("shell", "-c", FILL_LEDGER.format(customer=customer["customerId"])).stdout.split()[-1]
    request = f"GET /cash/ledger.csv HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: sessionid={cookie}\r\n\r\n".encode()
    with ExitStack() as clients:

        def request_export() -> socket.socket:
            client = clients.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect((LOOPBACK, brokerage.port))
            client.settimeout(60)
            client.sendall(request)
            return client

        readers = [request_export() for _ in range(CLIENTS)]
        assert all(others_are_served(brokerage) for _ in range(5))
        heads = [client.recv(12) for client in readers]
        assert set(heads) == {OK, BUSY}, "one customer gets one export at a time"
        unread = heads.count(OK)
        while unread < CLIENTS:
            unread += request_export().recv(12) == OK
        assert all(others_are_served(brokerage) for _ in range(5))


# Makes 20,000 postings through the ledger, and prints the key of a new session of the customer.
FILL_LEDGER = """
from uuid import uuid4
from django.contrib.auth import SESSION_KEY, BACKEND_SESSION_KEY, HASH_SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore
from django.db import transaction
from accounts.ledger import open_books
from accounts.models import Customer
from decimal import Decimal
with transaction.atomic():
    books = open_books([{customer}])
    for _ in range(20_000):
        books[{customer}].move_cash("deposit", uuid4(), Decimal(1))
    books.write()
customer = Customer.objects.get(id={customer})
session = SessionStore()
session[SESSION_KEY] = str(customer.id)
session[BACKEND_SESSION_KEY] = "allauth.account.auth_backends.AuthenticationBackend"
session[HASH_SESSION_KEY] = customer.get_session_auth_hash()
session.create()
print(session.session_key)
"""
