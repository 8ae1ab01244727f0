"""The pages of trading: home, a stock, the ticket, trades."""

from datetime import datetime, time, timedelta
from typing import Any
from uuid import UUID, uuid4

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Case, IntegerField, Q, QuerySet, Value, When
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from accounts import queries as accounts
from accounts import watchlists
from exchange import market, prices
from exchange.messages import storable
from exchange.models import Stock
from trades import checks, valuation
from trades.cancel import NoSuchTrade, NotCancellable, cancel_trade
from trades.checks import PlacingRefused
from trades.confirmation import confirmation_of
from trades.estimate import Estimate, estimate_trade
from trades.halts import halt_of, refusal
from trades.models import FINAL, Status, Trade, Type
from trades.place import QUANTITY_MAX, TradeKeyReused, UnknownTicker, place_trade
from trades.valuation import PERIODS, Period
from web.current_customer import current_customer_id
from web.templatetags.figures import usd

TRADES_A_PAGE = 25
OPEN_SHOWN = 10
FOUND_MAX = 8
NOTHING_NEW = 204  # htmx leaves the page as it is


def _period(request: HttpRequest) -> Period:
    return PERIODS.get(request.GET.get("range", ""), PERIODS["1D"])


# -- home


@login_required
@require_GET
def home(request: HttpRequest) -> HttpResponse:
    """What the account is worth, what is in it, what is on its way, what is watched."""
    customer_id = current_customer_id(request)
    positions = {position.ticker: position for position in accounts.positions_of(customer_id)}
    watched = watchlists.watched_by(customer_id)
    found = valuation.holdings([*positions, *(ticker for ticker in watched if ticker not in positions)], positions)
    by_ticker = {holding.ticker: holding for holding in found}
    return render(
        request,
        "trades/home.html",
        {
            "worth": valuation.worth(customer_id, period := _period(request)),
            "period": period,
            "periods": PERIODS,
            "balance": accounts.balance_of(customer_id),
            "holdings": [by_ticker[ticker] for ticker in positions],
            "watched": [by_ticker[ticker] for ticker in watched],
            "open": _open(customer_id),
            "halt": halt_of(customer_id),
        },
    )


def _open(customer_id: int) -> dict[str, Any]:
    """Open trades, oldest first, and a word that changes when they do."""
    trades = list(_open_of(customer_id).order_by("sequence")[:OPEN_SHOWN])
    return {"trades": trades, "seen": "-".join(f"{trade.sequence}{trade.status[0]}" for trade in trades)}


def _open_of(customer_id: int) -> QuerySet[Trade]:
    return Trade.objects.filter(customer_id=customer_id, status__in=[Status.PLACED, Status.IN_PROGRESS])


@login_required
@require_GET
def open_trades(request: HttpRequest) -> HttpResponse:
    """The open trades, for a page that shows them as `seen`: nothing where they are still the same."""
    now_open = _open(current_customer_id(request))
    if request.GET.get("seen") == now_open["seen"]:
        return HttpResponse(status=NOTHING_NEW)
    response = render(request, "trades/open.html", {"open": now_open})
    response["HX-Trigger"] = "trades-moved"
    return response


# -- stocks


def _stock(ticker: str) -> Stock:
    stock = Stock.objects.filter(ticker=storable(ticker.upper(), 12)).first()
    if stock is None:
        raise Http404
    return stock


@login_required
@require_GET
def stock(request: HttpRequest, ticker: str) -> HttpResponse:
    """A stock: its price and its course, what the customer has of it, and the ticket."""
    found = _stock(ticker)
    return render(request, "trades/stock.html", _stock_context(request, found) | {"ticket": TicketForm(found.ticker)})


def _stock_context(request: HttpRequest, found: Stock) -> dict[str, Any]:
    customer_id = current_customer_id(request)
    positions = {position.ticker: position for position in accounts.positions_of(customer_id)}
    (holding,) = valuation.holdings([found.ticker], positions)
    period = _period(request)
    chart, ratio = valuation.stock_chart(found.ticker, period, holding.quote)
    return {
        "stock": found,
        "halt": halt_of(customer_id, found.ticker),
        "holding": holding,
        "chart": chart,
        "ratio": ratio,
        "period": period,
        "periods": PERIODS,
        "period_words": valuation.day_words() if period.name == "1D" else period.words,
        "balance": accounts.balance_of(customer_id),
        "is_watched": found.ticker in watchlists.watched_by(customer_id),
        "recent": Trade.objects.filter(customer_id=customer_id, ticker=found.ticker).order_by("-sequence")[:5],
    }


