"""Staff enter a ticker change: the form's checks, and the change once two people have agreed."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client

from accounts.models import Customer, Position
from exchange.models import Stock
from office.models import Proposal
from office.roles import Role, appoint
from tests.factories import StockFactory
from tests.office.conftest import signed_in
from trades import corporate_actions, ticker_change
from trades.models import CorporateAction
from web.timezones import eastern_today

ENTER = "/admin/do/enter-corporate-action/"
TERMS = {"kind": "TICKER_CHANGE", "ticker": "aapl", "new_ticker": "apl", "reason": "By fax."}


@pytest.fixture
def operations(browser_of: Callable[[Role], Client], monkeypatch: pytest.MonkeyPatch) -> Client:
    """List AAPL; return the browser of a member of staff."""
    monkeypatch.setattr(corporate_actions, "HALT_SECONDS", 0)
    ticker_change.forget()
    StockFactory.create(ticker="AAPL", name="Apple")
    return browser_of(Role.OPERATIONS)


@pytest.mark.parametrize("new", ["", "AAPL", "aapl", "A PL", "É", "AP/L", "A" * 13, "\x00"])
def test_the_form_refuses_an_invalid_new_ticker(operations: Client, new: str) -> None:
    response = operations.post(ENTER, TERMS | {"ex_date": "2030-01-02", "new_ticker": new})
    assert response.status_code == 422
    assert "new_ticker" in response.content.decode()
    assert not Proposal.objects.exists()


def test_the_form_refuses_an_unknown_stock(operations: Client) -> None:
    response = operations.post(ENTER, TERMS | {"ex_date": "2030-01-02", "ticker": "NONE"})
    assert (response.status_code, "There is no such stock." in response.content.decode()) == (422, True)


def test_two_people_change_a_ticker_and_the_old_page_leads_to_the_new_one(operations: Client, alice: Customer) -> None:
    day = eastern_today() - timedelta(days=4)
    operations.post(ENTER, TERMS | {"ex_date": f"{day}"})
    assert not CorporateAction.objects.exists(), "one person is not enough"
    other = signed_in(appoint("other@staff.example.com", Role.OPERATIONS))
    other.post(f"/admin/do/approve-proposal/{Proposal.objects.get().id}/")
    action = CorporateAction.objects.get()
    assert (action.ticker, action.new_ticker, action.state) == ("AAPL", "APL", "approved")
    corporate_actions.apply_due()
    assert Position.objects.get(customer=alice, ticker="APL").quantity == 10
    browser = Client()
    browser.force_login(alice)
    response = browser.get("/stocks/AAPL")
    assert (response.status_code, response["Location"]) == (302, "/stocks/APL")
    assert browser.get("/stocks/APL").status_code == 200
    Stock.objects.filter(ticker="AAPL").update(listed=True, name="Another company")
    ticker_change.forget()
    assert browser.get("/stocks/AAPL").status_code == 200, "the page shows the company that has the ticker now"
