"""Every page of the back office opens and shows its content."""

import re
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest
from allauth.usersessions.models import UserSession
from celery import current_app
from django.test import Client
from django.utils import timezone

from accounts.models import Customer
from exchange import gateway, market
from office import heartbeat
from office.models import AuditEntry, Heartbeat
from office.roles import Role
from tests.conftest import StandInExchange
from tests.factories import ClockSkewFactory, UserSessionFactory
from tests.people import claim, receive_shares, send_report
from trades.models import Status, Trade, Type
from trades.place import place_trade

LISTS = [
    "trades/trade", "trades/report", "exchange/call", "exchange/stock", "accounts/customer", "accounts/posting",
    "accounts/lot",
    "accounts/adjustment", "accounts/signin", "office/case", "office/proof", "office/reconciliation",
    "office/auditentry",
]  # fmt: skip


@pytest.fixture
def compliance(browser_of: Callable[[Role], Client]) -> Client:
    return browser_of(Role.COMPLIANCE)


@pytest.mark.parametrize("name", LISTS)
def test_every_list_opens(compliance: Client, alice: Customer, name: str) -> None:
    response = compliance.get(f"/admin/{name}/")
    assert response.status_code == 200


def test_desk_shows_figures(compliance: Client, alice: Customer, exchange: StandInExchange) -> None:
    place_trade(alice.id, "AAPL", Type.BUY, 1)
    heartbeat.ask()
    for url in ("/admin/", "/admin/desk/"):
        response = compliance.get(url)
        assert response.status_code == 200
        text = response.content.decode()
        assert "1 placed, 0 in progress" in text
        assert re.search(r"answered \d+ s ago", text)
        assert "lanes idle" in text


def test_desk_shows_the_sweeps_last_heartbeat_and_its_age(compliance: Client, exchange: StandInExchange) -> None:
    assert "the sweep has not asked lately" in compliance.get("/admin/desk/").content.decode()
    heartbeat.ask()
    exchange.faults(down=True)
    heartbeat.ask()
    assert Heartbeat.objects.get().exchange_ms, "another sweep has just asked"
    Heartbeat.objects.update(asked_at=timezone.now() - timedelta(seconds=10))
    assert "answered 10 s ago" in compliance.get("/admin/desk/").content.decode()
    heartbeat.ask()
    page = compliance.get("/admin/desk/").content.decode()
    assert '<p class="figure" id="exchange">away</p>' in page
    assert "none of the lanes' workers answered, 0 s ago" in page
    Heartbeat.objects.update(asked_at=timezone.now() - timedelta(seconds=heartbeat.OLD_SECONDS + 1))
    assert "the sweep has not asked lately" in compliance.get("/admin/desk/").content.decode()


