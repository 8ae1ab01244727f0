"""Home, stocks, the ticket and trades, as pages."""

import re
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import CASH, Customer, Posting
from exchange import gateway
from tests.conftest import StandInExchange
from tests.factories import FeeRateFactory, StockFactory
from tests.people import claim, receive_shares, send_report
from trades import charts, checks, fees, performance
from trades.confirmation import lines_of
from trades.models import Status, Trade, TradingControl
from trades.periods import PERIODS
from trades.place import place_trade

PageOf = Callable[[Customer], Client]


def test_a_reviewed_trade_that_is_confirmed_repeatedly_is_placed_once(
    exchange_with_stocks: StandInExchange, bob: Customer, page_of: PageOf
) -> None:
    client = page_of(bob)
    review = client.get("/stocks/AAPL/trade?type=BUY&quantity=1")
    assert Trade.objects.count() == 0
    form = {"type": "BUY", "quantity": "1", "key": str(review.context["key"])}
    responses = [client.post("/stocks/AAPL/place", form) for _ in range(3)]
    trade = Trade.objects.get()
    assert {response.headers["Location"] for response in responses} == {f"/trades/{trade.id}"}
    assert (trade.status, trade.status_changes.get().by) == (Status.PLACED, "pages")
    assert b"PLACED" in client.get(f"/trades/{trade.id}").content


@pytest.mark.parametrize("quantity", ["", "0", "-1", "1.5", "many", "1000001", "٣", "9" * 30])
def test_an_invalid_quantity_is_explained_beside_the_field(
    quantity: str, exchange_with_stocks: StandInExchange, bob: Customer, page_of: PageOf
) -> None:
    client = page_of(bob)
    response = client.get("/stocks/AAPL/trade", {"type": "BUY", "quantity": quantity})
    assert response.status_code == 422
    assert 'id="id_quantity_error"' in response.content.decode()
    assert client.post("/stocks/AAPL/place", {"type": "BUY", "quantity": quantity, "key": "k"}).status_code == 422
    assert not Trade.objects.exists()


def test_uncovered_orders_are_refused_before_they_are_placed(
    exchange_with_stocks: StandInExchange, bob: Customer, page_of: PageOf
) -> None:
    client = page_of(bob)
    assert "and you have $500.00" in client.get("/stocks/AAPL/trade?type=BUY&quantity=9999").content.decode()
    assert "You own no AAPL to sell." in client.get("/stocks/AAPL/trade?type=SELL&quantity=1").content.decode()


def test_a_page_explains_why_trading_is_blocked(
    exchange_with_stocks: StandInExchange, alice: Customer, bob: Customer, page_of: PageOf
) -> None:
    checks.set_control(TradingControl.Kind.HALT_ALL, True, reason="-", by=alice)
    response = page_of(bob).post("/stocks/AAPL/place", {"type": "BUY", "quantity": "1", "key": "k"})
    assert (response.status_code, "Trading is halted" in response.content.decode()) == (422, True)
    checks.set_control(TradingControl.Kind.HALT_ALL, False, reason="-", by=alice)
    assert not Trade.objects.filter(customer=bob).exists()


def test_the_live_part_responds_only_after_a_change(bob: Customer, page_of: PageOf) -> None:
    trade, _ = place_trade(bob.id, "AAPL", "BUY", 1)
    client = page_of(bob)
    live = f"/trades/{trade.id}/live"
    assert client.get(live, {"seen": "PLACED"}).status_code == 204
    claim(bob)
    changed = client.get(live, {"seen": "PLACED"}).content.decode()
    assert "IN PROGRESS" in changed
    assert "every" in changed
    send_report(trade, Status.FILLED, Decimal("101.5"))
    claim(bob)
    final = client.get(live, {"seen": "IN PROGRESS"}).content.decode()
    assert "FILLED" in final
    assert "$101.50" in final
    assert "every" not in final, "the page no longer polls"


