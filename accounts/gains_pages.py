"""The pages of lots and gains."""

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from accounts import gains
from accounts.gains_csv import PIECES_A_FILE, gains_csv
from accounts.gains_document import PIECES_A_DOCUMENT, gains_pdf
from accounts.models import Balance, LotMethod
from accounts.queries import balance_of
from web.current_customer import current_customer_id
from web.documents import in_turn
from web.parts import part_numbers, requested_part
from web.sign_in import signed_in
from web.timezones import eastern_today

SHOWN_MAX = 200  # lots, and closings; the files have all of them


def _year(request: HttpRequest) -> int:
    text = request.GET.get("year", "")
    year = int(text) if text.isascii() and text.isdecimal() and len(text) == 4 else eastern_today().year
    if not gains.FIRST_YEAR <= year <= gains.LAST_YEAR:
        raise Http404
    return year


@signed_in
@require_GET
def gains_page(request: HttpRequest) -> HttpResponse:
    """Show a year's gains and the open lots."""
    customer_id, year = current_customer_id(request), _year(request)
    sold = gains.gains_of(customer_id, year)
    totals = gains.totals_of(sold)
    count = sum(term.closings for term in totals.values())
    return render(
        request,
        "accounts/gains.html",
        {
            "year": year,
            "years": list(gains.years_of(customer_id, eastern_today().year)),
            "sold": list(sold.order_by("-closed_on", "-id")[:SHOWN_MAX]),
            "short_term": totals[False],
            "long_term": totals[True],
            "lots": list(gains.open_lots_of(customer_id)[:SHOWN_MAX]),
            "method": balance_of(customer_id).lot_method,
            "methods": LotMethod.choices,
            "shown_max": SHOWN_MAX,
            "files": part_numbers(count, PIECES_A_FILE),
            "documents": part_numbers(count, PIECES_A_DOCUMENT),
        },
    )


@signed_in
@require_GET
@in_turn
def gains_as_csv(request: HttpRequest) -> HttpResponse:
    """Send a part of a year's gains as CSV."""
    return gains_csv(current_customer_id(request), _year(request), requested_part(request))


@signed_in
@require_GET
@in_turn
def gains_as_pdf(request: HttpRequest) -> HttpResponse:
    """Send a part of a year's gains as a PDF."""
    customer_id, year, part = current_customer_id(request), _year(request), requested_part(request)
    response = HttpResponse(gains_pdf(customer_id, year, part), content_type="application/pdf")
    name = f"gains-{year}.pdf" if part == 1 else f"gains-{year}-part-{part}.pdf"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


@signed_in
@require_POST
def choose_method(request: HttpRequest) -> HttpResponse:
    """Choose the lots that sales close from now on. A sale that was already sent keeps its method."""
    method = request.POST.get("method", "")
    if method not in LotMethod.values:
        raise Http404
    Balance.objects.filter(customer_id=current_customer_id(request)).update(lot_method=method)
    messages.success(request, f"Your sales now close lots by this method: {LotMethod(method).label.lower()}.")
    return redirect("gains")
