"""While a part is away, every door answers in time: 503 with `Retry-After`, or as usual if it needs no such part."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.http import HttpResponse
from django.test import Client

from accounts import tokens
from accounts.models import Customer
from brokerage.asgi import Application
from brokerage.database import hosts
from exchange import market
from office.roles import Role, appoint
from tests.conftest import StandInExchange
from tests.faults import silence
from tests.feed.conftest import EventClient
from tests.lasting import forget
from tests.office.conftest import signed_in

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]
# 2 s, and as much again for a busy machine, which may also compute a page for seconds. A refusal
# took up to 7 s when each wait only had a limit of its own.
REFUSAL_SECONDS_MAX, SECONDS_MAX = 4.0, 10.0
TRADE = {"stockTicker": "KO", "type": "BUY", "quantity": 1}


class Doors:
    """Everybody who makes a request, signed in before the fault."""

    def __init__(self, customer: Customer) -> None:
        issued = tokens.issue(customer, "test")
        customer.set_password("a long password")
        customer.save()
        self.token = issued.token
        self.api = self._client(headers={"Authorization": f"Bearer {issued.token}"})
        keys = {"APCA-API-KEY-ID": issued.key_id, "APCA-API-SECRET-KEY": issued.secret_key}
        self.alpaca = self._client(headers=keys)
        self.page = self._client()
        self.page.force_login(customer)
        self.stranger = self._client()
        self.staff = signed_in(appoint("risk@staff.example.com", Role.RISK))
        self.staff.raise_request_exception = False
        self.placed = ""
        self.watchlist = json.loads(
            self.alpaca.post("/alpaca/v2/watchlists", {"name": "mine", "symbols": ["KO"]}, "application/json").content
        )["id"]
        self._application = Application()
        self._email = customer.email

    @staticmethod
    def _client(**more: Any) -> Client:
        return Client(raise_request_exception=False, **more)

    def place(self) -> None:
        """Place a trade, which the next call may change or cancel."""
        self.placed = self.api.post("/api/v1/trades", TRADE, "application/json").json()["tradeId"]

    def connect(self) -> None:
        """Open connections to the database, if it can be reached."""
        self.close()
        self._application = Application()
        with suppress(OperationalError):
            connection.ensure_connection()
            self.stream()

    def close(self) -> None:
        self._application.close()

    def stream(self) -> HttpResponse:
        """Return the beginning of the answer to a request for the event stream."""

        async def run() -> HttpResponse:
            client = EventClient(self._application, self.token)
            status = await client.status()
            headers = {name.decode(): value.decode() for name, value in client.sent[0]["headers"]}
            await client.leave()
            return HttpResponse(status=status, headers=headers)

        return asyncio.run(run())

    def call(self, door: str) -> Any:
        as_json = "application/json"
        form = {"login": self._email, "password": "a long password"}
        new = {"email": "new@example.com", "password1": "correct horse battery", "name": "New"}
        halt = {"ticker": "MSFT", "reason": "A test."}
        return {
            "GET a list": lambda: self.api.get("/api/v1/trades"),
            "HEAD a list": lambda: self.api.head("/api/v1/trades"),
            "GET one": lambda: self.api.get(f"/api/v1/trades/{self.placed}"),
            "GET a quote": lambda: self.api.get("/api/v1/quotes/KO"),
            "POST": lambda: self.api.post("/api/v1/trades", TRADE, as_json),
            "POST money": lambda: self.api.post("/api/v1/deposits", {"amount": "1.00"}, as_json),
            "cancel": lambda: self.api.post(f"/api/v1/trades/{self.placed}/cancel"),
            "POST a token": lambda: self.api.post(
                "/api/v1/tokens", {"email": form["login"], "password": form["password"], "name": "t"}, as_json
            ),
            "Alpaca GET": lambda: self.alpaca.get("/alpaca/v2/orders"),
            "Alpaca PUT": lambda: self.alpaca.put(f"/alpaca/v2/watchlists/{self.watchlist}", {"name": "m"}, as_json),
            "Alpaca PATCH": lambda: self.alpaca.patch(f"/alpaca/v2/orders/{self.placed}", {"qty": "2"}, as_json),
            "Alpaca DELETE": lambda: self.alpaca.delete(f"/alpaca/v2/orders/{self.placed}"),
            "page": lambda: self.page.get("/"),
            "page of a stock": lambda: self.page.get("/stocks/KO"),
            "download": lambda: self.page.get("/gains.csv"),
            "sign in": lambda: self.stranger.post("/account/login/", form),
            "sign up": lambda: self.stranger.post("/account/signup/", new),
            "reset the password": lambda: self.stranger.post("/account/password/reset/", {"email": form["login"]}),
            "staff list": lambda: self.staff.get("/admin/trades/trade/"),
            "staff action": lambda: self.staff.post("/admin/do/halt-stock/", halt),
            "/readyz": lambda: self.stranger.get("/readyz"),
            "/healthz": lambda: self.stranger.get("/healthz"),
            "stream": self.stream,
        }[door]()


DOORS = (
    "GET a list", "HEAD a list", "GET one", "GET a quote", "POST", "POST money", "cancel", "POST a token", "Alpaca GET",
    "Alpaca PUT", "Alpaca PATCH", "Alpaca DELETE", "page", "page of a stock", "download", "sign in", "sign up",
    "reset the password", "staff list", "staff action", "/readyz", "/healthz", "stream",
)  # fmt: skip
# Each of them finds the database in its own way.
SOME_DOORS = ("GET a list", "POST", "page", "sign in", "staff list", "/readyz", "stream")
FAULTS: dict[Any, tuple[str, ...]] = {
    silence.primary_cut: DOORS,
    silence.hosts_that_answer_nothing: SOME_DOORS,
    silence.hosts_that_are_unreachable: SOME_DOORS,
    silence.rows_locked: DOORS,
    silence.valkey_silent: DOORS,
    silence.exchange_silent: DOORS,
}
# The doors that must answer 503, because they need what is away. Of the others, those that only may:
REFUSE: dict[Any, set[str]] = {
    silence.rows_locked: {"POST", "POST money", "cancel"},
    silence.valkey_silent: {"/readyz"},
    silence.exchange_silent: {"GET a quote"},
}
MAY_REFUSE: dict[Any, set[str]] = {
    silence.rows_locked: set(DOORS)
    - {"GET a list", "HEAD a list", "GET one", "Alpaca GET", "page", "stream", "/readyz"},
    silence.valkey_silent: {"GET a quote"},
}


@pytest.fixture
def doors(instant_exchange: StandInExchange, alice: Customer, static_files: None) -> Iterator[Doors]:
    market.refresh()
    doors = Doors(alice)
    yield doors
    doors.close()


def ask(doors: Doors, door: str, fault: Any) -> tuple[Any, float]:
    """Inflict a fault, and go to a door; return the response and the seconds until it."""
    doors.place()
    with fault() as inflict:
        doors.connect()
        forget()
        hosts.forget()
        inflict()
        started_at = time.monotonic()
        response = doors.call(door)
        return response, time.monotonic() - started_at


def is_late(response: Any, seconds: float) -> bool:
    return seconds > (REFUSAL_SECONDS_MAX if response.status_code == 503 else SECONDS_MAX)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_every_door_answers_in_time_whatever_is_away(fault: Any, doors: Doors) -> None:
    """One test for all doors, because preparing them takes longer than most of them."""
    wrong = {}
    for door in FAULTS[fault]:
        response, seconds = ask(doors, door, fault)
        if is_late(response, seconds):  # once may be the machine's fault
            response, seconds = ask(doors, door, fault)
        if response.status_code == 503:
            is_right = door in REFUSE.get(fault, set(DOORS) - {"/healthz"}) | MAY_REFUSE.get(fault, set())
            is_right &= int(response.headers["Retry-After"]) > 0
        else:
            is_right = response.status_code < 500 and door not in REFUSE.get(fault, set(DOORS) - {"/healthz"})
        if not is_right or is_late(response, seconds):
            wrong[door] = response.status_code, round(seconds, 1), response.content[:500]
    assert not wrong
