"""The search page: find a customer by email, name or id, a trade or adjustment by id, or a stock by ticker."""

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
from office import audit
from office.access import actor_of
from trades.models import Trade

FOUND_MAX = 50


@dataclass(frozen=True, slots=True)
class Result:
    """A search result: a customer, trade, adjustment or stock."""

    kind: str
    title: str
    detail: str
    link: str
    customer_id: int | None = None


def page(request: HttpRequest) -> HttpResponse:
    """Show the results, or redirect to the result if there is only one."""
    text = storable(request.GET.get("q", ""), 200).strip()
    results = find(text)
    customer_ids = [result.customer_id for result in results]
    audit.record_seen(actor_of(request), "search", customer_ids, subject=text, asked={"searched": text})
    if len(results) == 1:
        return redirect(results[0].link)
    context = admin.site.each_context(request) | {"title": "Search", "q": text, "results": results}
    return TemplateResponse(request, "office/search.html", context)


def find(text: str) -> list[Result]:
    """Return the results for a text, with at most FOUND_MAX customers. Every query is served by an index."""
    if not text:
        return []
    try:
        return _by_id(UUID(text))
    except ValueError:
        pass
    results = [_customer(customer) for customer in find_customers(text)]
    stock = Stock.objects.filter(ticker=text.upper()[:12]).first()
    if stock:
        link = f"{reverse('admin:trades_trade_changelist')}?ticker={stock.ticker}"
        results.insert(0, Result("stock", stock.ticker, f"Trades in {stock.name}", link))
    return results


def find_customers(text: str) -> list[Customer]:
    """Return the customers with this id, with an email that starts with the text, or with a matching name."""
    if text.isascii() and text.isdigit():
        return list(Customer.objects.filter(id=int(text))) if len(text) <= 18 else []
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
        by_name = Customer.objects.annotate(words=SearchVector("name", config="simple")).filter(words=query)
        for customer in by_name[:FOUND_MAX]:
            found.setdefault(customer.id, customer)
    return list(found.values())[:FOUND_MAX]


def _by_id(id: UUID) -> list[Result]:
    trade = Trade.objects.filter(id=id).select_related("customer").first()
    if trade:
        link = reverse("admin:trades_trade_change", args=[trade.id])
        return [Result("trade", str(trade), f"{trade.status} · {trade.customer}", link, trade.customer_id)]
    adjustment = Adjustment.objects.filter(id=id).first()
    if adjustment:
        link = reverse("admin:accounts_adjustment_change", args=[id])
        return [Result("adjustment", "Adjustment", str(adjustment), link, adjustment.customer_id)]
    posting = Posting.objects.filter(cause=id).select_related("customer").first()
    return [_customer(posting.customer)] if posting else []


def _customer(customer: Customer) -> Result:
    link = reverse("admin:accounts_customer_change", args=[customer.id])
    return Result("customer", customer.email, f"{customer.name or 'no name'} · id {customer.id}", link, customer.id)
