"""Limits on the size of pages and on their number of queries."""

import gzip
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client
from pytest_django.plugin import DjangoDbBlocker

from accounts.models import Customer
from exchange import market
from tests.conftest import StandInExchange
from tests.factories import DeliveryFactory
from tests.history import customer_with_history
from tests.lasting import lasting
from trades.models import Trade
from web.timezones import eastern_date
from webhooks import subscriptions
from webhooks.models import Webhook

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("exchange")]

BYTES_MAX = 100_000
QUERIES_MAX = 25
PAGES = [
    "/",
    "/?range=ALL",
    "/stocks/AAPL",
    "/stocks/AAPL?range=1Y",
    "/stocks/search?q=ap",
    "/stocks/AAPL/trade",
    "/stocks/AAPL/trade?type=BUY&quantity=5",
    "/trades",
    "/trades/open",
    "/trades/{trade}",
    "/trades/{trade}/live",
    "/trades/{trade}/confirmation.pdf",
    "/cash",
    "/cash/ledger",
    "/cash/ledger.csv",
    "/statements",
    "/statements/{month}",
    "/statements/{month}.pdf",
    "/account",
    "/account/tokens",
    "/account/webhooks",
    "/account/webhooks/{webhook}",
    "/account/email/",
    "/account/password/change/",
    "/account/second-factor/",
    "/account/sessions/",
]


@pytest.fixture(scope="module")
def ada(
    exchange_process: StandInExchange, django_db_setup: None, django_db_blocker: DjangoDbBlocker
) -> Iterator[Customer]:
    """Create a customer with most of a year of history, once for all pages."""
    with lasting(django_db_blocker), pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings, "EXCHANGE_URL", exchange_process.url)
        market.refresh()
        yield customer_with_history()


def customer_webhook(customer: Customer) -> Webhook:
    """Create three webhooks, each with more deliveries than fit on a page; return one."""
    for n in range(3):
        webhook = subscriptions.create(customer.id, f"https://93.184.216.34/{n}")[0]
        DeliveryFactory.create_batch(30, webhook=webhook)
    return webhook


def address(page: str, customer: Customer) -> str:
    trade = Trade.objects.filter(customer=customer).latest("sequence")
    webhook = customer_webhook(customer) if "{webhook}" in page else None
    return page.format(trade=trade.id, webhook=webhook and webhook.id, month=f"{eastern_date(trade.placed_at):%Y-%m}")


@pytest.mark.parametrize("page", PAGES)
def test_a_page_makes_at_most_25_queries(
    page: str, ada: Customer, page_of: Callable[[Customer], Client], django_assert_max_num_queries: Callable
) -> None:
    client, path = page_of(ada), address(page, ada)
    with django_assert_max_num_queries(QUERIES_MAX) as queries:
        response = client.get(path)
        b"".join(response)  # type: ignore[call-overload]
    assert response.status_code == 200
    print(f"{page}: {len(queries)} queries")  # noqa: T201


@pytest.mark.parametrize("page", [page for page in PAGES if "." not in page])
def test_a_page_is_smaller_than_100_kb_on_first_view(
    page: str, ada: Customer, page_of: Callable[[Customer], Client]
) -> None:
    response = page_of(ada).get(address(page, ada), headers={"Accept-Encoding": "gzip"})
    size = len(response.content)
    content = response.content
    html = gzip.decompress(content).decode() if response.headers.get("Content-Encoding") == "gzip" else content.decode()
    parts = set(re.findall(r'(?:href|src)="/static/([^"#?]+)', html))
    for style in [part for part in parts if part.endswith(".css")]:
        folder = Path(style).parent
        for part in re.findall(r'url\("([^")]+)"\)', (settings.STATIC_ROOT / style).read_text()):
            parts.add(str(folder / part))
    for part in parts:
        compressed = settings.STATIC_ROOT / f"{part}.gz"
        size += (compressed if compressed.exists() else settings.STATIC_ROOT / part).stat().st_size
    assert size < BYTES_MAX
    print(f"{page}: {size:,} bytes in {len(parts) + 1} parts")  # noqa: T201


@pytest.mark.parametrize("page", ["/", "/stocks/AAPL", "/account", "/account/second-factor/totp/activate/"])
def test_nothing_inline_is_allowed_to_run(page: str, ada: Customer, page_of: Callable[[Customer], Client]) -> None:
    response = page_of(ada).get(page)
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert b"<style" not in response.content
    assert not re.search(rb"\son\w+=|\sstyle=|<script(?![^>]*(src=|application/json))", response.content)
    assert not re.search(rb'(src|href)="(https?:)?//', response.content), "everything is served by us"
