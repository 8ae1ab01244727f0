"""Actions on a customer's webhook."""

from office.actions.action import Action, ActionContext, ActionRefused
from office.actions.forms import ReasonForm
from office.actions.targets import WEBHOOK
from office.roles import Power
from webhooks import subscriptions


def _end(context: ActionContext) -> str:
    if not subscriptions.end(context.target, "Our staff ended it."):
        raise ActionRefused("This webhook has already ended.")
    return "The webhook has ended, and its owner was notified by email."


END_WEBHOOK = Action("end-webhook", "End the webhook", Power.ACCESS, WEBHOOK, _end, ReasonForm, "link_off", danger=True)
ACTIONS = (END_WEBHOOK,)
