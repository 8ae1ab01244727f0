"""The page of a customer: a summary, and a tab for each subject. Only the data of the open tab is read."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.db.models import Count, Max

from accounts import queries
from accounts.models import Adjustment, Balance, Customer, Freeze, GoodFaithViolation, Position
from accounts.request_limits import limits_of
from accounts.restrictions import standing_of
from accounts.sign_ins import sign_ins_of
from exchange import prices
from office.models import AuditEntry, Case, Note
from trades.lane import lane_of
from trades.models import Trade, TradingControl
from trades.search import open_trades
from webhooks.queries import with_last_delivery

ROWS_MAX = 20
POSITIONS_MAX = 200
TABS = (
    ("overview", "Overview"),
    ("trades", "Trades"),
    ("ledger", "Ledger"),
    ("access", "Sign-ins and access"),
    ("history", "History"),
)


@dataclass(frozen=True, slots=True)
class Holding:
    """A position at the last price; None if no price is known."""

    position: Position
    price: Decimal | None

    @property
    def value(self) -> Decimal | None:
        return self.position.market_value(self.price)

    @property
    def gain(self) -> Decimal | None:
        return None if self.value is None else self.value - self.position.cost


def facts(customer: Customer, tab_name: str, with_audit: bool) -> dict[str, Any]:
    """Return the data of the page. Every query is served by an index.

    Args:
        asked: The name of the tab. Any other text means the first tab.
    """
    tab = tab_name if tab_name in dict(TABS) else TABS[0][0]
    return _summary(customer) | {"tabs": TABS, "tab": tab} | _READ[tab](customer, with_audit)


def _summary(customer: Customer) -> dict[str, Any]:
    positions = list(queries.positions_of(customer.id)[:POSITIONS_MAX])
    quotes = prices.quotes([position.ticker for position in positions])
    holdings = [
        Holding(position, quotes[position.ticker].price if position.ticker in quotes else None)
        for position in positions
    ]
    balance = Balance.objects.filter(customer=customer).first()
    all_known = all(holding.price is not None for holding in holdings)
    shares = sum((holding.value or Decimal(0) for holding in holdings), Decimal(0))
    halts = TradingControl.objects.filter(customer=customer, kind=TradingControl.Kind.HALT_CUSTOMER)
    halt = halts.select_related("by").order_by("-id").first()
    freeze = Freeze.objects.filter(customer=customer).select_related("by").order_by("-id").first()
    return {
        "customer": customer,
        "balance": balance,
        "holdings": holdings,
        "worth": (balance.amount if balance else Decimal(0)) + shares if all_known else None,
        "gain": sum((holding.gain or Decimal(0) for holding in holdings), Decimal(0)) if all_known else None,
        "trading_halted": halt if halt and halt.is_on else None,
        "withdrawals_frozen": freeze if freeze and freeze.is_on else None,
        "standing": standing_of(customer.id) if balance else None,
        "open_cases": _open_cases(customer),
    }


def _open_cases(customer: Customer) -> list[tuple[str, str, int, int]]:
    """Return each kind of which there are open exceptions: its name, its words, how many, and the id of the newest."""
    counts = Case.objects.filter(customer=customer, closed_at=None).values_list("kind")
    found = counts.annotate(Count("id"), Max("id")).order_by("kind")
    return [(kind, str(Case.Kind(kind).label), count, newest_id) for kind, count, newest_id in found]


def _overview(customer: Customer, with_audit: bool) -> dict[str, Any]:
    return {
        "lane": lane_of(customer.id),
        "open_trades": open_trades(customer.id, ROWS_MAX),
        "limits": limits_of(customer.id),
        "usual_limits": (settings.READS_A_MINUTE, settings.ORDERS_A_MINUTE),
        "factors": list(Authenticator.objects.filter(user=customer).values_list("type", flat=True)),
        "notes": list(Note.objects.filter(customer=customer).select_related("by").order_by("-id")[:ROWS_MAX]),
    }


def _trades(customer: Customer, with_audit: bool) -> dict[str, Any]:
    return {"trades": list(Trade.objects.filter(customer=customer).order_by("-sequence")[:ROWS_MAX])}


def _ledger(customer: Customer, with_audit: bool) -> dict[str, Any]:
    adjustments = Adjustment.objects.filter(customer=customer).select_related("asked_by", "decided_by")
    return {
        "postings": list(queries.postings_of(customer.id).order_by("-id")[:ROWS_MAX]),
        "adjustments": list(adjustments.order_by("-id")[:ROWS_MAX]),
    }


def _access(customer: Customer, with_audit: bool) -> dict[str, Any]:
    return {
        "tokens": list(queries.tokens_of(customer.id)[:ROWS_MAX]),
        "webhooks": with_last_delivery(customer.id),
        "sessions": list(UserSession.objects.filter(user=customer).order_by("-created_at")[:ROWS_MAX]),
        "sign_ins": list(sign_ins_of(customer.id)[:ROWS_MAX]),
    }


def _history(customer: Customer, with_audit: bool) -> dict[str, Any]:
    controls = TradingControl.objects.filter(customer=customer).select_related("by").order_by("-id")
    freezes = Freeze.objects.filter(customer=customer).select_related("by").order_by("-id")
    violations = GoodFaithViolation.objects.filter(customer=customer)
    entries = AuditEntry.objects.filter(customer_id=customer.id).order_by("-number")
    return {
        "controls": list(controls[:ROWS_MAX]),
        "freezes": list(freezes[:ROWS_MAX]),
        "violations": list(violations.select_related("lifted_by").order_by("-id")[:ROWS_MAX]),
        "cases": list(Case.objects.filter(customer=customer).order_by("-id")[:ROWS_MAX]),
        "seen_by": list(entries[:ROWS_MAX]) if with_audit else None,
    }


_READ = {"overview": _overview, "trades": _trades, "ledger": _ledger, "access": _access, "history": _history}
