"""What an action is: a name, the power it takes, what it is done to, and the call that does it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from accounts.models import Customer
from office.actions.forms import EmptyForm, Form
from office.actions.targets import Target
from office.roles import Power


class ActionRefused(Exception):
    """The action cannot be done. The text tells staff why."""


@dataclass(frozen=True, slots=True)
class ActionContext:
    """One run of an action: the member of staff, the target, and what the form was given.

    `by` names the member of staff in histories that outlive accounts, as in "staff 7".
    """

    staff: Customer
    by: str
    target: Any
    data: dict[str, Any]


def always(_: Any) -> bool:
    """Offer an action whatever its target looks like."""
    return True


def nothing(_: Any) -> dict[str, Any]:
    """Start a form empty."""
    return {}


@dataclass(frozen=True, slots=True)
class Action:
    """Something that staff can do.

    `run` makes one call to a verb and returns a sentence for staff, or raises ActionRefused. `offered_for` spares staff
    a button that makes no sense for the target as it is; the verb still decides. `initial` fills the form at first.
    `needs_second` makes it a proposal that a second member of staff decides on.
    """

    name: str
    label: str
    power: Power
    target: Target[Any]
    run: Callable[[ActionContext], str]
    form: type[Form] = EmptyForm
    icon: str = ""
    danger: bool = False
    offered_for: Callable[[Any], bool] = always
    needs_second: bool = False
    initial: Callable[[Any], dict[str, Any]] = nothing
