"""Actions on customers."""

from collections.abc import Callable
from typing import Any

from django.db import transaction

from accounts.deactivation import AccountIsClosed, deactivate, reactivate
from accounts.freezes import freeze_withdrawals, is_frozen
from accounts.models import Balance, Customer
from accounts.personal_data import AccountStillOpen, erase_personal_data
from accounts.request_limits import limits_of, set_limits
from accounts.restrictions import NotRestricted, lift_restriction
from accounts.revocation import Cause, revoke_access
from office.actions.action import Action, ActionContext, ActionRefused
from office.actions.forms import ApiLimitForm, NoteForm, ReasonForm
from office.actions.targets import CUSTOMER, is_halted
from office.models import Note
from office.roles import Power
from trades.controls import set_control
from trades.models import TradingControl
from web.timezones import eastern_today


def _note(context: ActionContext) -> str:
    Note.objects.create(customer=context.target, by=context.staff, text=context.data["text"])
    return "The note was saved."


def _set_trading(halted: bool) -> Callable[[ActionContext], str]:
    def run(context: ActionContext) -> str:
        set_control(
            TradingControl.Kind.HALT_CUSTOMER,
            halted,
            reason=context.data["reason"],
            by=context.staff,
            customer=context.target,
        )
        return "Trading is frozen." if halted else "Trading is no longer frozen."

    return run


def _set_withdrawals(frozen: bool) -> Callable[[ActionContext], str]:
    def run(context: ActionContext) -> str:
        freeze_withdrawals(context.target.id, frozen, reason=context.data["reason"], by=context.staff)
        return "Withdrawals are frozen." if frozen else "Withdrawals are no longer frozen."

    return run


def _lift_restriction(context: ActionContext) -> str:
    try:
        lift_restriction(context.target.id, context.data["reason"], context.staff)
    except NotRestricted:
        raise ActionRefused("This account is not restricted.") from None
    return "The account can buy with unsettled cash again. Its violations still count: the next one restricts it again."


def _end_tokens(context: ActionContext) -> str:
    with transaction.atomic(durable=True):
        ended = revoke_access(context.target, Cause.TOKENS_ENDED)
    return f"Tokens ended: {ended.tokens}. Webhooks ended: {ended.webhooks}."


def _end_sessions(context: ActionContext) -> str:
    with transaction.atomic(durable=True):
        ended = revoke_access(context.target, Cause.SESSIONS_ENDED)
    return f"Sessions ended: {ended.sessions}."


def _deactivate(context: ActionContext) -> str:
    if context.target.is_staff:
        raise ActionRefused("Manage members of staff on the page “Staff and roles”.")
    if not deactivate(context.target):
        raise ActionRefused("The account is already deactivated.")
    return "The account is deactivated. Its owner was notified by email."


def _reactivate(context: ActionContext) -> str:
    try:
        changed = reactivate(context.target)
    except AccountIsClosed:
        raise ActionRefused("The customer has closed this account permanently.") from None
    if not changed:
        raise ActionRefused("The account is already active.")
    return "The account is active again. Its owner was notified by email."


def _is_active(customer: Customer) -> bool:
    return customer.is_active and not customer.is_staff


def _is_deactivated(customer: Customer) -> bool:
    return not customer.is_active and customer.closed_at is None


def _set_api_limits(context: ActionContext) -> str:
    limits = set_limits(context.target.id, context.data["reads_a_minute"], context.data["orders_a_minute"])
    reads, orders = limits.reads_a_minute or "standard", limits.orders_a_minute or "standard"
    return f"Limits a minute: {reads} reads, {orders} orders."


def _erase(context: ActionContext) -> str:
    try:
        erase_personal_data(context.target.id)
    except AccountStillOpen:
        raise ActionRefused("Personal data can be erased only after the customer has closed the account.") from None
    return "The personal data was erased. Trades, books and statements stay."


def _can_erase(customer: Customer) -> bool:
    return customer.erased_at is None and customer.closed_at is not None


def _own_api_limits(customer: Customer) -> dict[str, Any]:
    limits = limits_of(customer.id)
    return {"reads_a_minute": limits.reads_a_minute, "orders_a_minute": limits.orders_a_minute}


def _may_trade(customer: Customer) -> bool:
    return not is_halted(customer)


def _withdrawals_frozen(customer: Customer) -> bool:
    return is_frozen(customer.id)


def _may_withdraw(customer: Customer) -> bool:
    return not is_frozen(customer.id)


def _is_restricted(customer: Customer) -> bool:
    return Balance.objects.filter(customer=customer, settled_cash_until__gt=eastern_today()).exists()


def _freeze(
    name: str,
    label: str,
    run: Callable[[ActionContext], str],
    offered_for: Callable[[Customer], bool],
    icon: str = "ac_unit",
) -> Action:
    danger = icon == "ac_unit"
    return Action(name, label, Power.FREEZE, CUSTOMER, run, ReasonForm, icon, danger=danger, offered_for=offered_for)


ACTIONS = (
    Action("note", "Add a note", Power.NOTE, CUSTOMER, _note, NoteForm, "edit_note"),
    _freeze("freeze-trading", "Freeze trading", _set_trading(halted=True), _may_trade),
    _freeze("unfreeze-trading", "Unfreeze trading", _set_trading(halted=False), is_halted, icon="sunny"),
    _freeze("freeze-withdrawals", "Freeze withdrawals", _set_withdrawals(frozen=True), _may_withdraw),
    _freeze(
        "unfreeze-withdrawals",
        "Unfreeze withdrawals",
        _set_withdrawals(frozen=False),
        _withdrawals_frozen,
        icon="sunny",
    ),
    _freeze("lift-restriction", "Lift the restriction", _lift_restriction, _is_restricted, icon="lock_open"),
    Action(
        "end-tokens",
        "End all tokens and webhooks",
        Power.ACCESS,
        CUSTOMER,
        _end_tokens,
        ReasonForm,
        "key_off",
        danger=True,
    ),
    Action(
        "end-sessions", "End all sessions", Power.ACCESS, CUSTOMER, _end_sessions, ReasonForm, "logout", danger=True
    ),
    Action(
        "deactivate",
        "Deactivate",
        Power.ACCESS,
        CUSTOMER,
        _deactivate,
        ReasonForm,
        "block",
        danger=True,
        offered_for=_is_active,
    ),
    Action(
        "reactivate",
        "Reactivate",
        Power.ACCESS,
        CUSTOMER,
        _reactivate,
        ReasonForm,
        "check_circle",
        offered_for=_is_deactivated,
    ),
    Action(
        "erase-personal-data",
        "Erase personal data",
        Power.ACCESS,
        CUSTOMER,
        _erase,
        ReasonForm,
        "person_off",
        danger=True,
        offered_for=_can_erase,
        needs_second=True,
    ),
    Action(
        "api-limits",
        "Set API limits",
        Power.LIMIT,
        CUSTOMER,
        _set_api_limits,
        ApiLimitForm,
        "speed",
        initial=_own_api_limits,
    ),
)
