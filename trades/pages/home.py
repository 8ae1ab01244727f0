"""Home: what the account is worth, what is in it, what is open, and what is watched."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from accounts import queries as accounts
from accounts import watchlists
from trades import valuation
from trades.estimate import buying_power
from trades.halts import halt_of
from trades.models import Status, Trade
from trades.valuation import PERIODS, Period
from web.current_customer import current_customer_id
from web.sign_in import signed_in

OPEN_SHOWN = 10
NOTHING_NEW = 204  # htmx leaves the page as it is


def period_of(request: HttpRequest) -> Period:
    """Return the period that a chart is asked to show; one day if none is."""
    return PERIODS.get(request.GET.get("range", ""), PERIODS["1D"])


@signed_in
@require_GET
def home(request: HttpRequest) -> HttpResponse:
    """Show what the account is worth, its positions, open trades and watchlist."""
    customer_id = current_customer_id(request)
    positions = {position.ticker: position for position in accounts.positions_of(customer_id)}
    watched = watchlists.watched_by(customer_id)
    found = valuation.holdings([*positions, *(ticker for ticker in watched if ticker not in positions)], positions)
    by_ticker = {holding.ticker: holding for holding in found}
    return render(
        request,
        "trades/home.html",
        {
            "worth": valuation.worth(customer_id, period := period_of(request)),
            "period": period,
            "periods": PERIODS,
            "balance": accounts.balance_of(customer_id),
            "buying_power": buying_power(customer_id),
            "holdings": [by_ticker[ticker] for ticker in positions],
            "watched": [by_ticker[ticker] for ticker in watched],
            "open": _open(customer_id),
            "halt": halt_of(customer_id),
        },
    )


def _open(customer_id: int) -> dict[str, Any]:
    """Return the open trades, oldest first, and a text that changes when they do."""
    is_open = Trade.objects.filter(customer_id=customer_id, status__in=[Status.PLACED, Status.IN_PROGRESS])
    trades = list(is_open.order_by("sequence")[:OPEN_SHOWN])
    return {"trades": trades, "seen": "-".join(f"{trade.sequence}{trade.status[0]}" for trade in trades)}


@signed_in
@require_GET
def open_trades(request: HttpRequest) -> HttpResponse:
    """Refresh the open trades of a page that shows the ones in `seen`; answer 204 if they haven't changed."""
    now_open = _open(current_customer_id(request))
    if request.GET.get("seen") == now_open["seen"]:
        return HttpResponse(status=NOTHING_NEW)
    response = render(request, "trades/open.html", {"open": now_open})
    response["HX-Trigger"] = "trades-moved"
    return response
