"""What staff can do: one table of actions, and the one door that they all go through.

The door checks the power, writes into the audit log what is about to be done and what it is done to, makes one call to
a verb, and writes what came of it. So nothing is done that the log does not have first.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from accounts import tokens
from accounts.adjustments import (
    LARGEST_POSITION,
    DecidedAlready,
    OwnAdjustment,
    PositionTooLarge,
    ask_for_adjustment,
    decide_on_adjustment,
)
from accounts.freezes import freeze_withdrawals, is_frozen
from accounts.funding import BalanceTooLarge, InsufficientFunds
from accounts.ledger import LARGEST_AMOUNT, InsufficientShares
from accounts.models import CASH, Adjustment, Balance, Customer
from accounts.request_limits import limits_of, set_limits
from accounts.sign_ins import end_sessions
from exchange.messages import Unknown, storable
from exchange.models import Stock
from office import audit, cases, schedule
from office.access import actor_of, open_sessions
from office.models import AuditEntry, Case, Note
from office.roles import Power, may
from trades import checks, lane
from trades.cancel import NotCancellable, cancel_trade
from trades.models import Status, Trade, TradingControl
from trades.sweep import ask_now

Kind = TradingControl.Kind


class ActionRefused(Exception):
    """It can't be done; the text tells staff why."""


class Nothing(forms.Form):
    """An action that asks for nothing."""


class Reasoned(forms.Form):
    """An action that asks why."""

    reason = forms.CharField(
        max_length=500,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text="Why. It is kept in the audit log.",
    )

    def clean(self) -> dict[str, Any]:
        """Text as a database takes it."""
        cleaned = super().clean() or {}
        return {name: storable(value, 2000) if isinstance(value, str) else value for name, value in cleaned.items()}


class Noted(forms.Form):
    text = forms.CharField(max_length=2000, widget=UnfoldAdminTextareaWidget(attrs={"rows": 4}))


class Halted(Reasoned):
    ticker = forms.CharField(max_length=12, widget=UnfoldAdminTextInputWidget, help_text="As the exchange lists it.")
    field_order = ("ticker", "reason")

    def clean_ticker(self) -> str:
        return listed(self.cleaned_data["ticker"])


def listed(text: str) -> str:
    """A ticker that the exchange lists, or listed once. Raises ValidationError."""
    ticker = storable(text.strip().upper())
    if not Stock.objects.filter(ticker=ticker).exists():
        raise forms.ValidationError("The exchange lists no such stock.")
    return ticker


A_MINUTE_MAX = 1_000_000  # requests; more than one token can send
LIMITS = [
    (Kind.SHARES_MAX, "Most shares of an order"),
    (Kind.NOTIONAL_MAX, "Most USD of an order"),
    (Kind.ORDERS_A_MINUTE_MAX, "Most orders a minute"),
]


class Limited(Reasoned):
    kind = forms.ChoiceField(choices=LIMITS, widget=UnfoldAdminSelectWidget)
    customer = forms.CharField(
        required=False, widget=UnfoldAdminTextInputWidget, help_text="A customer's id; empty: everybody."
    )
    value = forms.DecimalField(
        required=False,
        min_value=Decimal("0.0001"),
        max_digits=19,
        decimal_places=4,
        widget=UnfoldAdminTextInputWidget,
        help_text="Empty: no limit any more.",
    )
    field_order = ("kind", "customer", "value", "reason")

    def clean_customer(self) -> Customer | None:
        text = self.cleaned_data["customer"].strip()
        if not text:
            return None
        customer = Customer.objects.filter(id=int(text)).first() if text.isascii() and text.isdigit() else None
        if customer is None:
            raise forms.ValidationError("There is no customer with this id.")
        return customer


class ApiLimited(Reasoned):
    """Requests a minute of each token; a field left empty is as everybody's."""

    reads_a_minute = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=A_MINUTE_MAX,
        widget=UnfoldAdminTextInputWidget,
        help_text="What only looks. Empty: as everybody.",
    )
    orders_a_minute = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=A_MINUTE_MAX,
        widget=UnfoldAdminTextInputWidget,
        help_text="What changes something. Empty: as everybody. To stop a customer's trading, freeze it.",
    )
    field_order = ("reads_a_minute", "orders_a_minute", "reason")


