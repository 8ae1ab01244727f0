"""The pages on which customers download their data and close their account."""

from allauth.account.decorators import reauthentication_required
from django.contrib.auth import logout
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods

from accounts import personal_data, queries
from accounts.closing import AccountNotEmpty, close_account
from web.current_customer import current_customer, current_customer_id
from web.documents import in_turn
from web.parts import requested_part


@login_required
@require_GET
def data(request: HttpRequest) -> HttpResponse:
    """Offer everything that we store about the customer as a download."""
    parts = personal_data.parts_of(current_customer_id(request))
    return render(request, "accounts/personal_data.html", {"parts": range(1, parts + 1)})


@login_required
@reauthentication_required
@require_GET
@in_turn
def download(request: HttpRequest) -> HttpResponse:
    """Send one part of what we store about the customer as JSON."""
    customer_id = current_customer_id(request)
    part, parts = requested_part(request), personal_data.parts_of(customer_id)
    if not 1 <= part <= parts:
        raise Http404
    response = HttpResponse(personal_data.part_of(customer_id, part, parts), content_type="application/json")
    name = "my-data.json" if parts == 1 else f"my-data-{part}-of-{parts}.json"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


@login_required
@reauthentication_required
@require_http_methods(["GET", "POST"])
def close(request: HttpRequest) -> HttpResponse:
    """Explain what closing the account means (GET), or close it and sign out (POST)."""
    customer = current_customer(request)
    if request.method == "POST":
        try:
            close_account(customer)
        except AccountNotEmpty:
            return _close(request, status=409)
        logout(request)
        return redirect("account_closed")
    return _close(request)


def _close(request: HttpRequest, status: int = 200) -> HttpResponse:
    customer_id = current_customer_id(request)
    context = {
        "balance": queries.balance_of(customer_id),
        "positions": queries.positions_of(customer_id),
    }
    return render(request, "accounts/close.html", context, status=status)


@require_GET
def closed(request: HttpRequest) -> HttpResponse:
    """Say goodbye to a former customer."""
    return render(request, "accounts/closed.html")
