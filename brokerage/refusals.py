"""The exceptions with which each operation of the API can be refused. A test checks it against the table of errors."""

from django.contrib.sessions.exceptions import SessionInterrupted

from accounts import watchlists
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
from trades import checks
from trades.cancel import NotCancellable
from trades.checks import UnknownTicker
from trades.place import TradeKeyReused
from web.documents import DocumentLimitReached, TooManyDocuments
from webhooks.addresses import AddressRefused
from webhooks.subscriptions import AnotherTestWaits, TooManyWebhooks, WebhookEnded, WebhookKeyReused

Refusals = tuple[type[Exception], ...]

PLACING: Refusals = (
    UnknownTicker,
    TradeKeyReused,
    checks.TradingHalted,
    checks.TickerRestricted,
    checks.TooManyShares,
    checks.TooMuchMoney,
    checks.PriceUnknown,
    checks.TooManyOrders,
    checks.LineTooLong,
    checks.Overloaded,
)
ON_PAGES: Refusals = (SessionInterrupted,)  # only a visitor's request has a session, so no operation can raise these
WATCHLIST: Refusals = (watchlists.WatchlistNameTaken, watchlists.WatchlistFull)
OF_OPERATIONS: dict[str, Refusals] = {
    "placeTrade": PLACING,
    "cancelTrade": (NotCancellable,),
    "withdraw": (TransferKeyReused, WithdrawalsFrozen, InsufficientFunds, UnsettledFunds),
    "deposit": (TransferKeyReused, AccountClosed, BalanceTooLarge),
    "listGains": (TooManyDocuments, DocumentLimitReached),
    "createToken": (TooManyHashes, TokenKeyReused, TooManyTokens, AccessEnded),
    "createWebhook": (AddressRefused, TooManyWebhooks, WebhookKeyReused, AccessEnded),
    "updateWebhook": (AddressRefused, WebhookEnded, AccessEnded),
    "rotateWebhookSecret": (WebhookEnded,),
    "resendDelivery": (WebhookEnded,),
    "resendEvents": (WebhookEnded,),
    "testWebhook": (AnotherTestWaits, WebhookEnded),
    "alpacaSubmitOrder": PLACING,
    "alpacaClosePosition": PLACING,
    "alpacaCancelOrder": (NotCancellable,),
    "alpacaCreateWatchlist": (*WATCHLIST, watchlists.TooManyWatchlists),
    "alpacaUpdateWatchlist": WATCHLIST,
    "alpacaUpdateWatchlistByName": WATCHLIST,
    "alpacaAddToWatchlist": (watchlists.WatchlistFull,),
    "alpacaAddToWatchlistByName": (watchlists.WatchlistFull,),
}
