"""The URLs of the brokerage."""

from allauth.account import urls as account_urls
from allauth.mfa import urls as factor_urls
from django.contrib import admin
from django.urls import include, path, register_converter
from django.urls.converters import IntConverter, StringConverter
from django.views.generic import TemplateView
from drf_spectacular.views import SpectacularAPIView

from accounts import api as accounts
from accounts import gains_api, gains_pages, notice_pages, privacy_pages
from accounts import pages as account_pages
from accounts.security_changes import in_transactions
from brokerage import health
from brokerage.api_docs import api_docs
from brokerage.error_codes import error_codes
from brokerage.metrics import metrics
from feed import api as feed
from trades import api as trades
from trades import batch_api, fees_api
from trades.callback import callback
from trades.pages import history, home, stocks, ticket
from webhooks import api as webhooks
from webhooks import pages as webhook_pages


class TickerConverter(StringConverter):
    """A ticker in a URL, in upper or lower case."""

    regex = "[A-Za-z0-9.-]{1,12}"


class BigIntConverter(IntConverter):
    """The id of a row, no larger than a bigint."""

    regex = "[0-9]{1,18}"


register_converter(TickerConverter, "ticker")
register_converter(BigIntConverter, "bigint")

urlpatterns = [
    # They are tried in order, so those that programs call a thousand times a second come first.
    path("api/v1/trades", trades.TradesView.as_view()),
    path("exchange/callbacks", callback),
    path("api/v1/trades/batch", batch_api.BatchView.as_view()),
    path("api/v1/trades/<uuid:trade_id>", trades.TradeView.as_view()),
    path("api/v1/trades/<uuid:trade_id>/cancel", trades.CancelView.as_view()),
    path("api/v1/events", feed.EventsView.as_view()),
    path("api/v1/webhooks", webhooks.WebhooksView.as_view()),
    path("api/v1/webhooks/<uuid:webhook_id>", webhooks.WebhookView.as_view()),
    path("api/v1/webhooks/<uuid:webhook_id>/deliveries", webhooks.DeliveriesView.as_view()),
    path(
        "api/v1/webhooks/<uuid:webhook_id>/deliveries/<bigint:delivery_id>/resend",
        webhooks.ResendDeliveryView.as_view(),
    ),
    path("api/v1/webhooks/<uuid:webhook_id>/resend", webhooks.ResendView.as_view()),
    path("api/v1/webhooks/<uuid:webhook_id>/rotate-secret", webhooks.RotateSecretView.as_view()),
    path("api/v1/webhooks/<uuid:webhook_id>/test", webhooks.WebhookTestView.as_view()),
    path("api/v1/positions", trades.PositionsView.as_view()),
    path("api/v1/positions/<str:ticker>", trades.PositionView.as_view()),
    path("api/v1/quotes/<str:ticker>", trades.QuoteView.as_view()),
    path("api/v1/market", trades.MarketView.as_view()),
    path("api/v1/balance", accounts.BalanceView.as_view()),
    path("api/v1/postings", accounts.PostingsView.as_view()),
    path("api/v1/deposits", accounts.DepositsView.as_view()),
    path("api/v1/withdrawals", accounts.WithdrawalsView.as_view()),
    path("api/v1/fees", fees_api.FeesView.as_view()),
    path("api/v1/lots", gains_api.LotsView.as_view()),
    path("api/v1/gains", gains_api.GainsView.as_view()),
    path("api/v1/tokens", accounts.TokensView.as_view()),
    path("api/v1/tokens/<uuid:token_id>", accounts.TokenView.as_view()),
    path("alpaca/v2/", include("alpaca_api.urls")),
    path("", home.home, name="home"),
    path("stocks/search", stocks.search, name="search"),
    path("watchlist", stocks.watchlist, name="watchlist"),
    path("stocks/<ticker:ticker>", stocks.stock, name="stock"),
    path("stocks/<ticker:ticker>/watch", stocks.watch, name="watch"),
    path("stocks/<ticker:ticker>/estimate", ticket.estimate, name="estimate"),
    path("stocks/<ticker:ticker>/trade", ticket.review, name="review"),
    path("stocks/<ticker:ticker>/place", ticket.place, name="place"),
    path("trades", history.trades, name="trades"),
    path("trades/open", home.open_trades, name="open_trades"),
    path("trades/<uuid:trade_id>", history.trade, name="trade"),
    path("trades/<uuid:trade_id>/live", history.live, name="trade_live"),
    path("trades/<uuid:trade_id>/cancel", history.cancel, name="cancel"),
    path("trades/<uuid:trade_id>/confirmation.pdf", history.confirmation, name="confirmation"),
    path("cash", account_pages.cash, name="cash"),
    path("cash/deposit", account_pages.deposit, name="deposit"),
    path("cash/withdraw", account_pages.withdraw, name="withdraw"),
    path("cash/ledger", account_pages.ledger_files, name="ledger_files"),
    path("cash/ledger.csv", account_pages.ledger_csv, name="ledger_csv"),
    path("statements", account_pages.statements, name="statements"),
    path("statements/<int:year>-<int:month>", account_pages.statement, name="statement"),
    path("statements/<int:year>-<int:month>.pdf", account_pages.statement_pdf, name="statement_pdf"),
    path("pages/ticket", account_pages.stream_ticket, name="stream_ticket"),
    path("account/mail", notice_pages.mail, name="mail"),
    path("welcome", TemplateView.as_view(template_name="welcome.html"), name="welcome"),
    path("help", TemplateView.as_view(template_name="help.html"), name="help"),
    path("account/sessions/<bigint:session_id>/end", account_pages.end_session, name="end_session"),
    path("gains", gains_pages.gains_page, name="gains"),
    path("gains.csv", gains_pages.gains_as_csv, name="gains_csv"),
    path("gains.pdf", gains_pages.gains_as_pdf, name="gains_pdf"),
    path("gains/method", gains_pages.choose_method, name="lot_method"),
    path("account", account_pages.account, name="account"),
    path("account/data", privacy_pages.data, name="personal_data"),
    path("account/data.json", privacy_pages.download, name="download_personal_data"),
    path("account/close", privacy_pages.close, name="close_account"),
    path("account/closed", privacy_pages.closed, name="account_closed"),
    path("account/tokens", account_pages.api_tokens, name="tokens"),
    path("account/tokens/<uuid:token_id>/end", account_pages.end_token, name="end_token"),
    path("account/webhooks", webhook_pages.hooks, name="webhooks"),
    path("account/webhooks/<uuid:webhook_id>", webhook_pages.hook, name="webhook"),
    path("account/webhooks/<uuid:webhook_id>/test", webhook_pages.test_hook, name="test_webhook"),
    path("account/webhooks/<uuid:webhook_id>/pause", webhook_pages.pause_hook, name="pause_webhook"),
    path("account/webhooks/<uuid:webhook_id>/secret", webhook_pages.rotate_secret, name="rotate_webhook_secret"),
    path("account/webhooks/<uuid:webhook_id>/again", webhook_pages.resend_delivery, name="resend_webhook"),
    path("account/webhooks/<uuid:webhook_id>/delete", webhook_pages.delete_hook, name="delete_webhook"),
    path("account/", include(in_transactions(account_urls.urlpatterns))),
    path("account/second-factor/", include(in_transactions(factor_urls.urlpatterns))),
    path("account/sessions/", account_pages.Sessions.as_view(), name="usersessions_list"),
    path("admin/", admin.site.urls),
    path("healthz", health.healthz),
    path("readyz", health.readyz),
    path("metrics", metrics),
    path("api/errors/", error_codes),
    path("api/schema/", SpectacularAPIView.as_view(permission_classes=[], authentication_classes=[]), name="schema"),
    path("api/docs/", api_docs, name="docs"),
]
handler400 = "brokerage.errors.bad_request"
handler403 = "brokerage.errors.forbidden"
handler404 = "brokerage.errors.not_found"
handler500 = "brokerage.errors.server_error"
