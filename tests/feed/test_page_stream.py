"""A page's event stream announces changes and prices, and ends with the page's session."""

import asyncio
from urllib.parse import parse_qs, urlsplit

import pytest
from allauth.usersessions.models import UserSession
from django.core import signing
from django.test import Client as Browser

from accounts import funding, page_tickets
from accounts.models import Customer
from brokerage.asgi import Application
from exchange import market
from tests.conftest import StandInExchange
from tests.factories import UserSessionFactory
from tests.feed.conftest import Client
from tests.feed.test_streams import in_thread
from trades.place import place_trade

pytestmark = pytest.mark.django_db(transaction=True)


def ticket_of(customer: Customer) -> str:
    browser = Browser()
    browser.force_login(customer)
    UserSessionFactory.create(user=customer, session_key=browser.session.session_key)
    address = browser.get("/pages/ticket").json()["address"]
    return parse_qs(urlsplit(address).query)["ticket"][0]


class PageClient(Client):
    """The event stream of an open page."""

    def __init__(self, application: Application, ticket: str, tickers: str = "") -> None:
        query = f"ticket={ticket}&tickers={tickers}".encode()
        super().__init__(application, {"type": "http", "method": "GET", "path": "/pages/stream", "query_string": query})

    @property
    def status(self) -> int:
        return self.sent[0]["status"] if self.sent else 0

    @property
    def text(self) -> str:
        return b"".join(message.get("body", b"") for message in self.sent[1:]).decode()


def test_a_page_is_notified_of_trades_and_transfers_from_any_source(
    application: Application, bob: Customer, alice: Customer
) -> None:
    async def follow() -> None:
        ticket = await in_thread(ticket_of, bob)
        page = PageClient(application, ticket)
        await page.wait_until(lambda: "retry" in page.text)
        await in_thread(place_trade, bob.id, "AAPL", "BUY", 1)
        await page.wait_until(lambda: page.text.count("event: account") == 1)
        await in_thread(place_trade, alice.id, "AAPL", "BUY", 1)
        await asyncio.sleep(1.5)  # so that the stream knows the newest posting
        await in_thread(funding.deposit, bob.id, 5)
        await page.wait_until(lambda: page.text.count("event: account") == 2)
        assert "AAPL" not in page.text, "the notification contains no account data"
        await page.leave()

    asyncio.run(follow())


def test_a_page_gets_the_prices_of_its_stocks(
    application: Application, exchange: StandInExchange, bob: Customer
) -> None:
    market.refresh()

    async def follow() -> None:
        page = PageClient(application, await in_thread(ticket_of, bob), "AAPL,KO,..%2F,NOSUCH")
        await page.wait_until(lambda: '"AAPL":"' in page.text)
        assert '"KO":"' in page.text
        assert "NOSUCH" not in page.text
        await page.leave()

    asyncio.run(follow())


def test_a_page_ends_with_its_session(application: Application, bob: Customer) -> None:
    async def follow() -> None:
        page = PageClient(application, await in_thread(ticket_of, bob))
        await page.wait_until(lambda: "retry" in page.text)
        await in_thread(lambda: UserSession.objects.get(user_id=bob.id).end())
        await page.ended()

    asyncio.run(follow())


@pytest.mark.parametrize("problem", ["", "nothing", "another's", "old", "ended", "deactivated"])
def test_a_stream_requires_the_ticket_of_an_open_session(
    application: Application, bob: Customer, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticket = ticket_of(bob)
    if problem in {"", "nothing"}:
        ticket = problem
    if problem == "another's":
        ticket = signing.dumps(1, key="another's")
    if problem == "old":
        monkeypatch.setattr(page_tickets, "SECONDS", -1)
    if problem == "ended":
        UserSession.objects.get(user_id=bob.id).end()
    if problem == "deactivated":
        Customer.objects.filter(id=bob.id).update(is_active=False)

    async def status_of_stream() -> int:
        page = PageClient(application, ticket)
        await page.ended()
        return page.status

    assert asyncio.run(status_of_stream()) == 401


def test_a_stream_ticket_requires_signing_in() -> None:
    assert Browser().get("/pages/ticket").status_code == 302
