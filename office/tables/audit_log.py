"""The audit log as a list."""

from django.contrib import admin
from django.utils.html import format_html

from office.models import AuditEntry
from office.roles import Power
from office.tables.columns import column, moment
from office.tables.filters import ActionFilter, AuditDayFilter, CustomerFilter, StaffFilter, TradeFilter
from office.tables.keyset import KeysetChangeList
from office.tables.table import Table


@admin.register(AuditEntry)
class AuditTable(Table):
    """Who saw what and who did what, newest first. The rows are about staff, whichever customer they saw."""

    power = Power.AUDIT
    shows_customers = False
    list_display = ("number", moment("at", "at"), "who", "what", "subject", "reason", "changed")
    list_filter = (CustomerFilter, TradeFilter, StaffFilter, ActionFilter, AuditDayFilter)
    list_display_links = None
    key = "number"
    exported = (
        ("number", lambda entry: entry.number),
        ("at", lambda entry: entry.at),
        ("staff", lambda entry: entry.staff),
        ("address", lambda entry: entry.address),
        ("action", lambda entry: entry.action),
        ("outcome", lambda entry: entry.outcome),
        ("customerId", lambda entry: entry.customer_id),
        ("tradeId", lambda entry: entry.trade_id),
        ("subject", lambda entry: entry.subject),
        ("reason", lambda entry: entry.reason),
        ("before", lambda entry: entry.before),
        ("after", lambda entry: entry.after),
        ("digest", lambda entry: entry.digest),
    )

    def key_of(self, changes: KeysetChangeList) -> tuple[str, bool]:
        """Page by number; the indexes by customer and by trade need no bound."""
        asked = changes.filter_params
        return "number", bool(asked) and not asked.keys() & {"customer", "trade"}

    @column("who")
    def who(self, entry: AuditEntry) -> str:
        return format_html("{}<br><small>{}</small>", entry.staff, entry.address)

    @column("what")
    def what(self, entry: AuditEntry) -> str:
        return format_html("{}<br><small>{}</small>", entry.action, entry.get_outcome_display())

    @column("before → after")
    def changed(self, entry: AuditEntry) -> str:
        """What the action changed, value by value."""
        if not (isinstance(entry.before, dict) and isinstance(entry.after, dict)):
            return ""
        names = [name for name in entry.after if entry.before.get(name) != entry.after[name] and name in entry.before]
        return "; ".join(f"{name}: {entry.before[name]} → {entry.after[name]}" for name in names)
