"""A stock's page, the search for stocks, and the watchlist."""

from typing import Any

from django.contrib import messages
from django.db.models import Case, IntegerField, Q, QuerySet, Value, When
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET

from accounts import gains, watchlists
from accounts import queries as accounts
from exchange.messages import storable
from exchange.models import Stock
from trades import performance, ticker_change, valuation
from trades.estimate import estimate_trade
from trades.halts import halt_of
from trades.models import FINAL, Type
from trades.pages.home import oldest_read_at, period_of
from trades.pages.tickets import TicketForm
from trades.periods import PERIODS, day_label
from trades.search import TradeFilter, find_trades
from web.current_customer import current_customer_id
from web.sign_in import form_of, page_at, signed_in

FOUND_MAX = 8
RECENT_SHOWN = 5
LOTS_SHOWN = 10  # open lots, and sold ones; the gains page has all of them


def stock_or_404(ticker: str) -> Stock:
    """Return a stock that the exchange lists or once listed, or answer 404."""
    stock = Stock.objects.filter(ticker=storable(ticker.upper(), 12)).first()
    if stock is None:
        raise Http404
    return stock


@signed_in
@require_GET
def stock(request: HttpRequest, ticker: str) -> HttpResponse:
    """Show a stock: its price and chart, the customer's position with its lots and gains, and the ticket."""
    found = stock_or_404(ticker)
    if not found.listed and (today := ticker_change.today(found.ticker)) != found.ticker:
        return redirect("stock", today)
    customer_id = current_customer_id(request)
    sold = gains.gains_on(customer_id, found.ticker)
    totals = gains.totals_of(sold)
    context = {
        "ticket": TicketForm(found.ticker),
        "lots": list(gains.open_lots_of(customer_id, found.ticker)[:LOTS_SHOWN]),
        "sold": list(sold[:LOTS_SHOWN]),
        "short_term": totals[False],
        "long_term": totals[True],
    }
    return render(request, "trades/stock.html", stock_context(request, found) | context)


def stock_context(request: HttpRequest, found: Stock) -> dict[str, Any]:
    """Return the template context of every page about one stock."""
    customer_id = current_customer_id(request)
    positions = {position.ticker: position for position in accounts.positions_of(customer_id)}
    (holding,) = valuation.holdings([found.ticker], positions)
    period = period_of(request)
    start = estimate_trade(customer_id, found.ticker, Type.BUY, 1)
    recent = find_trades(customer_id, TradeFilter(tickers=[found.ticker]), RECENT_SHOWN)
    chart, ratio = performance.stock_chart(found.ticker, period, holding.quote)
    return {
        "stock": found,
        "halt": halt_of(customer_id, found.ticker),
        "holding": holding,
        "chart": chart,
        "ratio": ratio,
        "period": period,
        "periods": PERIODS,
        "day_words": day_label(),
        "period_words": day_label() if period.name == "1D" else period.words,
        "balance": accounts.balance_of(customer_id),
        "buying_power": start.spendable,
        "shares_max": start.shares_max,
        "shares_left": start.shares,
        "is_watched": found.ticker in watchlists.watched_by(customer_id),
        "old": oldest_read_at([holding]),
        "recent": recent,
        "is_open": any(trade.status not in FINAL for trade in recent),
    }


@signed_in
@require_GET
def search(request: HttpRequest) -> HttpResponse:
    """Search stocks by ticker or company name; show a list below the search field, or a page."""
    text = storable(request.GET.get("q", "").strip(), 60)
    found = list(_matching_stocks(text)) if text else []
    exact = [stock for stock in found if stock.ticker == text.upper()]
    is_fragment = "HX-Request" in request.headers
    if exact and not is_fragment:
        return redirect("stock", exact[0].ticker)
    return render(
        request, "trades/found.html" if is_fragment else "trades/search.html", {"words": text, "found": found}
    )


def _matching_stocks(text: str) -> QuerySet[Stock]:
    nearness = Case(
        When(ticker=text.upper(), then=Value(0)),
        When(ticker__istartswith=text, then=Value(1)),
        When(name__istartswith=text, then=Value(2)),
        default=Value(3),
        output_field=IntegerField(),
    )
    listed = Stock.objects.filter(Q(ticker__istartswith=text) | Q(name__icontains=text), listed=True)
    return listed.annotate(nearness=nearness).order_by("nearness", "ticker")[:FOUND_MAX]


@form_of(page_at("stock", "ticker"))
def watch(request: HttpRequest, ticker: str) -> HttpResponse:
    """Add a stock to the watchlist, remove it, or move it up."""
    found = stock_or_404(ticker)
    if request.POST.get("off"):
        watchlists.unwatch(current_customer_id(request), found.ticker)
    elif request.POST.get("up"):
        watchlists.move_up(current_customer_id(request), found.ticker)
    else:
        try:
            watchlists.watch(current_customer_id(request), found.ticker)
        except watchlists.WatchlistFull:
            messages.error(request, f"A watchlist has {watchlists.TICKERS_MAX} stocks at most. Remove one first.")
    return redirect("watchlist") if "from_list" in request.POST else redirect("stock", found.ticker)


@signed_in
@require_GET
def watchlist(request: HttpRequest) -> HttpResponse:
    """Show the watchlist for editing: search for stocks to add, remove stocks, move them up."""
    customer_id = current_customer_id(request)
    tickers = watchlists.watched_by(customer_id)
    text = storable(request.GET.get("q", "").strip(), 60)
    context = {
        "watched": valuation.holdings(tickers, {}),
        "words": text,
        "found": [stock for stock in _matching_stocks(text) if stock.ticker not in tickers] if text else [],
    }
    return render(request, "trades/watchlist.html", context)
