"""The pages of an account: cash, statements, profile, tokens."""

from datetime import timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID, uuid4

from allauth.usersessions.models import UserSession
from allauth.usersessions.views import ListUserSessionsView
from django.conf import settings
from django.contrib import messages
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods

from accounts import funding, page_tickets, queries, statement_document, tokens
from accounts.forms import AmountForm, ProfileForm, TokenForm
from accounts.freezes import is_frozen
from accounts.ledger_csv import csv_of
from accounts.models import CASH, Posting
from accounts.restrictions import standing_of
from accounts.settlement import cash_of
from accounts.sign_ins import sign_ins_of
from accounts.statements import SHARES_ALONE, Month, NoStatement, Statement, gains_rows, months_of, statement_of
from web.current_customer import current_customer, current_customer_id
from web.documents import in_turn
from web.parts import fit_one_part, get_part, part_numbers, requested_part
from web.sign_in import form_of, page_at, signed_in
from web.templatetags.figures import usd

LINES_A_PAGE = 25
AMOUNT_LENGTH_MAX = 32  # of an amount in an address, in characters
LINES_A_FILE = 20_000  # of the ledger as CSV: about 3 MB
CSV = "text/csv; charset=utf-8"
SIGN_INS_SHOWN = 20
MAIL_IS_STORED = "filebased"  # the backend that writes messages to files


def context(request: HttpRequest) -> dict[str, Any]:
    """Return context for every page: the theme, the support address, and the mail folder if there is no mail server."""
    return {
        "theme": getattr(getattr(request, "user", None), "theme", "system"),
        "support_email": settings.SUPPORT_EMAIL,
        "mail_folder": getattr(settings, "EMAIL_FILE_PATH", None)
        if MAIL_IS_STORED in settings.MAIL_SERVER_BACKEND
        else None,
    }


@signed_in
@require_GET
def cash(request: HttpRequest) -> HttpResponse:
    """Show the cash, the forms to deposit and withdraw, and the ledger."""
    return _cash(request, {})


def _cash(request: HttpRequest, forms: dict[str, Any], status: int = 200) -> HttpResponse:
    customer_id = current_customer_id(request)
    before = request.GET.get("before", "")
    is_line = Q(ticker=CASH) | Q(kind__in=SHARES_ALONE)  # a trade's shares are shown in the line of its cash
    ledger = queries.postings_of(customer_id).filter(is_line).order_by("-id")
    if before.isdecimal() and len(before) < 19:
        ledger = ledger.filter(id__lt=int(before))
    found = list(ledger[: LINES_A_PAGE + 1])
    lines = found[:LINES_A_PAGE]
    return render(
        request,
        "accounts/cash.html",
        {
            "balance": cash_of(customer_id),
            "standing": standing_of(customer_id),
            "is_frozen": is_frozen(customer_id),
            "lines": _with_shares(customer_id, lines),
            "next": lines[-1].id if len(found) > len(lines) else None,
            "is_one_file": fit_one_part(queries.postings_of(customer_id), LINES_A_FILE),
            "is_first": not before,
            "deposit": _amount_form(request, "deposit"),
            "withdraw": _amount_form(request, "withdraw"),
        }
        | forms,
        status=status,
    )


def _amount_form(request: HttpRequest, verb: str) -> AmountForm:
    amount = request.GET.get(verb, "")[:AMOUNT_LENGTH_MAX]
    return AmountForm(auto_id=f"{verb}_%s", initial={"key": uuid4(), "amount": amount})


def _with_shares(customer_id: int, lines: list[Posting]) -> list[dict[str, Any]]:
    """Return postings for the ledger, each with the share posting of its trade."""
    of_trades = {Posting.Kind.BUY, Posting.Kind.SELL}
    causes = [line.cause for line in lines if line.kind in of_trades]
    moved = {
        posting.cause: posting
        for posting in queries.postings_of(customer_id).filter(cause__in=causes).exclude(ticker=CASH)
    }
    return [{"posting": line, "shares": moved.get(line.cause) if line.kind in of_trades else None} for line in lines]


def _redirect_to_cash(request: HttpRequest) -> str:
    """Return the URL of the cash page, with the amount that was entered."""
    verb = request.path.rpartition("/")[2]
    amount = request.POST.get("amount", "")
    return f"{reverse('cash')}?{urlencode({verb: amount})}" if amount else reverse("cash")


@form_of(_redirect_to_cash)
def deposit(request: HttpRequest) -> HttpResponse:
    """Deposit cash."""
    return _transfer(request, "deposit")


@form_of(_redirect_to_cash)
def withdraw(request: HttpRequest) -> HttpResponse:
    """Withdraw cash."""
    return _transfer(request, "withdraw")


def _transfer(request: HttpRequest, verb: str) -> HttpResponse:
    form = AmountForm(request.POST, auto_id=f"{verb}_%s")
    if form.is_valid():
        move = funding.deposit if verb == "deposit" else funding.withdraw
        try:
            posting, replayed = move(
                current_customer_id(request), form.cleaned_data["amount"], f"page-{form.cleaned_data['key']}"
            )
        except funding.InsufficientFunds:
            form.add_error("amount", _withdrawable_now(request))
        except funding.UnsettledFunds as error:
            form.add_error("amount", f"{_withdrawable_now(request)} {error}")
        except funding.WithdrawalsFrozen:
            form.add_error("amount", "Withdrawals from your account are frozen. Ask support why.")
        except funding.AccountClosed:
            form.add_error("amount", "This account is closed.")
        except funding.BalanceTooLarge:
            form.add_error("amount", "The account can't hold that much cash.")
        except funding.TransferKeyReused:
            form.add_error("amount", "This form was used for another transfer. Look at your ledger, then try again.")
        else:
            if not replayed:
                funding.log_transfer(posting)
            direction = "arrived from" if verb == "deposit" else "went to"
            messages.success(request, f"{usd(abs(posting.change))} {direction} the stand-in bank.")
            return redirect("cash")
        # A refused transfer has moved nothing, so the next try gets its own key.
        form.data = {**form.data.dict(), "key": str(uuid4())}  # type: ignore[attr-defined]
    return _cash(request, {verb: form}, status=422)