@login_required
@require_GET
def search(request: HttpRequest) -> HttpResponse:
    """Stocks by ticker or company: a list under the search field, or a page of its own."""
    words = storable(request.GET.get("q", "").strip(), 60)
    found = list(_found(words)) if words else []
    exact = [stock for stock in found if stock.ticker == words.upper()]
    is_fragment = "HX-Request" in request.headers
    if exact and not is_fragment:
        return redirect("stock", exact[0].ticker)
    return render(
        request, "trades/found.html" if is_fragment else "trades/search.html", {"words": words, "found": found}
    )


def _found(words: str) -> QuerySet[Stock]:
    nearness = Case(
        When(ticker=words.upper(), then=Value(0)),
        When(ticker__istartswith=words, then=Value(1)),
        When(name__istartswith=words, then=Value(2)),
        default=Value(3),
        output_field=IntegerField(),
    )
    listed = Stock.objects.filter(Q(ticker__istartswith=words) | Q(name__icontains=words), listed=True)
    return listed.annotate(nearness=nearness).order_by("nearness", "ticker")[:FOUND_MAX]


@login_required
@require_POST
def watch(request: HttpRequest, ticker: str) -> HttpResponse:
    """Put a stock on the watchlist, or take it off."""
    found = _stock(ticker)
    if request.POST.get("off"):
        watchlists.unwatch(current_customer_id(request), found.ticker)
    else:
        try:
            watchlists.watch(current_customer_id(request), found.ticker)
        except watchlists.WatchlistFull:
            messages.error(request, f"A watchlist has {watchlists.TICKERS_MAX} stocks at most. Remove one first.")
    return redirect("stock", found.ticker)


# -- the ticket


class TicketForm(forms.Form):
    """A market order for whole shares."""

    type = forms.ChoiceField(choices=[("BUY", "Buy"), ("SELL", "Sell")], initial="BUY", widget=forms.RadioSelect)
    quantity = forms.CharField(
        max_length=12,
        label="Shares",
        widget=forms.TextInput(attrs={"inputmode": "numeric", "autocomplete": "off", "placeholder": "0"}),
        error_messages={"required": "How many shares? Write a whole number, such as 5."},
    )

    def __init__(self, ticker: str, data: Any = None, initial: dict[str, Any] | None = None) -> None:
        super().__init__(data, initial=initial)
        self.ticker = ticker

    def clean_quantity(self) -> int:
        text = self.cleaned_data["quantity"].replace(",", "").strip()
        if not (text.isascii() and text.isdecimal()):
            raise forms.ValidationError("Whole shares only: write a number such as 5.")
        if not 1 <= int(text) <= QUANTITY_MAX:
            raise forms.ValidationError(f"One trade is of 1 to {QUANTITY_MAX:,} shares.")
        return int(text)


def _problem(estimate: Estimate) -> str:
    """Why the customer can't place this, in a sentence; empty where they can."""
    if estimate.is_covered:
        return ""
    ahead = " after your open trades" if estimate.ahead else ""
    if estimate.type == Type.BUY:
        return f"That costs about {usd(estimate.amount)}, and you have {usd(estimate.cash)}{ahead}."
    if estimate.shares:
        return f"You own {estimate.shares:,} {estimate.ticker}{ahead}."
    return f"You own no {estimate.ticker} to sell{ahead}."


@login_required
@require_GET
def estimate(request: HttpRequest, ticker: str) -> HttpResponse:
    """The part of the ticket that says what it would come to, while it is being filled in."""
    found = _stock(ticker)
    form = TicketForm(found.ticker, request.GET)
    made = None
    if form.is_valid():
        made = estimate_trade(
            current_customer_id(request), found.ticker, form.cleaned_data["type"], form.cleaned_data["quantity"]
        )
    quote = prices.quotes([found.ticker]).get(found.ticker)
    context = {"estimate": made, "problem": made and _problem(made), "price": quote.price if quote else None}
    return render(request, "trades/estimate.html", context)


