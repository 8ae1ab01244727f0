"""The targets of actions: one class for each kind of target, which loads, describes, snapshots and links to it."""

from abc import ABC, abstractmethod
from typing import Any, Generic, TypeVar
from uuid import UUID

from django.http import Http404
from django.urls import reverse

from accounts.freezes import is_frozen
from accounts.models import Adjustment, Balance, Customer
from accounts.request_limits import limits_of
from exchange.messages import storable
from office.access import has_second_factor, open_sessions
from office.models import Case, Note, Proof, Proposal
from office.roles import Role
from trades.controls import Rules, controls_in_force
from trades.corporate_actions import preview
from trades.models import CorporateAction, StaffReport, Trade, TradingControl
from webhooks.models import Webhook
from webhooks.subscriptions import webhooks_of

T = TypeVar("T")


class Target(ABC, Generic[T]):
    """A kind of object that actions act on."""

    @abstractmethod
    def load(self, key: str) -> T:
        """Return the target with this key from the URL.

        Raises:
            Http404: There is none.
        """

    @abstractmethod
    def describe(self, target: T) -> dict[str, Any]:
        """Return what the audit log records about the target: `subject`, and any `customer_id` and `trade_id`."""

    @abstractmethod
    def snapshot(self, target: T) -> dict[str, Any] | None:
        """Return the current state of the target, as far as actions can change it."""

    @abstractmethod
    def link(self, target: T) -> str:
        """Return the URL of the page that shows the target."""


class TradeTarget(Target[Trade]):
    """A trade."""

    def load(self, key: str) -> Trade:
        return _found(Trade.objects.select_related("customer").filter(id=_uuid(key)).first())

    def describe(self, target: Trade) -> dict[str, Any]:
        return {"trade_id": target.id, "customer_id": target.customer_id, "subject": str(target)}

    def snapshot(self, target: Trade) -> dict[str, Any]:
        """Read the status."""
        trade = Trade.objects.get(id=target.id)
        return {"status": trade.status, "reasonCode": trade.reason_code}

    def link(self, target: Trade) -> str:
        return reverse("admin:trades_trade_change", args=[target.id])


class CustomerTarget(Target[Customer]):
    """A customer."""

    def load(self, key: str) -> Customer:
        return _found(Customer.objects.filter(id=_number(key)).first())

    def describe(self, target: Customer) -> dict[str, Any]:
        return {"customer_id": target.id, "subject": target.email}

    def snapshot(self, target: Customer) -> dict[str, Any]:
        """Read the cash, freezes, restrictions and limits, and the number of tokens, webhooks, sessions and notes."""
        balance = Balance.objects.filter(customer=target).first()
        limits = limits_of(target.id)
        return {
            "amount": balance and f"{balance.amount:.4f}",
            "held": balance and f"{balance.held:.4f}",
            "active": Customer.objects.filter(id=target.id, is_active=True).exists(),
            "tradingHalted": is_halted(target),
            "withdrawalsFrozen": is_frozen(target.id),
            "settledCashUntil": balance and balance.settled_cash_until and f"{balance.settled_cash_until}",
            "readsAMinute": limits.reads_a_minute,
            "ordersAMinute": limits.orders_a_minute,
            "tokens": target.tokens.count(),
            "webhooks": webhooks_of(target.id).exclude(status=Webhook.Status.ENDED).count(),
            "sessions": open_sessions(target.id),
            "notes": Note.objects.filter(customer=target).count(),
        }

    def link(self, target: Customer) -> str:
        return reverse("admin:accounts_customer_change", args=[target.id])


