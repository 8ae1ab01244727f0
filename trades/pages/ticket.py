"""The pages of the ticket: estimate a trade, review it, place it."""

from urllib.parse import urlencode
from uuid import uuid4

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET

from accounts.restrictions import sale_is_early_until
from exchange import market, prices
from trades import checks
from trades.checks import PlacingRefused, UnknownTicker
from trades.estimate import Estimate, estimate_trade
from trades.halts import explain_refusal
from trades.models import Trade, Type, WhenClosed
from trades.pages.stocks import stock_context, stock_or_404
from trades.pages.tickets import DOLLARS, TicketForm
from trades.place import TradeKeyReused, place_trade
from web.current_customer import current_customer_id
from web.sign_in import form_of, signed_in
from web.templatetags.figures import cents
from web.timezones import eastern_date, eastern_today


def _problem(estimate: Estimate) -> str:
    """Return a sentence that says why the customer can't pay or deliver; empty if they can."""
    if estimate.is_covered:
        return ""
    after_open_trades = " after your open trades" if estimate.ahead else ""
    if estimate.type == Type.BUY and estimate.settled_cash_until and estimate.spendable < estimate.cash:
        until = f"{estimate.settled_cash_until:%B} {estimate.settled_cash_until.day}"
        return (
            f"That costs about {cents(estimate.amount)}, and you have {cents(estimate.spendable)} of settled cash"
            f"{after_open_trades}. Until {until} your account buys with settled cash only."
        )
    if estimate.type == Type.BUY:
        return f"That costs about {cents(estimate.amount)}, and you have {cents(estimate.cash)}{after_open_trades}."
    if estimate.shares:
        return f"You own {estimate.shares:,} {estimate.ticker}{after_open_trades}."
    return f"You own no {estimate.ticker} to sell{after_open_trades}."


def _warning(customer_id: int, estimate: Estimate) -> str:
    """Return a sentence that says why selling now would be a good-faith violation; empty if it would not be one."""
    if estimate.type != Type.SELL or not estimate.is_covered:
        return ""
    clock = market.clock()
    opens = clock["nextOpen"] if clock and not clock["isOpen"] else None
    day = eastern_date(opens) if opens else eastern_today()
    until = sale_is_early_until(customer_id, estimate.ticker, estimate.quantity, day, estimate.selling)
    if until is None:
        return ""
    return (
        f"Selling before {until:%b} {until.day} would be a good-faith violation: you bought these shares with the "
        "proceeds of a sale that settle on that day."
    )


@signed_in
@require_GET
def estimate(request: HttpRequest, ticker: str) -> HttpResponse:
    """Show the estimate of a trade while the customer fills in the ticket."""
    stock = stock_or_404(ticker)
    form = TicketForm(stock.ticker, request.GET)
    trade_estimate = None
    if form.is_valid():
        trade_estimate = estimate_trade(
            current_customer_id(request), stock.ticker, form.cleaned_data["type"], form.cleaned_data["quantity"]
        )
    quote = prices.quotes([stock.ticker]).get(stock.ticker)
    context = {
        "estimate": trade_estimate,
        "problem": trade_estimate and _problem(trade_estimate),
        "warning": trade_estimate and _warning(current_customer_id(request), trade_estimate),
        "price": quote.price if quote else None,
        "in_dollars": request.GET.get("unit") == DOLLARS,
    }
    return render(request, "trades/estimate.html", context)


@signed_in
@require_GET
def review(request: HttpRequest, ticker: str) -> HttpResponse:
    """Show the trade for confirmation, with a key that lets it be placed only once. Places nothing itself.

    With `edit`, show the ticket again, filled in. With the key of a trade that was already placed, redirect to it.
    """
    stock = stock_or_404(ticker)
    if "quantity" not in request.GET or "edit" in request.GET:
        initial = {"type": request.GET.get("type", "BUY"), "quantity": request.GET.get("quantity", "")}
        return render(
            request,
            "trades/ticket.html",
            stock_context(request, stock) | {"ticket": TicketForm(ticker, initial=initial)},
        )
    key = request.GET.get("key", "")
    if not _is_key(key):
        key = str(uuid4())
    elif placed := Trade.objects.filter(
        customer_id=current_customer_id(request), idempotency_key=f"page-{key}"
    ).first():
        return redirect("trade", placed.id)
    form = TicketForm(stock.ticker, request.GET)
    if form.is_valid():
        # Estimate first: it waits for a price if none is cached, and the check below reads only cached prices.
        trade_estimate = estimate_trade(
            current_customer_id(request), stock.ticker, form.cleaned_data["type"], form.cleaned_data["quantity"]
        )
        if _may_place(request, form):
            if not (problem := _problem(trade_estimate)):
                warning = _warning(current_customer_id(request), trade_estimate)
                context = {"stock": stock, "estimate": trade_estimate, "key": key, "warning": warning}
                return render(request, "trades/review.html", context)
            form.add_error("quantity", problem)
    return render(request, "trades/ticket.html", stock_context(request, stock) | {"ticket": form}, status=422)


def _is_key(key: str) -> bool:
    return 1 <= len(key) <= 64 and key.isascii() and key.isprintable()


def _may_place(request: HttpRequest, form: TicketForm) -> bool:
    """Return whether trading controls allow the trade; if not, add the reason to the form."""
    try:
        checks.check(current_customer_id(request), form.ticker, form.cleaned_data["quantity"])
    except PlacingRefused as refused:
        form.add_error(*explain_refusal(refused, current_customer_id(request), form.ticker))
        return False
    return True


def _review_again(request: HttpRequest, ticker: str) -> str:
    """Return the URL of the review page for the values entered. The key makes it the same trade."""
    entered = {name: request.POST[name] for name in ("type", "quantity", "key") if name in request.POST}
    return f"{reverse('review', args=[ticker])}?{urlencode(entered)}"


@form_of(_review_again)
def place(request: HttpRequest, ticker: str) -> HttpResponse:
    """Place the trade that was reviewed.

    Idempotent: yes. The same key leads to the same trade.
    """
    stock = stock_or_404(ticker)
    form = TicketForm(stock.ticker, request.POST)
    key = request.POST.get("key", "")
    if not (form.is_valid() and _is_key(key)):
        return render(request, "trades/ticket.html", stock_context(request, stock) | {"ticket": form}, status=422)
    data = form.cleaned_data
    try:
        trade, _ = place_trade(
            current_customer_id(request),
            stock.ticker,
            data["type"],
            data["quantity"],
            f"page-{key}",
            by="pages",
            when_closed=WhenClosed.QUEUE if request.POST.get("when_closed") == WhenClosed.QUEUE else WhenClosed.REJECT,
        )
    except UnknownTicker:
        form.add_error(None, f"The exchange no longer lists {stock.ticker}.")
    except TradeKeyReused:
        form.add_error(None, "This ticket was used for another trade. Fill in a new one.")
    except PlacingRefused as refused:
        form.add_error(*explain_refusal(refused, current_customer_id(request), stock.ticker))
    else:
        return redirect("trade", trade.id)
    return render(request, "trades/ticket.html", stock_context(request, stock) | {"ticket": form}, status=422)