@login_required
@require_GET
def review(request: HttpRequest, ticker: str) -> HttpResponse:
    """The ticket read back, with a key that makes of however many confirmations one trade. Places nothing."""
    found = _stock(ticker)
    if "quantity" not in request.GET:
        initial = {"type": request.GET.get("type", "BUY")}
        return render(
            request,
            "trades/ticket.html",
            _stock_context(request, found) | {"ticket": TicketForm(ticker, initial=initial)},
        )
    form = TicketForm(found.ticker, request.GET)
    if form.is_valid() and _may_place(request, form):
        made = estimate_trade(
            current_customer_id(request), found.ticker, form.cleaned_data["type"], form.cleaned_data["quantity"]
        )
        if not (problem := _problem(made)):
            context = {"stock": found, "estimate": made, "key": uuid4(), "market_at": market.clock()}
            return render(request, "trades/review.html", context)
        form.add_error("quantity", problem)
    return render(request, "trades/ticket.html", _stock_context(request, found) | {"ticket": form}, status=422)


def _may_place(request: HttpRequest, form: TicketForm) -> bool:
    """Whether staff lets the customer place this; where not, the form says why."""
    try:
        checks.check(current_customer_id(request), form.ticker, form.cleaned_data["quantity"])
    except PlacingRefused as refused:
        form.add_error(*refusal(refused, current_customer_id(request), form.ticker))
        return False
    return True


@login_required
@require_POST
def place(request: HttpRequest, ticker: str) -> HttpResponse:
    """Place the trade that was reviewed. The same key again: the same trade."""
    found = _stock(ticker)
    form = TicketForm(found.ticker, request.POST)
    key = request.POST.get("key", "")
    if not (form.is_valid() and 1 <= len(key) <= 64 and key.isascii() and key.isprintable()):
        return render(request, "trades/ticket.html", _stock_context(request, found) | {"ticket": form}, status=422)
    asked = form.cleaned_data
    try:
        trade, _ = place_trade(
            current_customer_id(request), found.ticker, asked["type"], asked["quantity"], f"page-{key}", by="pages"
        )
    except UnknownTicker:
        form.add_error(None, f"The exchange does not list {found.ticker} any more.")
    except TradeKeyReused:
        form.add_error(None, "This ticket was used for another trade. Fill in a new one.")
    except PlacingRefused as refused:
        form.add_error(*refusal(refused, current_customer_id(request), found.ticker))
    else:
        return redirect("trade", trade.id)
    return render(request, "trades/ticket.html", _stock_context(request, found) | {"ticket": form}, status=422)


# -- trades


class FilterForm(forms.Form):
    """Which trades to list."""

    q = forms.CharField(required=False, max_length=60, label="Stock", widget=forms.TextInput({"placeholder": "AAPL"}))
    status = forms.ChoiceField(
        required=False, choices=[("", "All"), *((s.value, s.value.capitalize()) for s in Status)]
    )
    type = forms.ChoiceField(required=False, choices=[("", "Both"), ("BUY", "Buy"), ("SELL", "Sell")], label="Side")
    since = forms.DateField(required=False, label="From", widget=forms.DateInput({"type": "date"}))
    until = forms.DateField(required=False, label="To", widget=forms.DateInput({"type": "date"}))


