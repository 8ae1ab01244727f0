"""The page that the `type` of each problem leads to: docs/reference/error-codes.md, with an anchor for each code."""

import re
from functools import cache
from typing import NamedTuple

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.views.decorators.http import require_safe

SOURCE = settings.BASE_DIR / "docs/reference/error-codes.md"
REFUSAL = re.compile(r"^\| (?P<status>\d{3}) \| `(?P<code>\w+)` \| (?P<meaning>.+) \|$", re.MULTILINE)
REASON = re.compile(r"^\| `(?P<code>\w+)` \| (?P<meaning>.+) \| (?P<decided_by>.+) \|$", re.MULTILINE)


class Row(NamedTuple):
    """A code and its meaning. `anchor` is empty if an earlier row of the same code has it."""

    anchor: str
    code: str
    meaning: SafeString
    status: str = ""


@require_safe
def error_codes(request: HttpRequest) -> HttpResponse:
    """Show what each code of a refused request or a rejected trade means."""
    return render(request, "error_codes.html", _tables())


@cache
def _tables() -> dict[str, list[Row]]:
    text = SOURCE.read_text()
    refusals: list[Row] = []
    for row in REFUSAL.finditer(text):
        anchor = "" if row["code"] in {refusal.code for refusal in refusals} else row["code"]
        refusals.append(Row(anchor, row["code"], _html(row["meaning"]), row["status"]))
    reasons = [Row(f"reason-{row['code']}", row["code"], _html(row["meaning"])) for row in REASON.finditer(text)]
    return {"refusals": refusals, "reasons": reasons}


def _html(markdown: str) -> SafeString:
    """Return a line of Markdown whose only markup is code between backticks."""
    parts = enumerate(markdown.split("`"))
    return format_html_join(
        "", "{}", ((format_html("<code>{}</code>", part) if index % 2 else part,) for index, part in parts)
    )