class Adjusted(forms.Form):
    """Cash, or whole shares of a stock; shares that are added have a price."""

    ticker = forms.CharField(
        required=False,
        max_length=12,
        label="Stock",
        widget=UnfoldAdminTextInputWidget,
        help_text="As the exchange lists it. Empty: cash.",
    )
    change = forms.DecimalField(
        max_digits=19,
        decimal_places=4,
        min_value=-LARGEST_AMOUNT,
        max_value=LARGEST_AMOUNT,
        label="USD, or shares",
        widget=UnfoldAdminTextInputWidget,
        help_text="Above zero: into the account. Below zero: out of it.",
    )
    price = forms.DecimalField(
        required=False,
        max_digits=19,
        decimal_places=4,
        min_value=Decimal(0),
        label="Average price, USD",
        widget=UnfoldAdminTextInputWidget,
        help_text="Where shares are added: what each of them counts as bought for. It moves no cash.",
    )
    kind = forms.ChoiceField(choices=Adjustment.Reason, widget=UnfoldAdminSelectWidget)
    reason = forms.CharField(
        max_length=500, widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}), help_text="What happened, and who asked."
    )

    def clean_ticker(self) -> str:
        return listed(self.cleaned_data["ticker"]) if self.cleaned_data["ticker"].strip() else CASH

    def clean_change(self) -> Decimal:
        change = self.cleaned_data["change"]
        if not change:
            raise forms.ValidationError("Nothing would move.")
        return change

    def clean(self) -> dict[str, Any]:
        """What goes together."""
        cleaned = super().clean() or {}
        ticker, change, price = cleaned.get("ticker"), cleaned.get("change"), cleaned.get("price")
        if self.errors or ticker is None or change is None:
            return cleaned
        adds_shares = ticker != CASH and change > 0
        if ticker != CASH and (change % 1 or abs(change) > LARGEST_POSITION):
            self.add_error("change", "Shares are whole, and no more than a company has.")
        if adds_shares and price is None:
            self.add_error("price", "Shares that are added need a price; 0 where they cost nothing.")
        if not adds_shares and price is not None:
            self.add_error("price", "Only shares that are added have a price.")
        return cleaned


class Resolved(forms.Form):
    reason = forms.CharField(
        max_length=500,
        label="How it was resolved",
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
    )


@dataclass(frozen=True, slots=True)
class ActionContext:
    """One member of staff context one thing to one target."""

    staff: Customer
    by: str
    target: Any
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Action:
    """Something staff can do. `target`: what kind of thing it is done to; `do`: the door to a verb.

    `do` tells what was done, or raises ActionRefused. `shown`: whether it makes sense for a target as it is now; the
    verb decides, this spares staff a button. `initial`: what the form has in it at first.
    """

    name: str
    label: str
    power: Power
    target: str
    do: Callable[[ActionContext], str]
    form: type[forms.Form] = Nothing
    icon: str = ""
    danger: bool = False
    shown: Callable[[Any], bool] = lambda _: True
    initial: Callable[[Any], dict[str, Any]] = lambda _: {}


def view(request: HttpRequest, name: str, target: str = "") -> HttpResponse:
    """GET asks what the action must know; POST does it and goes back to what it was done to."""
    action = ACTIONS.get(name)
    if action is None:
        raise Http404
    if not may(request.user, action.power):
        audit.record(actor_of(request), action.name, AuditEntry.Outcome.REFUSED, subject=target, reason="not allowed")
        raise PermissionDenied
    found = _target(action.target, target)
    back = _back(request, action, found)
    form = action.form(request.POST if request.method == "POST" else None, initial=action.initial(found))
    if request.method != "POST" or not form.is_valid():
        context = admin.site.each_context(request)
        context |= {"title": action.label, "action": action, "form": form, "back": back, "target": found}
        context["state"] = snapshot(found)
        return TemplateResponse(request, "office/action.html", context, status=422 if request.method == "POST" else 200)
    _do(request, action, found, form.cleaned_data)
    return HttpResponseRedirect(back)


def _do(request: HttpRequest, action: Action, found: Any, data: dict[str, Any]) -> None:
    actor = actor_of(request)
    about: dict[str, Any] = _about(found) | {"reason": str(data.get("reason", ""))}
    if not about["subject"] and data:
        about["subject"] = ", ".join(f"{key} {value}" for key, value in data.items() if key != "reason" and value)
    before = snapshot(found)
    asked = {key: str(value) for key, value in data.items() if key != "reason" and value is not None}
    audit.record(actor, action.name, AuditEntry.Outcome.ASKED, before=before, after=asked or None, **about)
    try:
        said = action.do(ActionContext(request.user, f"staff {actor.id}", found, data))  # type: ignore[arg-type]
    except ActionRefused as refused:
        about["reason"] = str(refused)
        audit.record(actor, action.name, AuditEntry.Outcome.REFUSED, before=before, after=snapshot(found), **about)
        messages.error(request, str(refused))
    else:
        audit.record(actor, action.name, AuditEntry.Outcome.DONE, before=before, after=snapshot(found), **about)
        messages.success(request, said)


