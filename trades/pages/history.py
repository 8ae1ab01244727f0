"""The pages of a customer's trades: the list, one trade, its live status, its cancellation, and its confirmation."""

from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET

from accounts import queries as accounts
from exchange.messages import storable
from exchange.models import Stock
from trades import valuation
from trades.cancel import NoSuchTrade, NotCancellable, cancel_trade
from trades.confirmation import confirmation_of, lines_of
from trades.halts import halt_of
from trades.models import FINAL, Status, Trade
from trades.pages.home import NO_CONTENT
from trades.search import TradeFilter, find_trades
from web.current_customer import current_customer, current_customer_id
from web.documents import in_turn
from web.sign_in import form_of, page_at, signed_in

TRADES_PER_PAGE = 25
TICKERS_MAX = 200  # the most stocks that the search text can match
SEQUENCE_DIGITS_MAX = 18


class DayField(forms.DateField):
    """A date that is far enough from the limits of the date type for arithmetic."""

    widget = forms.DateInput({"type": "date"})
    default_validators = [
        MinValueValidator(date(1970, 1, 2), "Choose a day after January 1, 1970."),
        MaxValueValidator(date(2999, 12, 31), "Choose a day before the year 3000."),
    ]


class FilterForm(forms.Form):
    """The filter of the list of trades."""

    q = forms.CharField(required=False, max_length=60, label="Stock", widget=forms.TextInput({"placeholder": "AAPL"}))
    status = forms.ChoiceField(
        required=False, choices=[("", "All"), *((choice.value, choice.value.capitalize()) for choice in Status)]
    )
    type = forms.ChoiceField(required=False, choices=[("", "Both"), ("BUY", "Buy"), ("SELL", "Sell")], label="Side")
    since = DayField(required=False, label="From")
    until = DayField(required=False, label="To")


@signed_in
@require_GET
def trades(request: HttpRequest) -> HttpResponse:
    """List the customer's trades, newest first."""
    customer_id = current_customer_id(request)
    form = FilterForm(request.GET)
    before = request.GET.get("before", "")
    below = int(before) if before.isdecimal() and len(before) <= SEQUENCE_DIGITS_MAX else None
    trade_filter = _filter(form.cleaned_data if form.is_valid() else {}, below)
    page = find_trades(customer_id, trade_filter, TRADES_PER_PAGE + 1) if trade_filter else []
    trades_shown = page[:TRADES_PER_PAGE]
    query = request.GET.copy()
    query["before"] = str(trades_shown[-1].sequence) if len(page) > len(trades_shown) else ""
    return render(
        request,
        "trades/trades.html",
        {
            "form": form,
            "trades": trades_shown,
            "next": query.urlencode() if query["before"] else None,
            "is_first": not before,
            "is_filtered": any(form.cleaned_data.values()) if form.is_valid() else True,
            "is_open": any(trade.status not in FINAL for trade in trades_shown),
            "has_any": bool(trades_shown) or Trade.objects.filter(customer_id=customer_id).exists(),
            "halt": halt_of(customer_id),
        },
        status=200 if form.is_valid() else 422,
    )


def _filter(data: dict[str, Any], below: int | None) -> TradeFilter | None:
    """Return the filter that the form asks for; None if nothing can match."""
    tickers = _tickers(storable(data["q"].strip(), 60)) if data.get("q") else []
    if data.get("q") and not tickers:
        return None
    since, until = data.get("since"), data.get("until")
    return TradeFilter(
        statuses=[data["status"]] if data.get("status") else (),
        types=[data["type"]] if data.get("type") else (),
        tickers=tickers,
        placed_after=_midnight(since) - timedelta(microseconds=1) if since else None,
        placed_before=_midnight(until) + timedelta(days=1) if until else None,
        below=below,
    )


def _tickers(text: str) -> list[str]:
    """Return the tickers of the stocks whose ticker begins with this text or whose company's name contains it."""
    stocks = Stock.objects.filter(Q(ticker__istartswith=text) | Q(name__icontains=text))
    return list(stocks.order_by("ticker").values_list("ticker", flat=True)[:TICKERS_MAX])


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), timezone.get_current_timezone())


def _trade(request: HttpRequest, trade_id: UUID) -> Trade:
    trade = Trade.objects.filter(customer_id=current_customer_id(request), id=trade_id).first()
    if trade is None:
        raise Http404
    return trade


def _trade_context(request: HttpRequest, trade: Trade) -> dict[str, Any]:
    # A lane may have changed the trade since it was read: the page shows it as it was.
    changes = list(trade.status_changes.order_by("id"))
    reached = [number for number, change in enumerate(changes, start=1) if change.to_status == trade.status]
    postings = list(accounts.postings_of(trade.customer_id).filter(cause=trade.id).order_by("id"))
    company = valuation.company_names([trade.ticker]).get(trade.ticker, trade.ticker)
    return {
        "trade": trade,
        "company": company,
        "confirmation": lines_of(trade, current_customer(request), company) if trade.status == Status.FILLED else [],
        "status_changes": changes[: max(reached, default=0)],
        "is_final": trade.status in FINAL,
        "cash_posting": next((posting for posting in postings if not posting.ticker), None),
        "share_posting": next((posting for posting in postings if posting.ticker), None),
    }


@signed_in
@require_GET
def trade(request: HttpRequest, trade_id: UUID) -> HttpResponse:
    """Show one trade with its history."""
    trade = _trade(request, trade_id)
    halt = None if trade.status in FINAL else halt_of(trade.customer_id, trade.ticker)
    return render(request, "trades/trade.html", _trade_context(request, trade) | {"halt": halt})


@signed_in
@require_GET
def live(request: HttpRequest, trade_id: UUID) -> HttpResponse:
    """Refresh a page that shows the trade with the status `seen`; answer 204 if it hasn't changed."""
    trade = _trade(request, trade_id)
    if request.GET.get("seen") == trade.status:
        return HttpResponse(status=NO_CONTENT)
    return render(request, "trades/live.html", _trade_context(request, trade))


@form_of(page_at("trade", "trade_id"))
def cancel(request: HttpRequest, trade_id: UUID) -> HttpResponse:
    """Cancel a trade that hasn't been sent."""
    try:
        cancel_trade(current_customer_id(request), trade_id, by="pages")
        messages.success(request, "Cancelled before it was sent. Nothing was bought or sold.")
    except NoSuchTrade:
        raise Http404 from None
    except NotCancellable as late:
        state = "already on its way to the exchange" if late.trade.status == Status.IN_PROGRESS else "final"
        messages.error(request, f"Too late to cancel: the trade is {state}.")
    return redirect(reverse("trade", args=[trade_id]))


@signed_in
@require_GET
@in_turn
def confirmation(request: HttpRequest, trade_id: UUID) -> HttpResponse:
    """Send the confirmation of a FILLED trade as a PDF."""
    trade = _trade(request, trade_id)
    if trade.status != Status.FILLED:
        raise Http404
    context = _trade_context(request, trade)
    response = HttpResponse(
        confirmation_of(trade, current_customer(request), context["company"]), content_type="application/pdf"
    )
    response["Content-Disposition"] = f'attachment; filename="confirmation-{trade.id}.pdf"'
    return response
