"""The page of the daily report."""

from datetime import date, timedelta

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.template.response import TemplateResponse

from office import daily_report
from office.tables.export import csv_response
from web.timezones import eastern_today


def page(request: HttpRequest) -> HttpResponseBase:
    """Show the report of a day, or send it as CSV. If `day` is not a valid date, it is today."""
    today = eastern_today()
    try:
        day = date.fromisoformat(request.GET.get("day", ""))
    except ValueError:
        day = today
    day = min(max(day, daily_report.FIRST_DAY), today)
    rows = daily_report.rows_of(daily_report.report_of(day))
    if request.GET.get("format") == "csv":
        return csv_response(f"report-{day}", [("figure", lambda row: row[0]), ("value", lambda row: row[1])], rows)
    context = admin.site.each_context(request) | {
        "title": "Daily report",
        "day": day,
        "today": today,
        "before": day - timedelta(days=1),
        "rows": rows,
    }
    response: HttpResponse = TemplateResponse(request, "office/daily_report.html", context)
    return response