def offered(request: HttpRequest, kind: str, target: Any) -> list[Action]:
    """The actions that this member of staff may take on this target as it is now."""
    return [
        action
        for action in ACTIONS.values()
        if action.target == kind and may(request.user, action.power) and action.shown(target)
    ]


def snapshot(target: Any) -> dict[str, Any] | None:
    """What an action can change about its target, as it is now."""
    if isinstance(target, Trade):
        trade = Trade.objects.get(id=target.id)
        return {"status": trade.status, "reasonCode": trade.reason_code}
    if isinstance(target, Customer):
        balance = Balance.objects.filter(customer=target).first()
        own = limits_of(target.id)
        return {
            "amount": balance and f"{balance.amount:.4f}",
            "held": balance and f"{balance.held:.4f}",
            "tradingHalted": _is_halted(target),
            "withdrawalsFrozen": is_frozen(target.id),
            "readsAMinute": own.reads_a_minute,
            "ordersAMinute": own.orders_a_minute,
            "tokens": target.tokens.count(),
            "sessions": open_sessions(target.id),
            "notes": Note.objects.filter(customer=target).count(),
        }
    if isinstance(target, Case):
        case = Case.objects.select_related("owner").get(id=target.id)
        return {"owner": case.owner and case.owner.email, "closed": case.closed_at, "resolution": case.resolution}
    if isinstance(target, Adjustment):
        adjustment = Adjustment.objects.get(id=target.id)
        return {"moves": adjustment.summary, "approved": adjustment.approved}
    rules = checks.Rules.of(controls_in_force())
    return {
        "allHalted": rules.all_halted,
        "haltedTickers": sorted(rules.halted_tickers),
        "restrictedTickers": sorted(rules.restricted_tickers),
        "limits": {f"{kind} {customer or 'everybody'}": value for (kind, customer), value in rules.limits.items()},
    }


def controls_in_force() -> list[TradingControl]:
    """The switch in force of each kind and subject."""
    switches = TradingControl.objects.select_related("by", "customer").order_by("kind", "ticker", "customer_id", "-id")
    return list(switches.distinct("kind", "ticker", "customer_id"))


def _target(kind: str, text: str) -> Any:
    try:
        if kind == "trade":
            return Trade.objects.select_related("customer").get(id=UUID(text))
        if kind == "adjustment":
            return Adjustment.objects.select_related("customer").get(id=UUID(text))
        if kind == "customer":
            return Customer.objects.get(id=int(text[:18]))
        if kind == "case":
            return Case.objects.get(id=int(text[:18]))
    except (ValueError, Trade.DoesNotExist, Adjustment.DoesNotExist, Customer.DoesNotExist, Case.DoesNotExist):
        raise Http404 from None
    if text:
        raise Http404
    return None


def _about(found: Any) -> dict[str, Any]:
    if isinstance(found, Trade):
        return {"trade_id": found.id, "customer_id": found.customer_id, "subject": str(found)}
    if isinstance(found, Customer):
        return {"customer_id": found.id, "subject": found.email}
    if isinstance(found, Case):
        return {
            "trade_id": found.trade_id,
            "customer_id": found.customer_id,
            "subject": f"exception {found.id}: {found}",
        }
    if isinstance(found, Adjustment):
        return {"customer_id": found.customer_id, "subject": f"adjustment {found.id}: {found}"}
    return {"subject": ""}


def _back(request: HttpRequest, action: Action, found: Any) -> str:
    asked = request.POST.get("next") or request.GET.get("next") or ""
    if asked and url_has_allowed_host_and_scheme(asked, {request.get_host()}, request.is_secure()):
        return asked
    pages = {
        "trade": "trades_trade_change",
        "customer": "accounts_customer_change",
        "case": "office_case_change",
        "adjustment": "accounts_adjustment_change",
    }
    if action.target in pages:
        return reverse(f"admin:{pages[action.target]}", args=[found.pk])
    return reverse("admin:controls" if action.target == "controls" else "admin:index")


# -- what each does


def _ring(context: ActionContext) -> str:
    if not lane.ring([context.target.customer_id]):
        raise ActionRefused("The broker could not be reached. The sweep will see to the trade.")
    return f"Lane {lane.lane_of(context.target.customer_id)} was rung."


def _ask(context: ActionContext) -> str:
    try:
        return f"The exchange says: {ask_now(context.target.id)}."
    except Unknown as unknown:
        raise ActionRefused(f"The exchange gave no answer: {unknown}") from None