@login_required
@require_GET
def trades(request: HttpRequest) -> HttpResponse:
    """The customer's trades, newest first."""
    form = FilterForm(request.GET)
    found = Trade.objects.filter(customer_id=current_customer_id(request)).order_by("-sequence")
    has_any = found.exists()
    if form.is_valid():
        found = _filtered(found, form.cleaned_data)
    before = request.GET.get("before", "")
    if before.isdecimal() and len(before) < 19:
        found = found.filter(sequence__lt=int(before))
    page = list(found[: TRADES_A_PAGE + 1])
    shown = page[:TRADES_A_PAGE]
    query = request.GET.copy()
    query["before"] = str(shown[-1].sequence) if len(page) > len(shown) else ""
    return render(
        request,
        "trades/trades.html",
        {
            "form": form,
            "trades": shown,
            "names": valuation.names_of({trade.ticker for trade in shown}),
            "next": query.urlencode() if query["before"] else None,
            "is_first": not before,
            "is_filtered": any(form.cleaned_data.values()) if form.is_valid() else True,
            "has_any": has_any,
            "halt": halt_of(current_customer_id(request)),
        },
        status=200 if form.is_valid() else 422,
    )


def _filtered(found: QuerySet[Trade], asked: dict[str, Any]) -> QuerySet[Trade]:
    if asked["q"]:
        words = storable(asked["q"].strip(), 60)
        named = Stock.objects.filter(name__icontains=words).values_list("ticker", flat=True)
        found = found.filter(Q(ticker__istartswith=words) | Q(ticker__in=list(named[:200])))
    if asked["status"]:
        found = found.filter(status=asked["status"])
    if asked["type"]:
        found = found.filter(type=asked["type"])
    if asked["since"]:
        found = found.filter(placed_at__gte=_midnight(asked["since"]))
    if asked["until"]:
        found = found.filter(placed_at__lt=_midnight(asked["until"]) + timedelta(days=1))
    return found


def _midnight(day: Any) -> datetime:
    return datetime.combine(day, time(), timezone.get_current_timezone())


def _trade(request: HttpRequest, trade_id: UUID) -> Trade:
    trade = Trade.objects.filter(customer_id=current_customer_id(request), id=trade_id).first()
    if trade is None:
        raise Http404
    return trade


def _trade_context(found: Trade) -> dict[str, Any]:
    postings = list(accounts.postings_of(found.customer_id).filter(cause=found.id).order_by("id"))
    return {
        "trade": found,
        "company": valuation.names_of([found.ticker]).get(found.ticker, found.ticker),
        "status_changes": found.status_changes.order_by("id"),
        "is_final": found.status in FINAL,
        "cash_posting": next((posting for posting in postings if not posting.ticker), None),
        "share_posting": next((posting for posting in postings if posting.ticker), None),
    }


@login_required
@require_GET
def trade(request: HttpRequest, trade_id: UUID) -> HttpResponse:
    """One trade with its history."""
    found = _trade(request, trade_id)
    halt = None if found.status in FINAL else halt_of(found.customer_id, found.ticker)
    return render(request, "trades/trade.html", _trade_context(found) | {"halt": halt})


@login_required
@require_GET
def live(request: HttpRequest, trade_id: UUID) -> HttpResponse:
    """What of a trade's page moves, for a page that shows it as `seen`: nothing where it is still the same."""
    found = _trade(request, trade_id)
    if request.GET.get("seen") == found.status:
        return HttpResponse(status=NOTHING_NEW)
    return render(request, "trades/live.html", _trade_context(found))


@login_required
@require_POST
def cancel(request: HttpRequest, trade_id: UUID) -> HttpResponse:
    """Take a trade back that was not sent."""
    try:
        cancel_trade(current_customer_id(request), trade_id, by="pages")
        messages.success(request, "Cancelled before it was sent. Nothing was bought or sold.")
    except NoSuchTrade:
        raise Http404 from None
    except NotCancellable as late:
        words = "already on its way to the exchange" if late.trade.status == Status.IN_PROGRESS else "final"
        messages.error(request, f"Too late to cancel: the trade is {words}.")
    return redirect(reverse("trade", args=[trade_id]))


@login_required
@require_GET
def confirmation(request: HttpRequest, trade_id: UUID) -> HttpResponse:
    """The confirmation of a trade that was FILLED, as PDF."""
    found = _trade(request, trade_id)
    if found.status != Status.FILLED:
        raise Http404
    context = _trade_context(found)
    response = HttpResponse(
        confirmation_of(found, list(context["status_changes"]), context["company"]), content_type="application/pdf"
    )
    response["Content-Disposition"] = f'attachment; filename="confirmation-{found.id}.pdf"'
    return response
