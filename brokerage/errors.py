"""The problem that each of our exceptions is answered with, and Django's error handlers. See web.problems."""

import sys

from django.contrib.sessions.exceptions import SessionInterrupted
from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.http import HttpRequest, HttpResponse

from accounts.access_lock import AccessEnded
from accounts.funding import (
    AccountClosed,
    BalanceTooLarge,
    InsufficientFunds,
    TransferKeyReused,
    UnsettledFunds,
    WithdrawalsFrozen,
)
from accounts.passwords import TooManyHashes
from accounts.token_keys import TokenKeyReused
from accounts.tokens import TooManyTokens
from trades.cancel import NotCancellable
from trades.checks import (
    LineTooLong,
    Overloaded,
    PriceUnknown,
    TickerRestricted,
    TooManyOrders,
    TooManyShares,
    TooMuchMoney,
    TradingHalted,
    UnknownTicker,
)
from trades.place import TradeKeyReused
from web.documents import DocumentLimitReached, TooManyDocuments
from web.problems import UNAVAILABLE, Problem, problem_of, problem_response
from webhooks.addresses import AddressRefused
from webhooks.subscriptions import AnotherTestWaits, TooManyWebhooks, WebhookEnded, WebhookKeyReused

TABLE: dict[type[Exception], Problem] = {
    UnknownTicker: Problem(422, "unknown_ticker", "The exchange does not list this stock.", "stockTicker"),
    TradeKeyReused: Problem(409, "idempotency_key_reused", "This key was used for a trade with other terms."),
    TradingHalted: Problem(409, "trading_halted", "Trading in this stock, on this account, or as a whole is halted."),
    TickerRestricted: Problem(409, "ticker_restricted", "This stock can't be traded here.", "stockTicker"),
    TooManyShares: Problem(422, "too_many_shares", "An order can't have this many shares.", "quantity"),
    TooMuchMoney: Problem(
        422, "notional_too_large", "At the last price, this order is worth more than one order may be.", "quantity"
    ),
    PriceUnknown: Problem(503, "price_unknown", "No price is known to check the order's value with. Try again soon."),
    TooManyOrders: Problem(429, "too_many_orders", "You have placed too many orders in the last minute."),
    LineTooLong: Problem(
        429,
        "too_many_open_trades",
        "You have too many open trades. Nothing was placed: wait for some to finish, or cancel them.",
    ),
    Overloaded: Problem(
        503, "overloaded", "Too many trades are waiting. Nothing was placed: try again in a moment.", is_logged=False
    ),
    AddressRefused: Problem(422, "address_refused", "Events are posted only to public https:// addresses.", "url"),
    TooManyWebhooks: Problem(409, "too_many_webhooks", "You have as many webhooks as an account can have."),
    WebhookKeyReused: Problem(409, "idempotency_key_reused", "This key was used for a webhook with other terms."),
    WebhookEnded: Problem(409, "webhook_ended", "This webhook has ended. Create a new one."),
    AnotherTestWaits: Problem(409, "test_pending", "The test event before this one has not been sent yet."),
    NotCancellable: Problem(409, "not_cancellable", "The trade was already sent to the exchange, or is final."),
    TokenKeyReused: Problem(409, "idempotency_key_reused", "This key was used for a token with other terms."),
    TooManyTokens: Problem(409, "too_many_tokens", "You have as many API tokens as an account can have. Revoke one."),
    AccessEnded: Problem(401, "authentication_failed", "Your access ended while this ran. Sign in again."),
    TransferKeyReused: Problem(409, "idempotency_key_reused", "This key was used for another transfer."),
    AccountClosed: Problem(403, "account_closed", "This account is closed."),
    WithdrawalsFrozen: Problem(403, "withdrawals_frozen", "Withdrawals from this account are frozen. Contact support."),
    InsufficientFunds: Problem(409, "insufficient_funds", "The amount is more than what is available.", "amount"),
    UnsettledFunds: Problem(
        409,
        "unsettled_funds",
        "Sales have brought a part of this that has not settled yet.",
        "amount",
        includes_message=True,
    ),
    TooManyHashes: Problem(
        503, "busy", "Too many people are signing in right now. Try again in a moment.", is_logged=False
    ),
    TooManyDocuments: Problem(
        503, "busy", "Another document is still being generated. Try again in a moment.", is_logged=False
    ),
    DocumentLimitReached: Problem(
        429, "too_many_documents", "You have downloaded many documents in the last minute. Wait a minute."
    ),
    BalanceTooLarge: Problem(422, "balance_too_large", "An account can't hold that much cash.", "amount"),
    SessionInterrupted: Problem(
        400,
        "bad_request",
        "You were signed out while this ran. Sign in again, and look whether it was done before you repeat it.",
    ),
    SuspiciousOperation: Problem(400, "bad_request", "The request could not be understood."),
    RequestDataTooBig: Problem(413, "too_large", "The body is too large."),
    **dict.fromkeys(
        UNAVAILABLE, Problem(503, "unavailable", "Nothing is lost. Try again, with the same Idempotency-Key.")
    ),
}


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler400."""
    answer = problem_of(exception) or TABLE[SuspiciousOperation]
    return problem_response(request, answer.status, answer.code, answer.detail)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler403."""
    return problem_response(request, 403, "forbidden", "You are not allowed to do this.")


def expired_form(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Django's CSRF_FAILURE_VIEW."""
    return problem_response(
        request, 403, "expired_form", "This page was open for too long. Go back, reload it, and try again."
    )


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler404."""
    return problem_response(request, 404, "not_found", "There is nothing at this address.")


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's handler500, which also gets what the database raises while a middleware uses it."""
    error = sys.exception()
    if isinstance(error, Exception) and (answer := problem_of(error)):
        return problem_response(request, answer.status, answer.code, answer.detail)
    return problem_response(request, 500, "error", "Something went wrong on our side. It has been logged.")
