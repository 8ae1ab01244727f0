"""Addresses under /alpaca/v2/. None ends in a slash, and none redirects: the client follows no redirect."""

from django.urls import path

from alpaca_api import api

urlpatterns = [
    path("orders", api.OrdersView.as_view()),
    path("orders:by_client_order_id", api.OrderByClientIdView.as_view()),
    path("orders/<str:order_id>", api.OrderView.as_view()),
    path("account", api.AccountView.as_view()),
    path("account/configurations", api.ConfigurationView.as_view()),
    path("account/portfolio/history", api.PortfolioHistoryView.as_view()),
    path("account/activities", api.ActivitiesView.as_view()),
    path("account/activities/<str:activity_type>", api.ActivitiesOfTypeView.as_view()),
    path("positions", api.PositionsView.as_view()),
    path("positions/<str:symbol>", api.PositionView.as_view()),
    path("assets", api.AssetsView.as_view()),
    path("assets/<str:symbol>", api.AssetView.as_view()),
    path("clock", api.ClockView.as_view()),
    path("calendar", api.CalendarView.as_view()),
    path("watchlists", api.WatchlistsView.as_view()),
    path("watchlists/<str:watchlist_id>", api.WatchlistView.as_view()),
    path("watchlists/<str:watchlist_id>/<str:symbol>", api.WatchedView.as_view()),
]
