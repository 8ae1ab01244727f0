"""After a session has ended, forms keep what was entered and do nothing."""

from collections.abc import Callable
from decimal import Decimal
from urllib.parse import parse_qs, unquote, urlsplit
from uuid import UUID, uuid4

import pytest
from django.test import Client

from accounts.models import Customer, Posting
from tests.conftest import StandInExchange
from tests.people import claim
from trades.models import Status, Trade
from trades.place import place_trade

PageOf = Callable[[Customer], Client]


def next_of(response: object) -> str:
    """Return the address to which the sign-in page leads."""
    address = urlsplit(response["Location"])  # type: ignore[index]
    assert address.path == "/account/login/"
    return parse_qs(address.query)["next"][0]


def test_a_trade_confirmed_after_the_session_ended_returns_to_its_review(
    exchange_with_stocks: StandInExchange, bob: Customer, page_of: PageOf
) -> None:
    form = {"type": "BUY", "quantity": "1", "key": str(uuid4())}
    response = Client().post("/stocks/AAPL/place", form)
    review_address = next_of(response)
    assert "You were signed out." in Client().get(response["Location"]).content.decode()
    client = page_of(bob)
    review = client.get(review_address)
    text = review.content.decode()
    assert "Not placed yet." in text
    assert "Buy 1 share of AAPL" in text
    assert not Trade.objects.exists()
    assert review.context["key"] == form["key"]
    client.post("/stocks/AAPL/place", form)
    assert client.get(review_address)["Location"] == f"/trades/{Trade.objects.get().id}", (
        "the trade was placed, so its page is shown"
    )


def test_a_deposit_sent_after_the_session_ended_keeps_its_amount(bob: Customer, page_of: PageOf) -> None:
    form_address = next_of(Client().post("/cash/deposit", {"amount": "250", "key": "k"}))
    text = page_of(bob).get(form_address).content.decode()
    assert "Nothing has been done yet." in text
    assert 'value="250"' in text
    assert Posting.objects.filter(customer=bob).count() == 1


UNKNOWN_ID = UUID(int=1)
FORM_PATHS = (
    *("/cash/deposit", "/cash/withdraw", "/stocks/AAPL/watch", "/stocks/AAPL/place", "/account", "/account/tokens"),
    *("/account/webhooks", f"/account/tokens/{UNKNOWN_ID}/end", f"/trades/{UNKNOWN_ID}/cancel"),
    *(f"/account/webhooks/{UNKNOWN_ID}/{verb}" for verb in ("test", "pause", "secret", "again", "delete")),
)


@pytest.mark.parametrize("path", FORM_PATHS)
def test_every_form_returns_to_an_address_that_opens(
    path: str, exchange_with_stocks: StandInExchange, bob: Customer, page_of: PageOf
) -> None:
    client = page_of(bob)
    assert client.get(next_of(Client().post(path)), follow=True).status_code in {200, 404, 422}
    assert client.get(path, follow=True).status_code in {200, 404, 422}


def test_a_self_refreshing_part_redirects_the_page_to_the_sign_in(bob: Customer) -> None:
    trade, _ = place_trade(bob.id, "AAPL", "BUY", 1)
    headers = {"HX-Request": "true", "HX-Current-URL": f"http://testserver/trades/{trade.id}"}
    response = Client().get(f"/trades/{trade.id}/live", headers=headers)
    assert (response.status_code, response.content) == (204, b"")
    assert unquote(response["HX-Redirect"]) == f"/account/login/?next=/trades/{trade.id}"
    foreign_page = headers | {"HX-Current-URL": "https://evil.example/"}
    assert "evil" not in Client().get(f"/trades/{trade.id}/live", headers=foreign_page)["HX-Redirect"]


def test_changing_a_reviewed_trade_keeps_side_and_quantity(
    exchange_with_stocks: StandInExchange, alice: Customer, page_of: PageOf
) -> None:
    client = page_of(alice)
    review = client.get("/stocks/AAPL/trade?type=SELL&quantity=3").content.decode()
    assert "?type=SELL&amp;quantity=3&amp;edit=1" in review
    ticket = client.get("/stocks/AAPL/trade?type=SELL&quantity=3&edit=1").context["ticket"]
    assert (ticket["type"].value(), ticket["quantity"].value()) == ("SELL", "3")


def test_a_cancelled_trade_is_not_shown_as_rejected(bob: Customer, page_of: PageOf) -> None:
    client = page_of(bob)
    place_trade(bob.id, "AAPL", "BUY", 1)
    claim(bob)
    second, _ = place_trade(bob.id, "AAPL", "BUY", 2)
    client.post(f"/trades/{second.id}/cancel")
    for path in (f"/trades/{second.id}", "/trades"):
        text = client.get(path).content.decode()
        assert "CANCELLED" in text
        assert "You cancelled it before it was sent." in text
        assert 'class="status rejected"' not in text
    assert (
        "quantity=2" in client.get(f"/trades/{second.id}").content.decode().split("Try again")[0].rpartition("href")[2]
    )


def test_the_review_counts_all_open_trades(
    exchange_with_stocks: StandInExchange, bob: Customer, page_of: PageOf
) -> None:
    client = page_of(bob)
    price = client.get("/stocks/KO").context["holding"].price
    place_trade(bob.id, "KO", "BUY", int(Decimal(400) / price))
    response = client.get(f"/stocks/KO/trade?type=BUY&quantity={int(Decimal(400) / price)}")
    assert response.status_code == 422
    assert "after your open trades" in response.content.decode()
    assert Trade.objects.get().status == Status.PLACED
