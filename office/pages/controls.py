"""The page of trading controls: halts, restrictions and limits, with their author, time and reason."""

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from exchange import calendar
from office.actions.door import available_actions
from office.actions.targets import CONTROLS
from trades.controls import newest_controls
from trades.models import FeeRate, TradingControl

HISTORY_MAX = 100


def page(request: HttpRequest) -> HttpResponse:
    """Show the trading controls in force, and their history."""
    in_force = newest_controls().select_related("by", "customer")
    history = TradingControl.objects.select_related("by", "customer").order_by("-id")[:HISTORY_MAX]
    context = admin.site.each_context(request) | {
        "title": "Trading controls",
        "in_force": [control for control in in_force if control.is_on],
        "history": list(history),
        "all_halted": any(control.is_on and control.kind == TradingControl.Kind.HALT_ALL for control in in_force),
        "closures": calendar.closures(),
        "fee_rates": FeeRate.objects.order_by("kind", "-first_day", "-id"),
        "actions": available_actions(request, CONTROLS, None),
    }
    return TemplateResponse(request, "office/controls.html", context)
