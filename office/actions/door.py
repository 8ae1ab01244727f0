"""The single door through which all actions are executed.

The door checks the power, records in the audit log what is about to be done, calls one verb, and records the outcome.
So nothing is done that is not in the log first.
"""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.http import url_has_allowed_host_and_scheme

from exchange.messages import storable
from office import audit
from office.access import actor_of, staff_of
from office.actions import ACTIONS
from office.actions.action import Action, ActionContext, ActionRefused
from office.actions.targets import Target
from office.models import AuditEntry, Proposal
from office.roles import may
from web.sign_in import NOT_DONE

Outcome = AuditEntry.Outcome
ENDED = "Nothing has been done yet: you were signed out before you sent this form. Check it and send it again."


def view(request: HttpRequest, name: str, target: str = "") -> HttpResponse:
    """Show the form of an action (GET), or run it and return to the page of its target (POST)."""
    action = ACTIONS.get(name)
    if action is None:
        raise Http404
    if not may(request.user, action.power):
        audit.record(actor_of(request), action.name, Outcome.REFUSED, subject=target, reason="not allowed")
        raise PermissionDenied
    loaded = action.target.load(target)
    back = _next_page(request) or action.target.link(loaded)
    form = action.form(request.POST if request.method == "POST" else None, initial=_initial(request, action, loaded))
    if request.method == "POST" and form.is_valid():
        _run(request, action, loaded, form.cleaned_data)
        return HttpResponseRedirect(back)
    if request.method == "GET" and NOT_DONE in request.GET:
        messages.warning(request, ENDED)
    details = action.target.describe(loaded)
    if details.get("customer_id") is not None:  # the form shows what the action can change
        audit.record(actor_of(request), f"open {action.name}", Outcome.SEEN, **details)
    context = admin.site.each_context(request) | {
        "title": action.label,
        "action": action,
        "form": form,
        "back": back,
        "target": loaded,
        "state": action.target.snapshot(loaded),
    }
    return TemplateResponse(request, "office/action.html", context, status=422 if request.method == "POST" else 200)


def available_actions(request: HttpRequest, target: Target[Any], loaded: Any) -> list[Action]:
    """Return the actions that this member of staff may run on this target in its current state."""
    return [
        action
        for action in ACTIONS.values()
        if action.target is target and may(request.user, action.power) and action.offered_for(loaded)
    ]


def _run(request: HttpRequest, action: Action, loaded: Any, data: dict[str, Any]) -> None:
    actor, staff = actor_of(request), staff_of(request)
    details: dict[str, Any] = action.target.describe(loaded) | {"reason": str(data.get("reason", ""))}
    values = {name: str(value) for name, value in data.items() if name != "reason" and value is not None}
    if not details["subject"]:
        details["subject"] = ", ".join(f"{name} {value}" for name, value in values.items() if value)
    before = action.target.snapshot(loaded)
    audit.record(actor, action.name, Outcome.ASKED, before=before, after=values or None, **details)
    try:
        if action.needs_second:
            done = _propose(action, loaded, request, details)
        else:
            done = action.run(ActionContext(staff, f"staff {staff.id}", loaded, data))
    except ActionRefused as refused:
        details["reason"] = str(refused)
        outcome, show, message = Outcome.REFUSED, messages.error, str(refused)
    else:
        outcome, show, message = Outcome.DONE, messages.success, done
    audit.record(actor, action.name, outcome, before=before, after=action.target.snapshot(loaded), **details)
    show(request, message)


def _propose(action: Action, loaded: Any, request: HttpRequest, details: dict[str, Any]) -> str:
    """Store the action as a proposal until a second member of staff decides."""
    names = action.form.base_fields
    submitted = {
        name: values if len(values) > 1 else values[0] for name, values in request.POST.lists() if name in names
    }
    description = ", ".join(str(value) for name, value in submitted.items() if name != "reason" and value)
    proposal = Proposal.objects.create(
        action=action.name,
        target="" if loaded is None else str(loaded.pk),
        given=submitted,
        subject=storable(": ".join(part for part in (action.label, description) if part), 200),
        customer_id=details.get("customer_id"),
        trade_id=details.get("trade_id"),
        asked_by=staff_of(request),
    )
    return f"Proposed: {proposal}. A second member of staff must approve it."


def _initial(request: HttpRequest, action: Action, loaded: Any) -> dict[str, Any]:
    """Return the initial values of the form.

    Hidden fields may come from the URL, such as the selection in a list. All fields may, if staff sent the form after
    their session had ended.
    """
    initial = dict(action.initial(loaded))
    for name, field in action.form.base_fields.items():
        if name in request.GET and (field.widget.is_hidden or NOT_DONE in request.GET):
            initial[name] = field.widget.value_from_datadict(request.GET, request.FILES, name)
    return initial


def _next_page(request: HttpRequest) -> str:
    """Return the page of our site to return to, if the request names one."""
    url = request.POST.get("next") or request.GET.get("next") or ""
    is_ours = url_has_allowed_host_and_scheme(url, {request.get_host()}, request.is_secure())
    return url if url and is_ours else ""