def test_desk_waits_for_no_other_process(
    compliance: Client, exchange: StandInExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    market.refresh_clock()
    heartbeat.ask()
    requests: list[str] = []
    monkeypatch.setattr(gateway, "clock", lambda: requests.append("clock"))
    monkeypatch.setattr(gateway, "quotes", lambda tickers: requests.append("quotes"))
    monkeypatch.setattr(current_app.control, "broadcast", lambda command, **_: requests.append(command))
    assert compliance.get("/admin/desk/").status_code == 200
    assert requests == []


@pytest.mark.parametrize(
    ("seconds", "shown", "color"),
    [(0.04, "0.0 s ahead of", "good"), (12.5, "12.5 s ahead of", "odd"), (-3, "3.0 s behind", "odd")],
)
def test_desk_shows_how_far_apart_the_clocks_are(
    compliance: Client, exchange: StandInExchange, seconds: float, shown: str, color: str
) -> None:
    assert 'id="skew"' not in compliance.get("/admin/desk/").content.decode(), (
        "the difference has not been measured yet"
    )
    ClockSkewFactory.create(seconds=seconds)
    heartbeat.ask()
    page = compliance.get("/admin/desk/").content.decode()
    assert f'<span id="skew">{shown}</span> ours' in page
    assert f'<section class="office-card {color}"><h2>Exchange</h2>' in page


def test_trade_page_has_everything_in_one_place(compliance: Client, alice: Customer) -> None:
    trade = receive_shares(alice, "IBM", 3, Decimal("50"))
    text = compliance.get(f"/admin/trades/trade/{trade.id}/change/").content.decode()
    assert "The exchange executed it at 50.00 USD per share, 150.00 USD in total." in text
    for part in ("History", "Postings", "Calls to the exchange", "Reports, as received", "executionId", "-150.00"):
        assert part in text
    assert alice.email in text


def test_a_customers_sign_ins_outlive_their_sessions(compliance: Client, alice: Customer) -> None:
    her_browser = Client(REMOTE_ADDR="192.0.2.33", headers={"User-Agent": "Chrome on Windows"})
    her_browser.force_login(alice)
    UserSessionFactory.create(
        user=alice, session_key=her_browser.session.session_key, ip="192.0.2.33", user_agent="Chrome on Windows"
    )
    her_browser.logout()
    UserSession.objects.all().delete()
    page = compliance.get(f"/admin/accounts/customer/{alice.id}/change/?tab=access").content.decode()
    for text in ("signed in", "session ended", "192.0.2.33", "Chrome on Windows"):
        assert text in page
    response = compliance.get(f"/admin/accounts/signin/?customer={alice.id}&kind=ended")
    assert [row.kind for row in response.context["cl"].result_list] == ["ended"]


def test_viewing_a_customer_or_a_trade_is_logged(compliance: Client, alice: Customer) -> None:
    trade = Trade.objects.get()
    compliance.get(f"/admin/accounts/customer/{alice.id}/change/")
    compliance.get(f"/admin/trades/trade/{trade.id}/change/")
    entries = AuditEntry.objects.filter(customer_id=alice.id, outcome="seen").order_by("number")
    assert [(entry.action, entry.address, entry.trade_id) for entry in entries] == [
        ("see customer", "192.0.2.7", None),
        ("see trade", "192.0.2.7", trade.id),
    ]


def test_listing_one_customers_rows_is_logged(compliance: Client, alice: Customer) -> None:
    for name in LISTS:
        compliance.get(f"/admin/{name}/?customer={alice.id}")
        compliance.get(f"/admin/{name}/")
    entries = AuditEntry.objects.filter(customer_id=alice.id).values_list("action", "outcome").order_by("number")
    assert {("list trades", "seen"), ("list postings", "seen"), ("list sign-ins", "seen")} <= set(entries)
    compliance.get(f"/admin/trades/trade/export/?customer={alice.id}")
    assert AuditEntry.objects.get(action="export").customer_id == alice.id
    assert "list audit log" not in {action for action, _ in entries}
    assert compliance.get("/admin/trades/trade/?customer=9999999999999999999999", follow=True).status_code == 200


def test_the_lots_of_a_customer_are_filtered_by_state(compliance: Client, alice: Customer, bob: Customer) -> None:
    receive_shares(alice, "IBM", 3, Decimal("50.0025"))
    sale, _ = place_trade(alice.id, "AAPL", Type.SELL, 10)
    claim(alice)
    send_report(sale, Status.FILLED, Decimal(100))
    claim(alice)
    receive_shares(bob, "KO", 1, Decimal(5))
    address = "/admin/accounts/lot/"
    values = {
        state: [lot.ticker for lot in compliance.get(f"{address}?customer={alice.id}{state}").context["cl"].result_list]
        for state in ("", "&state=open", "&state=closed", "&ticker=ibm")
    }
    assert values == {"": ["IBM", "AAPL"], "&state=open": ["IBM"], "&state=closed": ["AAPL"], "&ticker=ibm": ["IBM"]}
    assert "150.01" in compliance.get(f"{address}?customer={alice.id}").content.decode(), "in cents"
    entries = AuditEntry.objects.filter(customer_id=alice.id, action="list lots")
    assert entries.count() == 5
    assert "IBM" in compliance.get(f"{address}export/?customer={alice.id}").content.decode()
    assert AuditEntry.objects.get(action="export").customer_id == alice.id
    page = compliance.get(f"/admin/accounts/customer/{alice.id}/change/?tab=ledger").content.decode()
    assert f"{address}?customer={alice.id}&amp;state=open" in page


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        ("placed", "It was placed just now"),
        ("waits", "It waits for the customer's trade in flight"),
        ("out", "It was sent to the exchange"),
        ("breaks", "cannot be settled"),
        ("reported", "next turn will settle"),
        ("rejected", "The exchange rejected it"),
    ],
)
def test_a_trade_page_explains_its_state(compliance: Client, alice: Customer, state: str, sentence: str) -> None:
    trade, _ = place_trade(alice.id, "IBM", Type.BUY, 1)
    if state == "waits":
        claim(alice)
        trade, _ = place_trade(alice.id, "IBM", Type.BUY, 2)
    if state in {"out", "breaks", "reported", "rejected"}:
        claim(alice)
    if state == "breaks":
        send_report(trade, Status.FILLED, Decimal(10), quantity=99)
        claim(alice)
    if state in {"reported", "rejected"}:
        send_report(trade, Status.REJECTED)
    if state == "rejected":
        claim(alice)
    assert sentence in compliance.get(f"/admin/trades/trade/{trade.id}/change/").content.decode().replace("&#x27;", "'")


@pytest.mark.parametrize("text", ["alice@example.com", "ALICE@example.com ", "id", "trade"])
def test_search_opens_an_exact_match_directly(compliance: Client, alice: Customer, bob: Customer, text: str) -> None:
    trade = Trade.objects.get()
    query = {"id": str(alice.id), "trade": str(trade.id)}.get(text, text)
    response = compliance.get("/admin/find/", {"q": query})
    target = f"trades/trade/{trade.id}" if text == "trade" else f"accounts/customer/{alice.id}"
    assert response.status_code == 302
    assert response["Location"] == f"/admin/{target}/change/"


