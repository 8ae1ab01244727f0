"""The audit log as a list."""

import json

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html

from accounts.models import Customer
from exchange.messages import storable
from office.models import AuditEntry
from office.pages.search import find_customers
from office.roles import Power
from office.sentences import sentence_of
from office.tables.columns import column, moment
from office.tables.filters import ActionFilter, AuditDayFilter, CustomerFilter, StaffFilter, TradeFilter
from office.tables.keyset import KeysetChangeList
from office.tables.table import Table
from office.templatetags.office import plain, spaced


@admin.register(AuditEntry)
class AuditTable(Table):
    """A log of what staff viewed and did, newest first. A row belongs to staff, even if it names a customer."""

    power = Power.AUDIT
    shows_customers = False
    list_display = (moment("at", "at"), "sentence", "customer", "reason", "changed", "address", "number")
    list_filter = (CustomerFilter, TradeFilter, StaffFilter, ActionFilter, AuditDayFilter)
    search_fields = ("subject",)
    search_help_text = "Email of a member of staff, or a customer by email, name or id"
    key = "number"
    exported = (
        ("number", lambda entry: entry.number),
        ("at", lambda entry: entry.at),
        ("sentence", sentence_of),
        ("staff", lambda entry: entry.staff),
        ("address", lambda entry: entry.address),
        ("action", lambda entry: entry.action),
        ("outcome", lambda entry: entry.outcome),
        ("customerId", lambda entry: entry.customer_id),
        ("tradeId", lambda entry: entry.trade_id),
        ("subject", lambda entry: entry.subject),
        ("reason", lambda entry: entry.reason),
        ("before", lambda entry: entry.before and json.dumps(entry.before)),
        ("after", lambda entry: entry.after and json.dumps(entry.after)),
        ("digest", lambda entry: entry.digest),
    )

    def key_of(self, changes: KeysetChangeList) -> tuple[str, bool]:
        """Page by number. Filters by customer or trade have an index, so they need no bound."""
        filters = changes.filter_params
        return "number", bool(filters) and not filters.keys() & {"customer", "trade"}

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[AuditEntry], search_term: str
    ) -> tuple[QuerySet[AuditEntry], bool]:
        """Find the entries by or about these people: staff and customers by email, name or id."""
        text = storable(search_term, 200).strip()
        if not text:
            return queryset, False
        ids = [person.id for person in find_customers(text)]
        by_people = AuditEntry.objects.filter(staff_id__in=ids).values("number")
        about_people = AuditEntry.objects.filter(customer_id__in=ids).values("number")
        return queryset.filter(number__in=by_people.union(about_people)), False

    def prepare(self, rows: list[AuditEntry]) -> None:
        """Read the email addresses of the customers that the entries are about."""
        people = Customer.objects.in_bulk([entry.customer_id for entry in rows if entry.customer_id])
        for entry in rows:
            entry.about = people.get(entry.customer_id or 0)  # type: ignore[attr-defined]

    @column("what happened")
    def sentence(self, entry: AuditEntry) -> str:
        return sentence_of(entry)

    @column("customer")
    def customer(self, entry: AuditEntry) -> str:
        """The customer that the entry is about, linked to all entries about them."""
        person = getattr(entry, "about", None)
        return format_html('<a href="?customer={}">{}</a>', person.id, person) if person else ""

    @column("before → after")
    def changed(self, entry: AuditEntry) -> str:
        """What the action changed, value by value."""
        if not (isinstance(entry.before, dict) and isinstance(entry.after, dict)):
            return ""
        names = [name for name in entry.after if entry.before.get(name) != entry.after[name] and name in entry.before]
        return "; ".join(f"{spaced(name)}: {plain(entry.before[name])} → {plain(entry.after[name])}" for name in names)
