"""The filters of lists. An invalid value raises one of keyset.INVALID_VALUE_ERRORS, and the list says so."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from unfold.contrib.filters.admin import TextFilter

from accounts.models import SignIn
from exchange.messages import storable
from office.models import Case
from trades.lane import lane_of
from trades.models import Outcome, Reason, Status, Trade

OPEN_STATUSES = (Status.PLACED, Status.IN_PROGRESS)
OPEN_MAX = 5_000  # open trades of each status that a filter for open trades reads, oldest first
CLOCKS_APART = timedelta(minutes=10)  # ids use the web server's clock, the times of trades the database's
# Nothing is older or newer, and arithmetic on times within these bounds does not overflow.
EARLIEST = datetime(1970, 1, 2, tzinfo=UTC)
LATEST = datetime(9999, 12, 30, tzinfo=UTC)


class ChoiceFilter(admin.SimpleListFilter):
    """A filter with a few choices. `field` is compared with the choice; an unknown choice is ignored."""

    field = ""
    options: Sequence[tuple[str, str]] = ()

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, str]]:
        return self.options

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Narrow the rows if anything was asked for."""
        chosen = self.value()
        return self.narrow(queryset, chosen) if chosen in dict(self.options) else queryset

    def narrow(self, rows: QuerySet[Any], chosen: str) -> QuerySet[Any]:
        """Return the rows of a choice."""
        return rows.filter(**{self.field: chosen})


