"""Actions that halt, restrict and limit trading."""

from collections.abc import Callable

from office.actions.action import Action, ActionContext, always
from office.actions.forms import ConfirmForm, Form, OrderLimitForm, ReasonForm, StockForm
from office.actions.targets import CONTROLS
from office.roles import Power
from trades.controls import controls_in_force, set_control
from trades.models import TradingControl

Kind = TradingControl.Kind


def _set(kind: Kind, is_on: bool, done: str) -> Callable[[ActionContext], str]:
    def run(context: ActionContext) -> str:
        ticker = context.data.get("ticker", "")
        set_control(kind, is_on, reason=context.data["reason"], by=context.staff, ticker=ticker)
        return done.format(ticker=ticker)

    return run


def _limit(context: ActionContext) -> str:
    value, kind = context.data["value"], Kind(context.data["kind"])
    set_control(
        kind,
        value is not None,
        reason=context.data["reason"],
        by=context.staff,
        customer=context.data["customer"],
        value=value,
    )
    return f"{kind.label}: {'no limit' if value is None else value}."


def _has_control(kind: Kind) -> Callable[[None], bool]:
    return lambda _: any(control.kind == kind for control in controls_in_force())


def _has_no_control(kind: Kind) -> Callable[[None], bool]:
    return lambda _: not any(control.kind == kind for control in controls_in_force())


def _halt(
    name: str, label: str, kind: Kind, done: str, form: type[Form], offered_for: Callable[[None], bool] = always
) -> Action:
    icon = "do_not_disturb_on" if kind == Kind.RESTRICT_TICKER else "block"
    run = _set(kind, True, done)
    return Action(name, label, Power.HALT, CONTROLS, run, form, icon, danger=True, offered_for=offered_for)


def _end(name: str, label: str, kind: Kind, done: str, form: type[Form]) -> Action:
    run = _set(kind, False, done)
    return Action(name, label, Power.HALT, CONTROLS, run, form, "play_arrow", offered_for=_has_control(kind))


ACTIONS = (
    _halt(
        "halt-all",
        "Halt all trading",
        Kind.HALT_ALL,
        "All trading is halted.",
        ConfirmForm,
        _has_no_control(Kind.HALT_ALL),
    ),
    _end("resume-all", "Resume all trading", Kind.HALT_ALL, "Trading has resumed.", ReasonForm),
    _halt("halt-stock", "Halt a stock", Kind.HALT_TICKER, "Trading in {ticker} is halted.", StockForm),
    _end("resume-stock", "Resume a stock", Kind.HALT_TICKER, "Trading in {ticker} has resumed.", StockForm),
    _halt(
        "restrict-stock",
        "Restrict a stock",
        Kind.RESTRICT_TICKER,
        "{ticker} is restricted: no new orders.",
        StockForm,
    ),
    _end(
        "unrestrict-stock", "Lift a restriction", Kind.RESTRICT_TICKER, "{ticker} is no longer restricted.", StockForm
    ),
    Action("limit", "Set an order limit", Power.LIMIT, CONTROLS, _limit, OrderLimitForm, "speed"),
)
