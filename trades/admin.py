"""The back office's view of trades. Nothing is edited here: only a lane's turn moves a trade."""

from django.contrib import admin

from accounts.admin import ReadOnlyAdmin
from trades.models import Move, Report, Trade


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