def _cancel(context: ActionContext) -> str:
    try:
        cancel_trade(context.target.customer_id, context.target.id, context.by)
    except NotCancellable as error:
        raise ActionRefused(str(error)) from None
    return "The trade is REJECTED: cancelled."


def _is_halted(customer: Customer) -> bool:
    newest = TradingControl.objects.filter(kind=Kind.HALT_CUSTOMER, customer=customer).order_by("-id").first()
    return bool(newest and newest.is_on)


def _trading(is_on: bool) -> Callable[[ActionContext], str]:
    def switch(context: ActionContext) -> str:
        checks.set_control(
            Kind.HALT_CUSTOMER,
            is_on,
            reason=context.data["reason"],
            by=context.staff,
            customer=context.target,
        )
        return "Trading is frozen." if is_on else "Trading goes on."

    return switch


def _withdrawals(is_on: bool) -> Callable[[ActionContext], str]:
    def switch(context: ActionContext) -> str:
        freeze_withdrawals(context.target.id, is_on, reason=context.data["reason"], by=context.staff)
        return "Withdrawals are frozen." if is_on else "Withdrawals go on."

    return switch


def _halt(kind: Kind, is_on: bool) -> Callable[[ActionContext], str]:
    def switch(context: ActionContext) -> str:
        checks.set_control(
            kind, is_on, reason=context.data["reason"], by=context.staff, ticker=context.data.get("ticker", "")
        )
        return f"{kind.label}: {'on' if is_on else 'off'}."

    return switch


def _limit(context: ActionContext) -> str:
    value, kind = context.data["value"], Kind(context.data["kind"])
    checks.set_control(
        kind,
        value is not None,
        reason=context.data["reason"],
        by=context.staff,
        customer=context.data["customer"],
        value=value,
    )
    return f"{kind.label}: {'no limit' if value is None else value}."


def _own_limits(customer: Customer) -> dict[str, Any]:
    own = limits_of(customer.id)
    return {"reads_a_minute": own.reads_a_minute, "orders_a_minute": own.orders_a_minute}


def _limit_api(context: ActionContext) -> str:
    own = set_limits(context.target.id, context.data["reads_a_minute"], context.data["orders_a_minute"])
    reads, orders = own.reads_a_minute or "everybody's", own.orders_a_minute or "everybody's"
    return f"Each token's limits a minute: {reads} reads, {orders} orders."


def _note(context: ActionContext) -> str:
    Note.objects.create(customer=context.target, by=context.staff, text=storable(context.data["text"], 2000))
    return "Noted."


def _end_tokens(context: ActionContext) -> str:
    return f"{tokens.end_all(context.target.id)} tokens have ended."


def _end_sessions(context: ActionContext) -> str:
    return f"{end_sessions(context.target.id)} sessions have ended."


def _adjust(context: ActionContext) -> str:
    data = context.data
    asked = ask_for_adjustment(
        context.target.id,
        data["change"],
        data["kind"],
        storable(data["reason"], 500),
        context.staff,
        ticker=data["ticker"],
        price=data["price"],
    )
    return f"{asked.summary}: somebody else must approve it."


def _decide(approve: bool) -> Callable[[ActionContext], str]:
    def decide(context: ActionContext) -> str:
        try:
            decide_on_adjustment(context.target.id, approve, context.staff)
        except OwnAdjustment:
            raise ActionRefused("Nobody decides on an adjustment of their own.") from None
        except DecidedAlready:
            raise ActionRefused("It was decided on before.") from None
        except (InsufficientFunds, InsufficientShares):
            raise ActionRefused("It would take out more than is available.") from None
        except (BalanceTooLarge, PositionTooLarge):
            raise ActionRefused("The account can't hold that much.") from None
        return "Approved and posted." if approve else "Declined."

    return decide


def _take(context: ActionContext) -> str:
    try:
        cases.take(context.target.id, context.staff)
    except cases.ClosedAlready:
        raise ActionRefused("It is closed.") from None
    return "It is yours."


def _close(context: ActionContext) -> str:
    try:
        cases.close(context.target.id, context.staff, context.data["reason"])
    except cases.ClosedAlready:
        raise ActionRefused("It was closed before.") from None
    return "Closed."


def _request_job(job: str) -> Callable[[ActionContext], str]:
    def ask(context: ActionContext) -> str:
        schedule.request_job(job, context.staff.email)
        return "A sweep will do it at once; the desk shows what came of it."

    return ask


def _waits(adjustment: Adjustment) -> bool:
    return adjustment.approved is None


