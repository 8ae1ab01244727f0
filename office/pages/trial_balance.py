"""The page of the trial balance."""

from datetime import date, timedelta

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.template.response import TemplateResponse

from office.tables.export import csv_response
from trades.trial_balance import FIRST_DAY, Line, trial_balance
from web.timezones import eastern_today

COLUMNS = (
    ("account", lambda line: line.account),
    ("part", lambda line: line.part),
    ("title", lambda line: line.title),
    ("debit (USD)", lambda line: line.debit),
    ("credit (USD)", lambda line: line.credit),
)


def page(request: HttpRequest) -> HttpResponseBase:
    """Show the firm's accounts at the end of a day, or send them as CSV. If `day` is not a valid date, it is today."""
    today = eastern_today()
    try:
        day = date.fromisoformat(request.GET.get("day", ""))
    except ValueError:
        day = today
    day = min(max(day, FIRST_DAY), today)
    found = trial_balance(day)
    if request.GET.get("format") == "csv":
        lines: list[Line] = found.lines
        return csv_response(f"trial-balance-{day}", COLUMNS, lines)
    context = admin.site.each_context(request) | {
        "title": "Trial balance",
        "found": found,
        "today": today,
        "before": day - timedelta(days=1),
    }
    response: HttpResponse = TemplateResponse(request, "office/trial_balance.html", context)
    return response
