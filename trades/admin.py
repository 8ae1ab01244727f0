"""The back office's view of trades. Nothing is edited here: only a lane's turn moves a trade."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from accounts.admin import ReadOnlyAdmin
from trades import checks
from trades.models import Move, Report, Switch, Trade


class MoveInline(admin.TabularInline):
    model = Move
    extra = 0
    can_delete = False
    ordering = ("id",)


@admin.register(Trade)
class TradeAdmin(ReadOnlyAdmin):
    list_display = ("id", "customer", "sequence", "type", "quantity", "ticker", "status", "reason_code", "placed_at")
    list_filter = ("status",)
    list_select_related = ("customer",)
    search_fields = ("=id", "=customer__email")
    ordering = ("-id",)
    inlines = (MoveInline,)


@admin.register(Report)
class ReportAdmin(ReadOnlyAdmin):
    list_display = ("id", "trade_id", "source", "outcome", "why", "received_at", "handled_at")
    list_filter = ("outcome",)
    search_fields = ("=trade_id",)
    ordering = ("-id",)
    exclude = ("digest",)


@admin.register(Switch)
class SwitchAdmin(ReadOnlyAdmin):
    """What staff halts, restricts and limits. Each switch is a new row, with who and why; none is changed."""

    list_display = ("at", "kind", "ticker", "customer", "is_on", "value", "why", "by")
    list_filter = ("kind", "is_on")
    list_select_related = ("customer", "by")
    search_fields = ("=ticker", "=customer__email")
    ordering = ("-id",)
    fields = ("kind", "ticker", "customer", "is_on", "value", "why")
    raw_id_fields = ("customer",)

    def has_add_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return request.user.has_perm("trades.add_switch")

    def save_model(self, request: HttpRequest, obj: Switch, form: Any, change: bool) -> None:
        checks.switch(
            Switch.Kind(obj.kind),
            obj.is_on,
            why=obj.why,
            by=request.user,  # type: ignore[arg-type]
            ticker=obj.ticker,
            customer=obj.customer,
            value=obj.value,
            row=obj,
        )
