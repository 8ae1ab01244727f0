"""The URLs under /alpaca/v2/. None ends in a slash and none redirects, because the client does not follow redirects."""

from django.urls import path

from alpaca_api import account, activities, market, orders, portfolio, positions, watchlists

urlpatterns = [
    path("orders", orders.OrdersView.as_view()),
    path("orders:by_client_order_id", orders.OrderByClientIdView.as_view()),
    path("orders/<str:order_id>", orders.OrderView.as_view()),
    path("account", account.AccountView.as_view()),
    path("account/configurations", account.ConfigurationView.as_view()),
    path("account/portfolio/history", portfolio.PortfolioHistoryView.as_view()),
    path("account/activities", activities.ActivitiesView.as_view()),
    path("account/activities/<str:activity_type>", activities.ActivitiesOfTypeView.as_view()),
    path("positions", positions.PositionsView.as_view()),
    path("positions/<str:symbol>", positions.PositionView.as_view()),
    path("assets", market.AssetsView.as_view()),
    path("assets/<str:symbol>", market.AssetView.as_view()),
    path("clock", market.ClockView.as_view()),
    path("calendar", market.CalendarView.as_view()),
    path("watchlists", watchlists.WatchlistsView.as_view()),
    path("watchlists:by_name", watchlists.WatchlistByNameView.as_view()),
    path("watchlists/<str:watchlist_id>", watchlists.WatchlistView.as_view()),
    path("watchlists/<str:watchlist_id>/<str:symbol>", watchlists.WatchlistSymbolView.as_view()),
]
