"""Lists of calls to the exchange, and of the stocks that it lists."""

from uuid import UUID

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html

from exchange.models import Call, Stock
from office.tables.columns import column, moment, trade_link
from office.tables.table import Table

CALLS_FOUND_MAX = 200


@admin.register(Call)
class CallTable(Table):
    """Calls to the exchange, newest first."""

    list_display = (moment("at", "at"), "verb", "trades", "outcome", "answer", "took")
    search_fields = ("trade_ids",)
    search_help_text = "Trade id"
    key = "id"
    bounded = False
    shows_customers = False

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Call], search_term: str
    ) -> tuple[QuerySet[Call], bool]:
        """Find by trade id. It takes two queries, so that the database uses the index of trade ids."""
        if not search_term.strip():
            return queryset, False
        try:
            trade_id = UUID(search_term.strip())
        except ValueError:
            return queryset.none(), False
        ids = Call.objects.filter(trade_ids__contains=[trade_id]).values_list("id", flat=True)
        return queryset.filter(id__in=list(ids[:CALLS_FOUND_MAX])), False

    @column("trades")
    def trades(self, call: Call) -> str:
        """The first trade in the call, and how many more there are."""
        first = trade_link(call.trade_ids[0])
        return first if len(call.trade_ids) == 1 else format_html("{} and {} more", first, len(call.trade_ids) - 1)

    @column("answer")
    def answer(self, call: Call) -> str:
        """Return the error if there was no answer, otherwise the answers that are not plain acceptances."""
        return call.seen or ", ".join(sorted(set(call.answers.values()))) or "accepted"

    @column("took")
    def took(self, call: Call) -> str:
        return f"{call.took_ms:,.1f} ms"


@admin.register(Stock)
class StockTable(Table):
    """Stocks that are or were listed."""

    list_display = ("ticker", "name", "market", "industry", "listed", moment("seen_at", "last listed"))
    search_fields = ("ticker", "name")
    key = "ticker"
    bounded = False
    shows_customers = False
