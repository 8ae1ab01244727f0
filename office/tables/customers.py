"""Lists of customers and of their sign-ins."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from accounts.models import Customer, SignIn
from exchange.messages import storable
from office.access import audit_link
from office.actions.door import available_actions
from office.actions.targets import CUSTOMER
from office.actions.webhooks import END_WEBHOOK
from office.pages import customer as customer_page
from office.pages.search import find_customers
from office.roles import Power, may
from office.tables.columns import column, moment
from office.tables.filters import AddressFilter, CustomerFilter, SignInKindFilter
from office.tables.table import PageTable, Table


@admin.register(Customer)
class CustomerTable(PageTable):
    """All customers, newest first."""

    list_display = ("email", "name", "id", "active", "staff", moment("joined_at", "joined"))
    search_fields = ("email",)
    search_help_text = "Email, name or id, or the beginning of an email or a name"
    key = "id"
    bounded = False
    page_template = "office/customer.html"
    target = CUSTOMER
    exported = (
        ("customerId", lambda customer: customer.id),
        ("email", lambda customer: customer.email),
        ("name", lambda customer: customer.name),
        ("active", lambda customer: customer.is_active),
        ("joinedAt", lambda customer: customer.joined_at),
    )

    def customer_id_of(self, row: Any) -> int | None:
        """Each row is a customer."""
        customer_id: int = row.id
        return customer_id

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Customer], search_term: str
    ) -> tuple[QuerySet[Customer], bool]:
        """Find by email, name or id."""
        text = storable(search_term, 200).strip()
        if not text:
            return queryset, False
        return queryset.filter(id__in=[customer.id for customer in find_customers(text)]), False

    def page_of(self, request: HttpRequest, row: Customer) -> dict[str, Any]:
        """Show everything about the customer."""
        return customer_page.facts(row, request.GET.get("tab", ""), with_audit=may(request.user, Power.AUDIT)) | {
            "actions": available_actions(request, CUSTOMER, row),
            "audit_link": audit_link(request, f"customer={row.id}"),
            "may_end_webhooks": may(request.user, END_WEBHOOK.power),
        }

    @column("can sign in", boolean=True)
    def active(self, customer: Customer) -> bool:
        return customer.is_active

    @column("staff")
    def staff(self, customer: Customer) -> str:
        return "staff" if customer.is_staff else ""


@admin.register(SignIn)
class SignInTable(Table):
    """Sign-ins, failed attempts and ended sessions, newest first."""

    list_display = (moment("at", "at"), "customer", "kind", "second_factor", "address", "device", "session")
    list_select_related = ("customer",)
    list_filter = (CustomerFilter, SignInKindFilter, AddressFilter)
    key = "id"
    indexed_filters = ("customer",)
    exported = (
        ("at", lambda row: row.at),
        ("customerId", lambda row: row.customer_id),
        ("kind", lambda row: row.kind),
        ("secondFactor", lambda row: row.second_factor),
        ("address", lambda row: row.address),
        ("device", lambda row: row.device),
        ("session", lambda row: row.session),
    )