def test_a_page_shows_a_trade_as_it_was_when_it_was_read(
    bob: Customer, page_of: PageOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    trade, _ = place_trade(bob.id, "AAPL", "BUY", 1)
    monkeypatch.setattr("trades.pages.history.halt_of", lambda *_: claim(bob) and None)  # a lane, at that moment
    placed, sent = (page_of(bob).get(f"/trades/{trade.id}").content.decode() for _ in range(2))
    assert ("Cancel this trade" in placed, "<strong>Sent to the exchange" in placed) == (True, False)
    assert ("Cancel this trade" in sent, "<strong>Sent to the exchange" in sent) == (False, True)


def test_open_trades_respond_only_after_a_change(bob: Customer, page_of: PageOf) -> None:
    client = page_of(bob)
    place_trade(bob.id, "AAPL", "BUY", 1)
    html = client.get("/trades/open?seen=").content.decode()
    assert "Buy 1 AAPL" in html
    state = html.split("seen=")[1].split('"')[0]
    assert client.get(f"/trades/open?seen={state}").status_code == 204
    claim(bob)
    assert client.get(f"/trades/open?seen={state}").headers["HX-Trigger"] == "trades-moved"


def test_only_a_placed_trade_can_be_cancelled(bob: Customer, page_of: PageOf) -> None:
    client = page_of(bob)
    first, second = (place_trade(bob.id, "AAPL", "BUY", 1)[0] for _ in range(2))
    claim(bob)
    response = client.post(f"/trades/{second.id}/cancel", follow=True).content.decode()
    assert "Cancelled before it was sent." in response
    response = client.post(f"/trades/{first.id}/cancel", follow=True).content.decode()
    assert "already on its way to the exchange" in response
    response = client.post(f"/trades/{second.id}/cancel", follow=True).content.decode()
    assert "the trade is final" in response


def test_customers_cannot_see_or_cancel_anothers_trade(alice: Customer, bob: Customer, page_of: PageOf) -> None:
    trade = Trade.objects.get(customer=alice)
    client = page_of(bob)
    for path in ("", "/live", "/confirmation.pdf"):
        assert client.get(f"/trades/{trade.id}{path}").status_code == 404
    assert client.post(f"/trades/{trade.id}/cancel").status_code == 404


def test_a_confirmation_is_the_same_bytes_every_time(alice: Customer, page_of: PageOf) -> None:
    trade = Trade.objects.get(customer=alice)
    first, second = (page_of(alice).get(f"/trades/{trade.id}/confirmation.pdf").content for _ in range(2))
    assert first.startswith(b"%PDF-")
    assert first == second
    waiting, _ = place_trade(alice.id, "AAPL", "BUY", 1)
    assert page_of(alice).get(f"/trades/{waiting.id}/confirmation.pdf").status_code == 404


def test_a_confirmation_has_all_required_lines(bob: Customer, page_of: PageOf) -> None:
    """The page and the PDF have the lines that SEC rule 10b-10 requires."""
    StockFactory.create(ticker="KO", name="Coca-Cola Company")
    for kind, rate in (("sec", {"per_usd": "0.0000278"}), ("taf", {"per_usd": 0, "per_share": "0.000166"})):
        FeeRateFactory.create(kind=kind, **rate)
    fees.expire()
    Customer.objects.filter(id=bob.id).update(name="Bob Builder")
    receive_shares(bob, "KO", 4, Decimal("20.0025"))
    sale, _ = place_trade(bob.id, "KO", "SELL", 4)
    claim(bob)
    send_report(sale, Status.FILLED, Decimal("25.0050"), executedAt="2026-10-09T14:30:05.123456Z")
    claim(bob)
    sale.refresh_from_db()
    bob.refresh_from_db()
    lines = lines_of(sale, bob, "Coca-Cola Company")
    ordered = next(line.text for line in lines if line.label == "Ordered")
    assert [(line.label, line.text) for line in lines] == [
        ("Customer", "Bob Builder"),
        ("Account", str(bob.id)),
        ("Order", str(sale.id)),
        ("Stock", "Coca-Cola Company (KO)"),
        ("Sold", "4 shares, market order"),
        ("Ordered", ordered),
        ("Executed", "Oct 9, 2026, 10:30:05 AM ET"),
        ("Trade date", "Oct 9, 2026"),
        ("Settlement date", "Oct 13, 2026"),
        ("Price per share", "$25.0050"),
        ("Gross amount", "$100.02"),
        ("SEC fee (section 31)", "$0.01"),
        ("FINRA trading activity fee", "$0.01"),
        ("Net amount you received", "$100.00"),
        ("Capacity", "Agent: we executed your order on the exchange on your behalf."),
    ]
    assert re.fullmatch(r"[A-Z][a-z]{2} \d{1,2}, \d{4}, \d{1,2}:\d\d:\d\d [AP]M ET", ordered)
    page = page_of(bob).get(f"/trades/{sale.id}").content.decode()
    for line in lines:
        assert f"<dt>{line.label}</dt><dd>{line.text}</dd>" in page
    purchase = Trade.objects.get(customer=bob, type="BUY")
    assert ("Fees", "None") in [(line.label, line.text) for line in lines_of(purchase, bob, "KO")]
    with pytest.raises(ValueError, match="PLACED"):
        lines_of(place_trade(bob.id, "KO", "BUY", 1)[0], bob, "KO")


def test_trades_are_filtered_and_paged(ada: Customer, page_of: PageOf) -> None:
    client = page_of(ada)
    for _ in range(20):
        place_trade(ada.id, "GOOG", "BUY", 1)
    page = client.get("/trades")
    assert len(page.context["trades"]) == 25
    older = client.get(f"/trades?{page.context['next']}")
    numbers = [trade.sequence for trade in [*page.context["trades"], *older.context["trades"]]]
    assert numbers == list(range(max(numbers), 0, -1))
    assert {trade.ticker for trade in client.get("/trades?q=disney").context["trades"]} == {"DIS"}
    assert {trade.type for trade in client.get("/trades?type=SELL").context["trades"]} == {"SELL"}
    assert len(client.get("/trades?status=PLACED").context["trades"]) == 20
    tomorrow = timezone.localdate() + timedelta(days=1)
    assert list(client.get(f"/trades?since={tomorrow}").context["trades"]) == []
    assert client.get("/trades?since=yesterday").status_code == 422


def test_search_finds_by_ticker_and_by_company(
    exchange_with_stocks: StandInExchange, bob: Customer, page_of: PageOf
) -> None:
    client = page_of(bob)
    assert client.get("/stocks/search?q=aapl").headers["Location"] == "/stocks/AAPL"
    results = client.get("/stocks/search?q=walt").content.decode()
    assert "/stocks/DIS" in results
    assert "No stock matches" in client.get("/stocks/search?q=zzzzz").content.decode()
    fragment = client.get("/stocks/search?q=AA", headers={"HX-Request": "true"}).content.decode()
    assert "/stocks/AAPL" in fragment
    assert "<html" not in fragment


def test_a_stock_can_be_watched_and_unwatched(
    exchange_with_stocks: StandInExchange, bob: Customer, page_of: PageOf
) -> None:
    client = page_of(bob)
    for _ in range(2):
        client.post("/stocks/ko/watch")
    assert [holding.ticker for holding in client.get("/").context["watched"]] == ["KO"]
    client.post("/stocks/KO/watch", {"off": "1"})
    assert client.get("/").context["watched"] == []
    assert client.post("/stocks/NOSUCH/watch").status_code == 404


# -- charts are computed from the books


@pytest.mark.parametrize("name", list(PERIODS))
def test_each_point_of_the_chart_is_the_value_of_cash_and_shares_at_that_time(ada: Customer, name: str) -> None:
    worth = performance.worth(ada.id, PERIODS[name])
    assert worth.chart
    points = worth.chart.points[1:-1:19]
    assert points
    for at, amount, *_ in points:
        moment = timezone.datetime.fromtimestamp(at, tz=timezone.get_default_timezone())  # type: ignore[attr-defined]
        value = Decimal(0)
        postings = Posting.objects.filter(customer=ada, created_at__lte=moment)
        for posting in postings.order_by("ticker", "-id").distinct("ticker"):
            if posting.ticker == CASH:
                value += posting.total
            elif posting.total:
                (bar,) = gateway.bars(posting.ticker, moment, moment + timedelta(seconds=1), 1)
                value += posting.total * bar["open"]
        assert Decimal(amount) == round(value, 2), moment


def test_a_deposit_is_not_a_gain(bob: Customer, exchange_with_stocks: StandInExchange) -> None:
    worth = performance.worth(bob.id, PERIODS["ALL"])
    assert (worth.value, worth.gain) == (500, 0)


def test_the_days_change_excludes_deposits(ada: Customer) -> None:
    worth = performance.worth(ada.id, PERIODS["1D"])
    assert worth.chart
    assert worth.ratio == worth.chart.last
    first = Decimal(worth.chart.points[0][1])
    assert worth.gain is not None
    assert abs(worth.gain - ((worth.value or 0) - first - worth.deposits)) < Decimal("0.01")


@pytest.mark.parametrize("name", ["3M", "1Y", "ALL"])
def test_deposits_are_not_performance(ada: Customer, name: str) -> None:
    worth, with_deposits = (performance.worth(ada.id, PERIODS[name], shows_deposits=shown) for shown in (False, True))
    assert worth.chart
    assert with_deposits.chart
    assert worth.deposits
    steps = [float(after[2]) - float(before[2]) for before, after in pairwise(worth.chart.points)]
    assert max(map(abs, steps)) < 0.25, "a deposit of a third of the account causes no step"
    assert with_deposits.chart.second
    assert worth.ratio == with_deposits.ratio


def test_a_time_weighted_return_ignores_deposits() -> None:
    """Up 10%, a deposit that doubles the account, down 10%: the return is minus 1% whatever was deposited."""
    values = [Decimal(number) for number in (100, 110, 220, 198)]
    flows = [(Decimal(deposited), Decimal(0)) for deposited in (0, 0, 110, 0)]
    assert charts.time_weighted(values, flows)[-1] == Decimal("-0.01")
    after_full_withdrawal = charts.time_weighted(
        [Decimal(100), Decimal(0), Decimal(0)],
        [(Decimal(0), Decimal(0)), (Decimal(0), Decimal(105)), (Decimal(0), Decimal(0))],
    )
    assert after_full_withdrawal[-1] == Decimal("0.05")


def test_pages_work_without_the_exchange_and_show_no_prices(
    alice: Customer, exchange: StandInExchange, page_of: PageOf
) -> None:
    exchange.faults(down=True)
    client = page_of(alice)
    assert "Price unavailable" in client.get("/").content.decode()
    for path in ("/cash", "/trades", "/statements", "/account"):
        assert client.get(path).status_code == 200


@pytest.mark.parametrize("day", ["0001-01-01", "1969-12-31", "1970-01-01", "9999-12-31"])
@pytest.mark.parametrize("end", ["since", "until"])
def test_a_day_at_the_end_of_the_calendar_is_refused(bob: Customer, page_of: PageOf, end: str, day: str) -> None:
    assert page_of(bob).get(f"/trades?{end}={day}").status_code == 422
