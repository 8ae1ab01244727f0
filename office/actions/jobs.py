"""Actions that request a job now."""

from collections.abc import Callable

from office import schedule
from office.actions.action import Action, ActionContext
from office.actions.targets import DESK
from office.roles import Power


def _request_job(job: str) -> Callable[[ActionContext], str]:
    def run(context: ActionContext) -> str:
        schedule.request_job(job, context.staff.email)
        return "Requested. It starts within seconds, and the desk shows the result."

    return run


ACTIONS = (
    Action("prove", "Prove the books now", Power.PROVE, DESK, _request_job(schedule.PROVE), icon="verified"),
    Action("reconcile", "Reconcile now", Power.PROVE, DESK, _request_job(schedule.RECONCILE), icon="balance"),
)
