"""The page of a customer."""

from typing import Any

from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.db.models import Q

from accounts import queries
from accounts.models import Adjustment, Balance, Customer, Freeze
from accounts.request_limits import limits_of
from accounts.sign_ins import sign_ins_of
from office.models import AuditEntry, Case, Note
from trades.lane import lane_of
from trades.models import Status, Trade, TradingControl

ROWS_MAX = 20


def facts(customer: Customer, with_audit: bool) -> dict[str, Any]:
    """Return what the page shows, from about fifteen statements that are each served by an index."""
    freezes = list(Freeze.objects.filter(customer=customer).select_related("by").order_by("-id")[:ROWS_MAX])
    controls = list(TradingControl.objects.filter(customer=customer).select_related("by").order_by("-id")[:ROWS_MAX])
    halts = [control for control in controls if control.kind == TradingControl.Kind.HALT_CUSTOMER]
    trades = Trade.objects.filter(customer=customer)
    return {
        "customer": customer,
        "lane": lane_of(customer.id),
        "balance": Balance.objects.filter(customer=customer).first(),
        "positions": list(queries.positions_of(customer.id)[:200]),
        "open_trades": list(trades.filter(OPEN).order_by("sequence")[:ROWS_MAX]),
        "trades": list(trades.order_by("-sequence")[:ROWS_MAX]),
        "postings": list(queries.postings_of(customer.id).order_by("-id")[:ROWS_MAX]),
        "adjustments": list(
            Adjustment.objects.filter(customer=customer)
            .select_related("asked_by", "decided_by")
            .order_by("-id")[:ROWS_MAX]
        ),
        "limits": limits_of(customer.id),
        "usual_limits": (settings.READS_A_MINUTE, settings.ORDERS_A_MINUTE),
        "tokens": list(queries.tokens_of(customer.id)[:ROWS_MAX]),
        "sessions": list(UserSession.objects.filter(user=customer).order_by("-created_at")[:ROWS_MAX]),
        "sign_ins": list(sign_ins_of(customer.id)[:ROWS_MAX]),
        "factors": list(Authenticator.objects.filter(user=customer).values_list("type", flat=True)),
        "notes": list(Note.objects.filter(customer=customer).select_related("by").order_by("-id")[:ROWS_MAX]),
        "cases": list(Case.objects.filter(customer=customer).select_related("owner").order_by("-id")[:ROWS_MAX]),
        "freezes": freezes,
        "controls": controls,
        "trading_halted": halts[0] if halts and halts[0].is_on else None,
        "withdrawals_frozen": freezes[0] if freezes and freezes[0].is_on else None,
        "seen_by": list(AuditEntry.objects.filter(customer_id=customer.id).order_by("-number")[:ROWS_MAX])
        if with_audit
        else None,
    }


OPEN = Q(status=Status.PLACED) | Q(status=Status.IN_PROGRESS)
