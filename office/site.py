"""The admin site of the back office: URLs, sidebar, and sign-in."""

from collections.abc import Callable
from functools import wraps
from importlib import import_module
from typing import Any

from django.core.checks import CheckMessage
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.http import urlencode
from unfold.sites import UnfoldAdminSite

from office.access import next_step, return_url, second_factor_given
from office.roles import Power, may
from web.sign_in import ask_to_sign_in

# URLs of Django's admin that are disabled: they would change a password without the second factor, or show data without
# an audit entry.
CLOSED = {
    "password_change", "password_change_done", "search", "view_on_site", "autocomplete",
}  # fmt: skip


def _redirect_to(name: str) -> Callable[[HttpRequest], HttpResponse]:
    """Return a view that redirects to another page with the same query."""

    def view(request: HttpRequest) -> HttpResponse:
        query = request.META.get("QUERY_STRING", "")
        return redirect(f"{reverse(name)}?{query}" if query else reverse(name))

    return view


def _register_tables() -> None:
    """Register our tables, and only those: models registered by other apps could be edited without the audit log.

    A process without URLs needs none, and starts faster.
    """
    import_module("office.tables")


class Office(UnfoldAdminSite):  # type: ignore[misc]
    """Django's admin for staff with a role and a second factor."""

    site_title = "Back office"
    index_title = "Desk"
    index_template = "office/desk.html"

    def has_permission(self, request: HttpRequest) -> bool:
        return may(request.user, Power.READ) and second_factor_given(request)

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Redirect to the next step of signing in. This page itself has no form."""
        user: Any = request.user
        following = urlencode({"next": request.GET.get("next") or reverse("admin:index")})
        if not user.is_authenticated:
            return redirect(f"{reverse('account_login')}?{following}")
        if not may(user, Power.READ):
            raise PermissionDenied
        if self.has_permission(request):
            return HttpResponseRedirect(reverse("admin:index"))
        return redirect(f"{reverse(next_step(user))}?{following}")

    def admin_view(self, view: Callable[..., Any], cacheable: bool = False) -> Callable[..., HttpResponse]:
        """Restrict a view to staff. If the session has ended, a form is not processed, and its sender returns to it."""
        guarded: Callable[..., HttpResponse] = super().admin_view(view, cacheable)

        @wraps(guarded)
        def returning(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if request.method == "POST" and not request.user.is_authenticated:
                return ask_to_sign_in(request, return_url(request))
            return guarded(request, *args, **kwargs)

        return returning

    def logout(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return redirect("account_logout")

    def pages(self) -> list[URLPattern]:
        """Return the URLs of all pages that are not lists."""
        from office.actions import door
        from office.pages import controls, customer_view, daily_report, desk, search, staff, trial_balance

        return [
            path("desk/", self.admin_view(desk.figures), name="desk"),
            path("find/", self.admin_view(search.page), name="find"),
            path("staff/", self.admin_view(staff.page), name="staff"),
            path("report/", self.admin_view(daily_report.page), name="report"),
            path("trial-balance/", self.admin_view(trial_balance.page), name="trial_balance"),
            path("view-as/<int:customer_id>/", self.admin_view(customer_view.page), name="view_as"),
            path("controls/", self.admin_view(controls.page), name="controls"),
            path("do/<slug:name>/", self.admin_view(door.view), name="do"),
            path("do/<slug:name>/<str:target>/", self.admin_view(door.view), name="do"),
            path("search/", self.admin_view(_redirect_to("admin:find")), name="search"),
            path("password/", self.admin_view(_redirect_to("account_change_password")), name="password_change"),
        ]

    def get_urls(self) -> list[URLPattern]:
        """Return our URLs before Django's, whose last one answers 404 for everything else."""
        _register_tables()
        return self.pages() + [url for url in super().get_urls() if getattr(url, "name", None) not in CLOSED]

    def check(self, app_configs: Any) -> list[CheckMessage]:
        """Return Django's findings about our tables."""
        _register_tables()
        findings: list[CheckMessage] = super().check(app_configs)
        return findings

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        """Show the desk."""
        from office.pages import desk

        response: TemplateResponse = super().index(request, (extra_context or {}) | desk.context(request))
        return response


# The sidebar: its groups, and for each page the title, the icon, the URL name and the required power.
SIDEBAR = (
    (
        "",
        (
            ("Desk", "monitoring", "index", Power.READ),
            ("Exceptions", "error", "office_case_changelist", Power.READ),
            ("Approvals", "how_to_vote", "office_proposal_changelist", Power.READ),
            ("Trading controls", "toggle_on", "controls", Power.READ),
            ("Daily report", "summarize", "report", Power.READ),
        ),
    ),
    (
        "Trading",
        (
            ("Trades", "swap_horiz", "trades_trade_changelist", Power.READ),
            ("Reports", "mark_email_read", "trades_report_changelist", Power.READ),
            ("Calls to the exchange", "call_made", "exchange_call_changelist", Power.READ),
            ("Stocks", "show_chart", "exchange_stock_changelist", Power.READ),
            ("Corporate actions", "call_split", "trades_corporateaction_changelist", Power.READ),
        ),
    ),
    (
        "Customers and books",
        (
            ("Customers", "group", "accounts_customer_changelist", Power.READ),
            ("Sign-ins", "login", "accounts_signin_changelist", Power.READ),
            ("Postings", "receipt_long", "accounts_posting_changelist", Power.READ),
            ("Lots", "layers", "accounts_lot_changelist", Power.READ),
            ("Adjustments", "price_change", "accounts_adjustment_changelist", Power.READ),
            ("Trial balance", "account_balance", "trial_balance", Power.READ),
            ("Proofs of the books", "verified", "office_proof_changelist", Power.READ),
            ("Reconciliations", "balance", "office_reconciliation_changelist", Power.READ),
        ),
    ),
    (
        "Staff",
        (
            ("Staff and roles", "badge", "staff", Power.STAFF),
            ("Audit log", "policy", "office_auditentry_changelist", Power.AUDIT),
        ),
    ),
)


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """Return the sidebar entries that this member of staff may see."""
    groups = []
    for title, pages in SIDEBAR:
        items = [
            {"title": label, "icon": icon, "link": reverse(f"admin:{name}")}
            for label, icon, name, power in pages
            if may(request.user, power)
        ]
        if items:
            groups.append({"title": title, "separator": bool(title), "items": items})
    return groups