def _is_open(case: Case) -> bool:
    return case.closed_at is None


HALT_ALL, HALT_TICKER, RESTRICT = (
    Kind.HALT_ALL,
    Kind.HALT_TICKER,
    Kind.RESTRICT_TICKER,
)
ACTIONS: dict[str, Action] = {
    action.name: action
    for action in (
        Action(
            "ring",
            "Ring the lane",
            Power.RING,
            "trade",
            _ring,
            icon="notifications",
            shown=lambda trade: trade.status in {Status.PLACED, Status.IN_PROGRESS},
        ),
        Action("ask", "Ask the exchange now", Power.ASK, "trade", _ask, icon="contact_support"),
        Action(
            "cancel",
            "Cancel",
            Power.CANCEL,
            "trade",
            _cancel,
            Reasoned,
            "cancel",
            danger=True,
            shown=lambda trade: trade.status == Status.PLACED,
        ),
        Action("note", "Add a note", Power.NOTE, "customer", _note, Noted, "edit_note"),
        Action(
            "freeze-trading",
            "Freeze trading",
            Power.FREEZE,
            "customer",
            _trading(True),
            Reasoned,
            "ac_unit",
            danger=True,
            shown=lambda customer: not _is_halted(customer),
        ),
        Action(
            "unfreeze-trading",
            "Unfreeze trading",
            Power.FREEZE,
            "customer",
            _trading(False),
            Reasoned,
            "sunny",
            shown=_is_halted,
        ),
        Action(
            "freeze-withdrawals",
            "Freeze withdrawals",
            Power.FREEZE,
            "customer",
            _withdrawals(True),
            Reasoned,
            "ac_unit",
            danger=True,
            shown=lambda customer: not is_frozen(customer.id),
        ),
        Action(
            "unfreeze-withdrawals",
            "Unfreeze withdrawals",
            Power.FREEZE,
            "customer",
            _withdrawals(False),
            Reasoned,
            "sunny",
            shown=lambda customer: is_frozen(customer.id),
        ),
        Action("end-tokens", "End all tokens", Power.ACCESS, "customer", _end_tokens, Reasoned, "key_off", danger=True),
        Action(
            "end-sessions", "End all sessions", Power.ACCESS, "customer", _end_sessions, Reasoned, "logout", danger=True
        ),
        Action(
            "api-limits",
            "Set API limits",
            Power.LIMIT,
            "customer",
            _limit_api,
            ApiLimited,
            "speed",
            initial=_own_limits,
        ),
        Action("adjust", "Ask for an adjustment", Power.ADJUST, "customer", _adjust, Adjusted, "price_change"),
        Action("approve", "Approve and post", Power.ADJUST, "adjustment", _decide(True), icon="check", shown=_waits),
        Action(
            "decline",
            "Decline",
            Power.ADJUST,
            "adjustment",
            _decide(False),
            Reasoned,
            "close",
            danger=True,
            shown=_waits,
        ),
        Action("take", "Take it", Power.EXCEPTIONS, "case", _take, icon="person_add", shown=_is_open),
        Action("close", "Close", Power.EXCEPTIONS, "case", _close, Resolved, "task_alt", shown=_is_open),
        Action("prove", "Prove the books now", Power.PROVE, "", _request_job(schedule.PROVE), icon="verified"),
        Action("reconcile", "Reconcile now", Power.PROVE, "", _request_job(schedule.RECONCILE), icon="balance"),
        Action(
            "halt-all",
            "Halt all trading",
            Power.HALT,
            "controls",
            _halt(HALT_ALL, True),
            Reasoned,
            "block",
            danger=True,
        ),
        Action(
            "resume-all", "Let trading go on", Power.HALT, "controls", _halt(HALT_ALL, False), Reasoned, "play_arrow"
        ),
        Action(
            "halt-stock", "Halt a stock", Power.HALT, "controls", _halt(HALT_TICKER, True), Halted, "block", danger=True
        ),
        Action(
            "resume-stock", "Let a stock go on", Power.HALT, "controls", _halt(HALT_TICKER, False), Halted, "play_arrow"
        ),
        Action(
            "restrict-stock",
            "Restrict a stock",
            Power.HALT,
            "controls",
            _halt(RESTRICT, True),
            Halted,
            "do_not_disturb_on",
            danger=True,
        ),
        Action(
            "unrestrict-stock",
            "End a restriction",
            Power.HALT,
            "controls",
            _halt(RESTRICT, False),
            Halted,
            "play_arrow",
        ),
        Action("limit", "Set a limit of orders", Power.LIMIT, "controls", _limit, Limited, "speed"),
    )
}