class WebhookTarget(Target[Webhook]):
    """A customer's webhook."""

    def load(self, key: str) -> Webhook:
        return _found(Webhook.objects.select_related("customer").filter(id=_uuid(key)).first())

    def describe(self, target: Webhook) -> dict[str, Any]:
        return {"customer_id": target.customer_id, "subject": storable(f"webhook to {target.url}", 200)}

    def snapshot(self, target: Webhook) -> dict[str, Any]:
        """Read the status."""
        webhook = Webhook.objects.get(id=target.id)
        return {"url": webhook.url, "status": webhook.status, "reason": webhook.status_reason}

    def link(self, target: Webhook) -> str:
        return reverse("admin:accounts_customer_change", args=[target.customer_id]) + "?tab=access"


class CaseTarget(Target[Case]):
    """An exception."""

    def load(self, key: str) -> Case:
        return _found(Case.objects.select_related("owner", "customer", "closed_by").filter(id=_number(key)).first())

    def describe(self, target: Case) -> dict[str, Any]:
        return {
            "trade_id": target.trade_id,
            "customer_id": target.customer_id,
            "subject": f"exception {target.id}: {target}",
        }

    def snapshot(self, target: Case) -> dict[str, Any]:
        """Read the owner, and whether it is closed."""
        case = Case.objects.select_related("owner").get(id=target.id)
        return {"owner": case.owner and case.owner.email, "closed": case.closed_at, "resolution": case.resolution}

    def link(self, target: Case) -> str:
        return reverse("admin:office_case_change", args=[target.id])


class AdjustmentTarget(Target[Adjustment]):
    """An adjustment, decided or not."""

    def load(self, key: str) -> Adjustment:
        """Return the adjustment with this id."""
        return _found(
            Adjustment.objects.select_related("customer", "asked_by", "decided_by").filter(id=_uuid(key)).first()
        )

    def describe(self, target: Adjustment) -> dict[str, Any]:
        return {"customer_id": target.customer_id, "subject": f"adjustment {target.id}: {target}"}

    def snapshot(self, target: Adjustment) -> dict[str, Any]:
        """Read whether it was decided on."""
        adjustment = Adjustment.objects.get(id=target.id)
        return {"moves": adjustment.summary, "approved": adjustment.approved}

    def link(self, target: Adjustment) -> str:
        return reverse("admin:accounts_adjustment_change", args=[target.id])


class ProposalTarget(Target[Proposal]):
    """A proposal, decided or not."""

    def load(self, key: str) -> Proposal:
        return _found(Proposal.objects.select_related("asked_by", "decided_by").filter(id=_number(key)).first())

    def describe(self, target: Proposal) -> dict[str, Any]:
        return {
            "trade_id": target.trade_id,
            "customer_id": target.customer_id,
            "subject": f"proposal {target.id}: {target}",
        }

    def snapshot(self, target: Proposal) -> dict[str, Any]:
        """Read the decision and its result."""
        proposal = Proposal.objects.get(id=target.id)
        return {"approved": proposal.approved, "result": proposal.result}

    def link(self, target: Proposal) -> str:
        return reverse("admin:office_proposal_change", args=[target.id])


class StaffReportTarget(Target[StaffReport]):
    """The ending of a trade that a member of staff entered."""

    def load(self, key: str) -> StaffReport:
        """Return the report with this id."""
        rows = StaffReport.objects.select_related("trade", "entered_by")
        return _found(rows.filter(id=_number(key)).first())

    def describe(self, target: StaffReport) -> dict[str, Any]:
        return TRADE.describe(target.trade)

    def snapshot(self, target: StaffReport) -> dict[str, Any]:
        """Read the status of the trade, and the decision."""
        approved = StaffReport.objects.values_list("approved", flat=True).get(id=target.id)
        return TRADE.snapshot(target.trade) | {"approved": approved}

    def link(self, target: StaffReport) -> str:
        return TRADE.link(target.trade)


