"""A customer's pages as the customer sees them: read-only, and recorded in the audit log."""

import copy
import re
from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.http import require_GET

from accounts import pages as account_pages
from accounts.models import Customer
from office import audit
from office.access import actor_of
from office.actions.targets import CUSTOMER
from office.models import AuditEntry
from trades.pages import history, home
from web.timezones import EASTERN, NAMES

PAGES: dict[str, tuple[str, Callable[[HttpRequest], HttpResponse]]] = {
    "home": ("Home", home.home),
    "trades": ("Trades", history.trades),
    "cash": ("Cash", account_pages.cash),
}

# The frame runs no scripts, so the elements for browsers without scripts, which would reload the page, are removed. So
# are links, because the pages behind them would not be recorded in the audit log.
SCRIPTS = re.compile(r"<(no)?script\b.*?</(no)?script>", re.DOTALL)
LINKS = re.compile(r'(<a\b[^>]*?) href="[^"]*"')


@require_GET
def page(request: HttpRequest, customer_id: int) -> HttpResponse:
    """Show one of the customer's pages in a sandboxed frame in which no button or link works."""
    customer = CUSTOMER.load(str(customer_id))
    name = request.GET.get("page", "home")
    if name not in PAGES or customer.is_staff:
        raise Http404
    _, view = PAGES[name]
    audit.record(actor_of(request), f"view {name} as customer", AuditEntry.Outcome.SEEN, **CUSTOMER.describe(customer))
    context = admin.site.each_context(request) | {
        "title": f"As {customer} sees it",
        "customer": customer,
        "pages": [(key, label, key == name) for key, (label, _) in PAGES.items()],
        "html": _as_customer(request, customer, view),
    }
    return TemplateResponse(request, "office/customer_view.html", context)


def _as_customer(request: HttpRequest, customer: Customer, view: Callable[[HttpRequest], HttpResponse]) -> str:
    """Return the page as the customer gets it, without scripts, and with links that lead nowhere."""
    customer_request: Any = copy.copy(request)
    customer_request.user = customer
    customer_request.GET = request.GET.__class__()
    zone = ZoneInfo(customer.time_zone) if customer.time_zone in NAMES else EASTERN
    with timezone.override(zone):
        html = view(customer_request).content.decode()
    return LINKS.sub(r"\1", SCRIPTS.sub("", html))