def test_search_finds_names_and_prefixes(compliance: Client, alice: Customer, bob: Customer) -> None:
    Customer.objects.filter(id=alice.id).update(name="Alice Meredith Jones")
    Customer.objects.filter(id=bob.id).update(name="Bob Meredith")
    html = compliance.get("/admin/find/", {"q": "mered"}).content.decode()
    assert alice.email in html
    assert bob.email in html
    assert compliance.get("/admin/find/", {"q": "jones meredith"})["Location"].endswith(f"/customer/{alice.id}/change/")
    assert "No results" in compliance.get("/admin/find/", {"q": "nobody & | !:* '\x00"}).content.decode()


def test_filters_of_trades(compliance: Client, alice: Customer, bob: Customer) -> None:
    from trades.lane import lane_of

    open_trade, _ = place_trade(bob.id, "IBM", Type.BUY, 7)
    filled = Trade.objects.get(status=Status.FILLED)

    def shown(**filters: str) -> set[str]:
        text = compliance.get("/admin/trades/trade/", filters).content.decode()
        return {str(trade.id) for trade in (open_trade, filled) if f"/trade/{trade.id}/change/" in text}

    only_open, only_filled = {str(open_trade.id)}, {str(filled.id)}
    assert shown() == only_open | only_filled
    assert shown(status="open") == shown(status="PLACED") == only_open
    assert shown(status="FILLED") == only_filled
    assert shown(status="FILLED", ticker="ibm") == set()
    assert shown(ticker="ibm") == only_open
    assert shown(reason="expired") == set()
    assert shown(customer=str(alice.id)) == only_filled
    assert shown(lane=str(lane_of(bob.id))) == only_open
    assert shown(age="600") == set()
    assert shown(day=f"{filled.placed_at:%Y-%m-%d}") == only_open | only_filled
    assert shown(day="2020-01-01..2020-01-31") == set()
    assert shown(q=str(filled.id)) == only_filled
    assert shown(q="bob@example.com") == only_open
    assert shown(q="aapl") <= only_open | only_filled


@pytest.mark.parametrize(
    "query", ["day=yesterday", "customer=x", "after=nonsense", "lane=x", "customer=1&after=zz", "age=x", "status=NONE"]
)
def test_invalid_filters_cause_no_error(compliance: Client, alice: Customer, query: str) -> None:
    assert compliance.get(f"/admin/trades/trade/?{query}", follow=True).status_code == 200


def test_pages_by_key_show_each_row_once(compliance: Client, alice: Customer, monkeypatch: pytest.MonkeyPatch) -> None:
    from office.tables import keyset

    for name, value in (("ROWS_PER_PAGE", 3), ("LOOK_BACK_ROWS", 5)):
        monkeypatch.setattr(keyset, name, value)
    for quantity in range(1, 12):
        place_trade(alice.id, "IBM", Type.BUY, quantity)
    for query in ("", "ticker=IBM", f"customer={alice.id}", "status=PLACED", "type=x"):
        listed_ids: list[str] = []
        url = f"/admin/trades/trade/?{query}"
        while url:
            response = compliance.get(url)
            change_list = response.context["cl"]
            listed_ids += [str(trade.id) for trade in change_list.result_list]
            url = f"/admin/trades/trade/{change_list.older_link}" if change_list.older else ""
        expected = (
            Trade.objects.all()
            if query in {"", f"customer={alice.id}", "type=x"}
            else Trade.objects.filter(ticker="IBM")
        )
        if query != "type=x":
            assert listed_ids == [str(id) for id in expected.order_by("-id").values_list("id", flat=True)], query


def test_an_export_has_the_rows_that_the_filters_select(
    compliance: Client, alice: Customer, browser_of: Callable[[Role], Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    from office.tables import keyset

    monkeypatch.setattr(keyset, "LOOK_BACK_ROWS", 4)
    for quantity in range(1, 12):
        place_trade(alice.id, "IBM", Type.BUY, quantity)
    response = compliance.get("/admin/trades/trade/export/", {"ticker": "IBM"})
    lines = response.content.decode().splitlines()
    assert lines[0].startswith("tradeId,customerId,email")
    assert len(lines) == 12
    assert len(set(lines)) == 12
    assert browser_of(Role.SUPPORT).get("/admin/trades/trade/export/").status_code == 403
    assert AuditEntry.objects.filter(action="export", outcome="seen").count() == 1


def test_exported_cells_are_not_formulas() -> None:
    from office.tables.export import cell

    assert cell("=HYPERLINK(1)") == "'=HYPERLINK(1)"
    assert cell(Decimal("-3.5")) == "-3.5"


@pytest.mark.parametrize("name", LISTS)
def test_the_first_column_of_a_list_has_its_own_name(
    compliance: Client, alice: Customer, exchange: StandInExchange, name: str
) -> None:
    """On a phone, each value has the name of its column beside it."""
    market.refresh()
    place_trade(alice.id, "AAPL", Type.BUY, 1)
    compliance.get("/admin/accounts/customer/")  # recorded in the audit log
    text = compliance.get(f"/admin/{name}/").content.decode()
    assert "Select record" not in text
