"""Every address of the brokerage."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import TemplateView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from accounts import api as accounts
from brokerage import health
from brokerage.metrics import metrics
from trades import api as trades
from trades import webhooks_api as webhooks
from trades.callback import callback

urlpatterns = [
    path("", TemplateView.as_view(template_name="home.html"), name="home"),
    path("admin/", admin.site.urls),
    path("accounts/", include("allauth.urls")),
    path("healthz", health.healthz),
    path("readyz", health.readyz),
    path("metrics", metrics),
    path("exchange/callbacks", callback),
    path("api/schema/", SpectacularAPIView.as_view(permission_classes=[], authentication_classes=[]), name="schema"),
    path(
        "api/docs/",
        SpectacularSwaggerView.as_view(url_name="schema", permission_classes=[], authentication_classes=[]),
        name="docs",
    ),
    path("api/v1/trades", trades.TradesView.as_view()),
    path("api/v1/trades/<uuid:trade_id>", trades.TradeView.as_view()),
    path("api/v1/trades/<uuid:trade_id>/cancel", trades.CancelView.as_view()),
    path("api/v1/events", trades.EventsView.as_view()),
    path("api/v1/webhooks", webhooks.WebhooksView.as_view()),
    path("api/v1/webhooks/<uuid:webhook_id>", webhooks.WebhookView.as_view()),
    path("api/v1/webhooks/<uuid:webhook_id>/deliveries", webhooks.DeliveriesView.as_view()),
    path("api/v1/webhooks/<uuid:webhook_id>/test", webhooks.WebhookTestView.as_view()),
    path("api/v1/positions", trades.PositionsView.as_view()),
    path("api/v1/positions/<str:ticker>", trades.PositionView.as_view()),
    path("api/v1/quotes/<str:ticker>", trades.QuoteView.as_view()),
    path("api/v1/market", trades.MarketView.as_view()),
    path("api/v1/balance", accounts.BalanceView.as_view()),
    path("api/v1/postings", accounts.PostingsView.as_view()),
    path("api/v1/deposits", accounts.DepositsView.as_view()),
    path("api/v1/withdrawals", accounts.WithdrawalsView.as_view()),
    path("alpaca/v2/", include("alpaca_api.urls")),
    path("api/v1/tokens", accounts.TokensView.as_view()),
    path("api/v1/tokens/<uuid:token_id>", accounts.TokenView.as_view()),
]
handler400 = "brokerage.errors.bad_request"
handler403 = "brokerage.errors.forbidden"
handler404 = "brokerage.errors.not_found"
handler500 = "brokerage.errors.server_error"
