"""Error pages, pages for visitors, and confirmations."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts import tokens
from accounts.models import Customer, Token
from tests.conftest import StandInExchange
from tests.factories import UserSessionFactory

PageOf = Callable[[Customer], Client]


def test_visitors_see_the_welcome_page(db: None, exchange_with_stocks: StandInExchange) -> None:
    text = Client().get("/", follow=True).content.decode()
    assert "Open an account" in text
    assert "Sign in" in text
    assert "Contact us" in Client().get("/help").content.decode()


def test_a_missing_page_keeps_the_header_and_offers_links(bob: Customer, page_of: PageOf) -> None:
    Customer.objects.filter(pk=bob.pk).update(theme="dark")
    response = page_of(bob).get("/nothing-here")
    text = response.content.decode()
    assert response.status_code == 404
    for words in ('id="finder"', 'data-theme="dark"', "Your trades", "Looking for a stock?", "/help"):
        assert words in text


def test_the_error_page_needs_no_database(bob: Customer, page_of: PageOf, settings: Any) -> None:
    settings.TEMPLATES = [settings.TEMPLATES[0] | {"DIRS": []}]  # makes every template missing
    client = page_of(bob)
    client.raise_request_exception = False
    response = client.get("/cash")
    assert response.status_code == 500
    assert "Something went wrong on our side." in response.content.decode()
    assert "/static/brokerage.css" in response.content.decode()


def test_a_token_asks_before_it_ends(bob: Customer, page_of: PageOf) -> None:
    issued = tokens.issue(bob, "robot", ["read"])
    text = page_of(bob).get("/account/tokens").content.decode()
    before = text.split(f"/account/tokens/{issued.grant.id}/end")[0]
    assert before.rpartition("<details")[2].startswith(' class="confirm"')
    assert Token.objects.filter(customer=bob).exists()


def test_a_customer_ends_only_their_own_sessions(alice: Customer, bob: Customer, page_of: PageOf) -> None:
    bobs_browser = page_of(bob)
    session = UserSessionFactory.create(user=bob, session_key=bobs_browser.session.session_key)
    page_of(alice).post(f"/account/sessions/{session.pk}/end")
    assert bobs_browser.get("/account").status_code == 200
    page_of(bob).post(f"/account/sessions/{session.pk}/end")
    assert bobs_browser.get("/account").status_code == 302


@pytest.mark.parametrize("path", ["/api/errors/", "/api/docs/", "/nothing"])
def test_pages_for_everyone_know_who_is_signed_in(
    bob: Customer, page_of: Callable[[Customer], Client], path: str
) -> None:
    assert "Sign in" not in page_of(bob).get(path).content.decode()
