"""The home page: what the account is worth, its positions, open trades, and the watchlist."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET

from accounts import queries as accounts
from accounts import watchlists
from accounts.money import money
from trades import performance, search, valuation
from trades.estimate import AHEAD_MAX, buying_power_after
from trades.halts import halt_of
from trades.models import Trade
from trades.performance import Worth
from trades.periods import PERIODS, Period, day_label
from trades.valuation import Holding
from web.current_customer import current_customer_id
from web.sign_in import ask_to_sign_in, signed_in

OPEN_SHOWN = 10
POSITIONS_SHOWN = 50  # until the customer asks for all of them
NO_CONTENT = 204  # htmx leaves the page as it is
CENT = Decimal("0.01")
OLD_SECONDS = 15  # a page shows the age of prices that were read longer ago

# The columns by which the table of positions can be sorted.
COLUMNS: dict[str, Callable[[Holding], Any]] = {
    "name": lambda holding: holding.name.lower(),
    "price": lambda holding: holding.day_change,
    "day": lambda holding: holding.day_gain,
    "value": lambda holding: holding.value,
    "gain": lambda holding: holding.gain,
}
DEFAULT_SORT = "-value"


def period_of(request: HttpRequest) -> Period:
    """Return the period that the request asks a chart to show; one day by default."""
    return PERIODS.get(request.GET.get("range", ""), PERIODS["1D"])


@require_GET
def home(request: HttpRequest) -> HttpResponse:
    """Show what the account is worth, its positions, open trades and watchlist. Send visitors to the welcome page."""
    if not request.user.is_authenticated:
        return ask_to_sign_in(request, request.path) if "HX-Request" in request.headers else redirect("welcome")
    customer_id = current_customer_id(request)
    positions = {position.ticker: position for position in accounts.positions_of(customer_id)}
    watched = watchlists.watched_by(customer_id)
    found = valuation.holdings([*positions, *(ticker for ticker in watched if ticker not in positions)], positions)
    by_ticker = {holding.ticker: holding for holding in found}
    period, shows_deposits = period_of(request), request.GET.get("show") == "deposits"
    worth = performance.worth(customer_id, period, shows_deposits=shows_deposits)
    owned = [by_ticker[ticker] for ticker in positions]
    balance, ahead = accounts.balance_of(customer_id), search.open_trades(customer_id, AHEAD_MAX)
    sort, shows_all = request.GET.get("sort", DEFAULT_SORT), "all" in request.GET
    in_order = _sorted(owned, sort)
    rows_max = len(in_order) if shows_all else POSITIONS_SHOWN
    return render(
        request,
        "trades/home.html",
        {
            "worth": worth,
            "period": period,
            "periods": PERIODS,
            "shows_deposits": shows_deposits,
            "balance": balance,
            "buying_power": buying_power_after(balance, positions.values(), ahead),
            "holdings": in_order[:rows_max],
            "not_shown": in_order[rows_max:],
            "owned": len(owned),
            "shows_all": shows_all,
            "total": (total := _total(owned, worth)),
            "gain_elsewhere": _gain_elsewhere(worth, total) if period.name == "1D" else None,
            "delisted": [holding.ticker for holding in owned if holding.quote and holding.quote.is_last_known],
            "sort": sort,
            "day_words": day_label(),
            "watched": [by_ticker[ticker] for ticker in watched],
            "old": oldest_read_at(found),
            "open": _open(ahead),
            "halt": halt_of(customer_id),
        },
    )


def _sorted(owned: list[Holding], sort: str) -> list[Holding]:
    """Return positions in the requested order; those without the figure come last."""
    key = COLUMNS.get(sort.removeprefix("-"), COLUMNS["value"])
    known = [holding for holding in owned if key(holding) is not None]
    unknown = [holding for holding in owned if key(holding) is None]
    return [*sorted(known, key=key, reverse=sort.startswith("-")), *unknown]


def _total(owned: list[Holding], worth: Worth) -> dict[str, Decimal] | None:
    """Return the totals of the table, and set each position's share of the account. None if a price is missing."""
    if not owned or any(holding.value is None for holding in owned):
        return None
    for holding in owned:
        holding.share = holding.value / worth.value if worth.value and holding.value is not None else None
    value = sum((holding.value or Decimal(0) for holding in owned), Decimal(0))
    cost = sum((holding.cost for holding in owned), Decimal(0))
    day = sum((holding.day_gain or Decimal(0) for holding in owned), Decimal(0))
    return {
        "value": value,
        "gain": value - cost,
        "gain_ratio": (value - cost) / cost if cost else Decimal(0),
        "day": day,
        "day_ratio": day / (value - day) if value != day else Decimal(0),
        "share": value / worth.value if worth.value else Decimal(0),
    }


def _gain_elsewhere(worth: Worth, total: dict[str, Decimal] | None) -> Decimal | None:
    """Return the part of the day's gain (USD) that is not of the positions; None if that is less than a cent."""
    if worth.gain is None or total is None:
        return None
    elsewhere = money(worth.gain - total["day"])
    return elsewhere if abs(elsewhere) >= CENT else None


def oldest_read_at(holdings: list[Holding]) -> float | None:
    """Return when the oldest price was read (epoch seconds) if that is more than OLD_SECONDS ago, else None."""
    quotes = [holding.quote for holding in holdings if holding.quote and holding.quote.age_seconds > OLD_SECONDS]
    return min((quote.read_at or 0.0 for quote in quotes), default=None)


def _open(trades: list[Trade]) -> dict[str, Any]:
    """Return the open trades that the page shows, oldest first, and a string that changes when they do."""
    trades_shown = trades[:OPEN_SHOWN]
    return {"trades": trades_shown, "seen": "-".join(f"{trade.sequence}{trade.status[0]}" for trade in trades_shown)}


@signed_in
@require_GET
def open_trades(request: HttpRequest) -> HttpResponse:
    """Refresh the open trades on a page that shows those of `seen`; answer 204 if they haven't changed."""
    now_open = _open(search.open_trades(current_customer_id(request), OPEN_SHOWN))
    if request.GET.get("seen") == now_open["seen"]:
        return HttpResponse(status=NO_CONTENT)
    response = render(request, "trades/open.html", {"open": now_open})
    response["HX-Trigger"] = "trades-moved"
    return response
