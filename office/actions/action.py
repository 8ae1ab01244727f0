"""The definition of an action: its name, the power it needs, the kind of its target, and the function that runs it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from accounts.models import Customer
from office.actions.forms import EmptyForm, Form
from office.actions.targets import Target
from office.roles import Power


class ActionRefused(Exception):
    """The action can't be done. The text tells staff why."""


@dataclass(frozen=True, slots=True)
class ActionContext:
    """One run of an action: the member of staff, the target, and the data of the form.

    `by` identifies the member of staff in permanent records, such as "staff 7".
    """

    staff: Customer
    by: str
    target: Any
    data: dict[str, Any]


def always(_: Any) -> bool:
    """Offer an action in any state of its target."""
    return True


def nothing(_: Any) -> dict[str, Any]:
    """Return no initial values."""
    return {}


@dataclass(frozen=True, slots=True)
class Action:
    """An action of staff.

    Attributes:
        run: Calls one verb and returns a sentence for staff, or raises ActionRefused.
        offered_for: Returns whether to show a button for a target in its current state. The verb still decides.
        needs_second: Whether the action becomes a proposal that a second member of staff must approve.
        initial: Returns the initial values of the form.
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
