"""One box finds a customer by e-mail, name or id, a trade by id, a stock by ticker."""

from dataclasses import dataclass
from uuid import UUID

from django.contrib import admin
from django.contrib.postgres.search import SearchQuery, SearchVector
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse

from accounts.models import Adjustment, Customer, Posting, normal_email
from exchange.messages import storable
from exchange.models import Stock
from trades.models import Trade
from web.drf import BIGINT_MAX

FOUND_MAX = 50


@dataclass(frozen=True, slots=True)
class Hit:
    """Something that was found. `kind`: customer, trade or stock."""

    kind: str
    title: str
    detail: str
    link: str


def find(request: HttpRequest) -> HttpResponse:
    """The search page; straight to what was found where there is only one."""
    text = storable(request.GET.get("q", ""), 200).strip()
    hits = look_for(text)
    if len(hits) == 1:
        return redirect(hits[0].link)
    context = admin.site.each_context(request)
    return TemplateResponse(request, "office/find.html", context | {"title": "Search", "q": text, "hits": hits})


def look_for(text: str) -> list[Hit]:
    """What this text may mean, FOUND_MAX customers at most. Every look is served by an index."""
    if not text:
        return []
    try:
        return _by_id(UUID(text))
    except ValueError:
        pass
    hits = [_customer(customer) for customer in customers(text)]
    stock = Stock.objects.filter(ticker=text.upper()[:12]).first()
    if stock:
        link = f"{reverse('admin:trades_trade_changelist')}?ticker={stock.ticker}"
        hits.insert(0, Hit("stock", stock.ticker, f"{stock.name}: its trades", link))
    return hits


def customers(text: str) -> list[Customer]:
    """Customers by id, by e-mail or its beginning, or by the beginnings of words of their name."""
    if text.isascii() and text.isdigit():
        return list(Customer.objects.filter(id=int(text))) if int(text) <= BIGINT_MAX else []
    email = normal_email(text)
    if exact := list(Customer.objects.filter(email=email)):
        return exact
    found: dict[int, Customer] = {}
    if len(email) >= 2 and " " not in email:
        for customer in Customer.objects.filter(email__startswith=email).order_by("email")[:FOUND_MAX]:
            found[customer.id] = customer
    words = ["".join(letter for letter in word if letter.isalnum()) for word in text.split()]
    if words := [word for word in words if word]:
        query = SearchQuery(" & ".join(f"{word}:*" for word in words), search_type="raw", config="simple")
        named = Customer.objects.annotate(words=SearchVector("name", config="simple")).filter(words=query)
        for customer in named[:FOUND_MAX]:
            found.setdefault(customer.id, customer)
    return list(found.values())[:FOUND_MAX]


def _by_id(id: UUID) -> list[Hit]:
    trade = Trade.objects.filter(id=id).select_related("customer").first()
    if trade:
        link = reverse("admin:trades_trade_change", args=[trade.id])
        return [Hit("trade", str(trade), f"{trade.status} · {trade.customer}", link)]
    if Adjustment.objects.filter(id=id).exists():
        return [Hit("adjustment", "Adjustment", str(id), reverse("admin:accounts_adjustment_change", args=[id]))]
    posting = Posting.objects.filter(cause=id).select_related("customer").first()
    return [_customer(posting.customer)] if posting else []


def _customer(customer: Customer) -> Hit:
    link = reverse("admin:accounts_customer_change", args=[customer.id])
    return Hit("customer", customer.email, f"{customer.name or 'no name'} · id {customer.id}", link)