def _withdrawable_now(request: HttpRequest) -> str:
    return f"You can withdraw up to {usd(cash_of(current_customer_id(request)).withdrawable)} now."


@signed_in
@require_GET
def ledger_files(request: HttpRequest) -> HttpResponse:
    """List the files of a ledger that is too long for one."""
    files = part_numbers(queries.postings_of(current_customer_id(request)).count(), LINES_A_FILE)
    return render(request, "accounts/ledger_files.html", {"files": files, "lines_a_file": LINES_A_FILE})


@signed_in
@require_GET
@in_turn
def ledger_csv(request: HttpRequest) -> HttpResponse:
    """Send a part of the postings as CSV, oldest first."""
    customer_id = current_customer_id(request)
    part = get_part(queries.postings_of(customer_id).order_by("id"), LINES_A_FILE, requested_part(request))
    response = HttpResponse(csv_of(part.rows), content_type=CSV)
    name = "ledger.csv" if part.count == 1 else f"ledger-{part.number}-of-{part.count}.csv"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


@signed_in
@require_GET
def statements(request: HttpRequest) -> HttpResponse:
    """List the statements."""
    return render(request, "accounts/statements.html", {"months": months_of(current_customer_id(request))})


@signed_in
@require_GET
def statement(request: HttpRequest, year: int, month: int) -> HttpResponse:
    """Show the statement of a month."""
    document = _statement(request, year, month)
    parts = range(1, document.parts + 1) if document.parts > 1 else []
    found = {
        "statement": document,
        "parts": parts,
        "shares": statement_document.shares_table(document),
        "gains": gains_rows(document),
    }
    return render(request, "accounts/statement.html", found)


@signed_in
@require_GET
@in_turn
def statement_pdf(request: HttpRequest, year: int, month: int) -> HttpResponse:
    """Send the statement of a month as a PDF."""
    document = _statement(request, year, month)
    response = HttpResponse(statement_document.statement_pdf(document), content_type="application/pdf")
    part = f"-part-{document.part}" if document.parts > 1 else ""
    response["Content-Disposition"] = f'attachment; filename="statement-{year:04}-{month:02}{part}.pdf"'
    return response


def _statement(request: HttpRequest, year: int, month: int) -> Statement:
    try:
        return statement_of(current_customer_id(request), Month(year, month), requested_part(request))
    except NoStatement:
        raise Http404 from None


@signed_in
@require_http_methods(["GET", "POST"])
def account(request: HttpRequest) -> HttpResponse:
    """Show and change the profile and the theme, with links to everything else about the account."""
    form = ProfileForm(request.POST or None, instance=current_customer(request))
    if request.method == "POST" and form.is_valid():
        form.save()
        messages.success(request, "Saved.")
        return redirect("account")
    if form.errors:
        current_customer(request).refresh_from_db()
    found = {"form": form, "standing": standing_of(current_customer_id(request))}
    return render(request, "accounts/account.html", found, status=422 if form.errors else 200)


@signed_in
@require_http_methods(["GET", "POST"])
def api_tokens(request: HttpRequest) -> HttpResponse:
    """List the customer's tokens, and create one. A new token is shown only in the response that created it."""
    form = TokenForm(request.POST or None)
    issued = None
    own = queries.tokens_of(current_customer_id(request))
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        ends = timezone.now() + timedelta(days=data["days"]) if data["days"] else None
        try:
            issued = tokens.issue(current_customer(request), data["name"], data["scopes"], ends, data["addresses"])
        except tokens.TooManyTokens:
            form.add_error(None, f"You have {tokens.TOKENS_MAX:,} tokens, which is the maximum. End one first.")
        else:
            form = TokenForm()
    return render(
        request,
        "accounts/tokens.html",
        {"form": form, "issued": issued, "tokens": own},
        status=422 if form.errors else 200,
    )


@form_of(page_at("tokens"))
def end_token(request: HttpRequest, token_id: UUID) -> HttpResponse:
    """End a token at once."""
    tokens.end(current_customer_id(request), token_id)
    messages.success(request, "The token has ended: no program can use it anymore.")
    return redirect("tokens")


@signed_in
@require_GET
def stream_ticket(request: HttpRequest) -> HttpResponse:
    """Return the URL with which a page opens its event stream, valid for a moment.

    It is null if the session is not among those that customers can list and end. Its pages poll instead.
    """
    ticket = page_tickets.issue(request)
    if ticket is None:
        return JsonResponse({"address": None})
    return JsonResponse({"address": f"{settings.STREAM_URL}/pages/stream?{urlencode({'ticket': ticket})}"})


@form_of(page_at("usersessions_list"))
def end_session(request: HttpRequest, session_id: int) -> HttpResponse:
    """End one of the customer's sessions at once."""
    session = UserSession.objects.filter(user_id=current_customer_id(request), pk=session_id).first()
    if session is not None:
        session.end()
        messages.success(request, "The session has ended.")
    return redirect("usersessions_list")


class Sessions(ListUserSessionsView):
    """Shows the customer's sessions and the latest entries of the sign-in history."""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Return allauth's context with the newest sign-ins."""
        found = super().get_context_data(**kwargs)
        return found | {"sign_ins": list(sign_ins_of(current_customer_id(self.request))[:SIGN_INS_SHOWN])}
