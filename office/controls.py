"""The switches: what staff halted, restricted and limited, who did it, when, and why."""

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from office.actions import controls_in_force, offered
from trades.models import TradingControl

HISTORY_MAX = 100


def page(request: HttpRequest) -> HttpResponse:
    """What is in force, and what was before."""
    history = TradingControl.objects.select_related("by", "customer").order_by("-id")[:HISTORY_MAX]
    context = admin.site.each_context(request) | {
        "title": "Switches",
        "in_force": [switch for switch in controls_in_force() if switch.is_on],
        "history": list(history),
        "actions": offered(request, "controls", None),
    }
    return TemplateResponse(request, "office/controls.html", context)