class ExactFilter(TextFilter):  # type: ignore[misc]
    """A filter for a typed value. `field` is compared with the result of `read`."""

    field = ""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Narrow the rows if anything was asked for."""
        text = self.value()
        return self.narrow(queryset, self.read(text)) if text else queryset

    def read(self, text: str) -> Any:
        """Convert what was typed to a value of the field.

        Raises:
            ValueError: It is not valid.
        """
        return storable(text.strip(), 200)

    def narrow(self, rows: QuerySet[Any], value: Any) -> QuerySet[Any]:
        """Return the rows that have what `read` returned."""
        return rows.filter(**{self.field: value})


class NumberFilter(ExactFilter):
    """A filter for an id that is a number."""

    def read(self, text: str) -> Any:
        return number(text)


def number(text: str) -> int:
    """Parse a number that fits in a bigint.

    Raises:
        ValueError: The text is not such a number.
    """
    text = text.strip()
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise ValueError(text)
    return int(text)


class StatusFilter(ChoiceFilter):
    """Trades with a status, or all open trades."""

    title, parameter_name = "status", "status"
    options = [("open", "Open"), *((status.value, status.label.capitalize()) for status in Status)]

    def narrow(self, rows: QuerySet[Any], chosen: str) -> QuerySet[Any]:
        """Return the rows of a choice."""
        statuses = OPEN_STATUSES if chosen == "open" else (Status(chosen),)
        rows = rows.filter(status__in=statuses)
        return _only_open(rows) if statuses[0] in OPEN_STATUSES else rows


class ReasonFilter(ChoiceFilter):
    """Trades that were rejected for a reason."""

    title, parameter_name, field = "reason", "reason", "reason_code"
    options = [(code, code.replace("_", " ")) for code in Reason.values]


class AgeFilter(ChoiceFilter):
    """Open trades that are older than this."""

    title, parameter_name = "age of open trades", "age"
    options = [("5", "over 5 seconds"), ("60", "over a minute"), ("600", "over 10 minutes"), ("3600", "over an hour")]

    def narrow(self, rows: QuerySet[Any], chosen: str) -> QuerySet[Any]:
        """Return the rows of a choice."""
        since = timezone.now() - timedelta(seconds=int(chosen))
        return _only_open(rows.filter(status__in=OPEN_STATUSES, placed_at__lt=since))


class LaneFilter(NumberFilter):
    """Open trades of a lane. The lane is not a column, so it is computed for each open trade."""

    title, parameter_name = "lane of open trades", "lane"

    def narrow(self, rows: QuerySet[Any], value: Any) -> QuerySet[Any]:
        """Return the rows that have what `read` returned."""
        ids = [id for id, customer_id in _oldest_open() if lane_of(customer_id) == value]
        return rows.filter(id__in=ids, status__in=OPEN_STATUSES)


def _only_open(rows: QuerySet[Any]) -> QuerySet[Any]:
    """Narrow to the open trades by id; otherwise the database may scan from the newest trade to a very old one."""
    ids = [id for id, _ in _oldest_open()]
    return rows.filter(id__in=ids) if len(ids) < OPEN_MAX else rows


def _oldest_open() -> list[tuple[UUID, int]]:
    """Return the ids and customers of the oldest open trades: OPEN_MAX placed, queued, and in progress."""
    oldest: list[tuple[UUID, int]] = []
    placed = Trade.objects.filter(status=Status.PLACED)
    for rows in (
        placed.filter(queued_at=None).order_by("placed_at"),
        placed.exclude(queued_at=None).order_by("customer_id"),  # there may be a million of them
        Trade.objects.filter(status=Status.IN_PROGRESS).order_by("ask_at"),
    ):
        oldest += list(rows.values_list("id", "customer_id")[:OPEN_MAX])
    return oldest


class LotStateFilter(ChoiceFilter):
    """Lots with or without remaining shares."""

    title, parameter_name = "state", "state"
    options = [("open", "Open"), ("closed", "Closed")]

    def narrow(self, rows: QuerySet[Any], chosen: str) -> QuerySet[Any]:
        """Return the rows of a choice."""
        return rows.filter(remaining__gt=0) if chosen == "open" else rows.filter(remaining=0)


class TickerFilter(ExactFilter):
    """Rows of a stock."""

    title, parameter_name, field = "stock", "ticker", "ticker"

    def read(self, text: str) -> Any:
        return super().read(text).upper()


class CustomerFilter(NumberFilter):
    """Rows of a customer."""

    title, parameter_name, field = "customer id", "customer", "customer_id"


class TradeFilter(ExactFilter):
    """Rows about a trade."""

    title, parameter_name, field = "trade id", "trade", "trade_id"

    def read(self, text: str) -> Any:
        return UUID(text.strip())


class DayFilter(ExactFilter):
    """A day in UTC, such as 2026-01-31, or a range of days, such as 2026-01-01..2026-01-31."""

    title, parameter_name = "day (2026-01-31 or 2026-01-01..2026-01-31)", "day"
    field = "placed_at"

    def read(self, text: str) -> Any:
        return days(text)

    def narrow(self, rows: QuerySet[Any], value: Any) -> QuerySet[Any]:
        """Return the rows that have what `read` returned."""
        begin, end = value
        return rows.filter(**{f"{self.field}__gte": begin, f"{self.field}__lt": end})


class PlacedDayFilter(DayFilter):
    """Trades that were placed on these days. Their ids increase with time, so the primary key serves the query."""

    def narrow(self, rows: QuerySet[Any], value: Any) -> QuerySet[Any]:
        """Return the rows that have what `read` returned."""
        begin, end = value
        ids = {"id__gte": smallest_id_at(begin - CLOCKS_APART), "id__lt": smallest_id_at(end + CLOCKS_APART)}
        return super().narrow(rows, value).filter(**ids)


class PostedDayFilter(DayFilter):
    """Postings of these days."""

    field = "created_at"


class AuditDayFilter(DayFilter):
    """Audit entries of these days."""

    field = "at"


def days(text: str) -> tuple[datetime, datetime]:
    """Return the start and the end (exclusive) of the days in `text`, clipped to EARLIEST and LATEST.

    Raises:
        ValueError: The text is not a day or a range of days.
    """
    first, _, last = text.strip().partition("..")
    begin, end = (datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC) for day in (first, last or first))
    begin, end = (min(max(day, EARLIEST), LATEST) for day in (begin, end))
    return begin, end + timedelta(days=1)


def smallest_id_at(moment: datetime) -> UUID:
    """Return the smallest version 7 id that can be made at this time."""
    return UUID(int=(int(moment.timestamp() * 1000) << 80))


class SignInKindFilter(ChoiceFilter):
    """Sign-ins of a kind."""

    title, parameter_name, field = "what happened", "kind", "kind"
    options = SignIn.Kind.choices


class AddressFilter(ExactFilter):
    """Rows from a network address."""

    title, parameter_name, field = "network address", "address", "address"


class OutcomeFilter(ChoiceFilter):
    """Reports by their outcome."""

    title, parameter_name, field = "outcome", "outcome", "outcome"
    options = [(outcome.value, outcome.value.replace("_", " ")) for outcome in Outcome]


class CaseStateFilter(ChoiceFilter):
    """Exceptions by state; open ones by default."""

    title, parameter_name = "state", "state"
    options = [("open", "Open"), ("mine", "Mine"), ("nobody", "Without an owner"), ("closed", "Closed"), ("all", "All")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Narrow the rows to open exceptions unless another state is chosen."""
        if self.value() == "all":
            return queryset
        if self.value() == "closed":
            return queryset.filter(closed_at__isnull=False)
        owner = {"mine": Q(owner=request.user.pk), "nobody": Q(owner=None)}.get(self.value() or "", Q())
        return queryset.filter(owner, closed_at=None)


class CaseKindFilter(ChoiceFilter):
    """Exceptions of a kind."""

    title, parameter_name, field = "kind", "kind", "kind"
    options = Case.Kind.choices


class ActionFilter(ExactFilter):
    """Audit entries of an action."""

    title, parameter_name, field = "action", "action", "action"


class StaffFilter(ExactFilter):
    """Audit entries of a member of staff."""

    title, parameter_name, field = "staff (email)", "staff", "staff"