class CorporateActionTarget(Target[CorporateAction]):
    """A corporate action."""

    def load(self, key: str) -> CorporateAction:
        return _found(CorporateAction.objects.filter(id=_uuid(key)).first())

    def describe(self, target: CorporateAction) -> dict[str, Any]:
        return {"subject": str(target)}

    def snapshot(self, target: CorporateAction) -> dict[str, Any]:
        """Read the state, and the effect that it would have on today's holders."""
        action, effect = CorporateAction.objects.get(id=target.id), preview(target)
        return {"state": action.state, "holders": effect.holders, "shares": effect.shares, "cash": f"{effect.cash:.4f}"}

    def link(self, target: CorporateAction) -> str:
        return reverse("admin:trades_corporateaction_change", args=[target.id])


class StaffTarget(Target[Customer]):
    """A member of staff, who is also the customer that the audit entry is about."""

    def load(self, key: str) -> Customer:
        return _found(Customer.objects.filter(id=_number(key), is_staff=True).first())

    def describe(self, target: Customer) -> dict[str, Any]:
        return {"customer_id": target.id, "subject": target.email}

    def snapshot(self, target: Customer) -> dict[str, Any]:
        """Read the roles, the second factor, and how many sessions are open."""
        return {
            "roles": sorted(target.groups.filter(name__in=Role.values).values_list("name", flat=True)),
            "secondFactor": has_second_factor(target),
            "sessions": open_sessions(target.id),
        }

    def link(self, target: Customer) -> str:
        return reverse("admin:staff")


class ProofTarget(Target[Proof]):
    """A proof of the books."""

    def load(self, key: str) -> Proof:
        return _found(Proof.objects.filter(id=_number(key)).first())

    def describe(self, target: Proof) -> dict[str, Any]:
        return {"subject": f"proof {target.id}: {target}"}

    def snapshot(self, target: Proof) -> None:
        return None

    def link(self, target: Proof) -> str:
        return reverse("admin:office_proof_change", args=[target.id])


class PageTarget(Target[None]):
    """A page of the back office that is not about a single record. `name` is its URL name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def load(self, key: str) -> None:
        """Accept no key."""
        if key:
            raise Http404

    def describe(self, target: None) -> dict[str, Any]:
        return {"subject": ""}

    def snapshot(self, target: None) -> dict[str, Any] | None:
        return None

    def link(self, target: None) -> str:
        return reverse(f"admin:{self.name}")


class ControlsTarget(PageTarget):
    """The trading controls, all together."""

    def snapshot(self, target: None) -> dict[str, Any]:
        """Read every control in force."""
        rules = Rules.of(controls_in_force())
        return {
            "allHalted": rules.all_halted,
            "haltedTickers": sorted(rules.halted_tickers),
            "restrictedTickers": sorted(rules.restricted_tickers),
            "limits": {
                f"{kind} {customer or 'all customers'}": value for (kind, customer), value in rules.limits.items()
            },
        }


STAFF_REPORT, WEBHOOK = StaffReportTarget(), WebhookTarget()
TRADE, CUSTOMER, CASE, ADJUSTMENT = TradeTarget(), CustomerTarget(), CaseTarget(), AdjustmentTarget()
PROOF, PROPOSAL, STAFF_MEMBER = ProofTarget(), ProposalTarget(), StaffTarget()
CONTROLS = ControlsTarget("controls")
CORPORATE_ACTION = CorporateActionTarget()
DESK, STAFF = PageTarget("index"), PageTarget("staff")
CASES = PageTarget("office_case_changelist")


def is_halted(customer: Customer) -> bool:
    """Return whether staff have halted this customer's trading."""
    halts = TradingControl.objects.filter(kind=TradingControl.Kind.HALT_CUSTOMER, customer=customer)
    newest = halts.order_by("-id").first()
    return bool(newest and newest.is_on)


def _found(target: T | None) -> T:
    if target is None:
        raise Http404
    return target


def _uuid(key: str) -> UUID:
    try:
        return UUID(key)
    except ValueError:
        raise Http404 from None


def _number(key: str) -> int:
    if not (key.isascii() and key.isdigit() and len(key) <= 18):
        raise Http404
    return int(key)
