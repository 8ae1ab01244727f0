"""Watchlists, by id and by name. The default one is what the customer's pages show."""

from collections.abc import Iterable
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import watchlists
from accounts.models import Token, Watchlist
from alpaca_api import schema
from alpaca_api import serializers as alpaca
from alpaca_api.drf import UNPROCESSABLE, AlpacaError, AlpacaView
from alpaca_api.fields import SymbolField, parse_uuid
from exchange import market
from exchange.models import Stock
from web.drf import StrictSerializer, TextField


class CreateWatchlistSerializer(StrictSerializer):
    name = TextField(max_length=64)
    symbols = serializers.ListField(
        child=SymbolField(), required=False, allow_null=True, max_length=watchlists.TICKERS_MAX, default=None
    )


class UpdateWatchlistSerializer(CreateWatchlistSerializer):
    """What to change: a field that is not sent stays as it is."""

    name = TextField(max_length=64, required=False)


class AddToWatchlistSerializer(StrictSerializer):
    symbol = SymbolField()


class WatchlistNameQuerySerializer(StrictSerializer):
    name = TextField(max_length=64)


class _WatchlistView(AlpacaView):
    scope = Token.Scope.TRADE

    def of_id(self, watchlist_id: str) -> Watchlist:
        """Return the caller's watchlist with this id.

        Raises:
            AlpacaError: There is none.
        """
        given = parse_uuid(watchlist_id)
        mine = watchlists.watchlists_of(self.customer_id)
        return _one(mine.filter(id=given) if given else mine.none())

    def of_name(self, request: Request) -> Watchlist:
        """Return the caller's watchlist with the name in the query.

        Raises:
            AlpacaError: There is none.
        """
        name = self.asked(WatchlistNameQuerySerializer, request.query_params)["name"]
        return _one(watchlists.watchlists_of(self.customer_id).filter(name=name))

    def changed(self, request: Request, found: Watchlist) -> Response:
        """Change name, symbols, or both."""
        asked = self.asked(UpdateWatchlistSerializer, request.data)
        symbols = None if asked["symbols"] is None else _listed(asked["symbols"])
        return Response(_watchlist(watchlists.change(found, asked.get("name"), symbols)))

    def extended(self, request: Request, found: Watchlist) -> Response:
        """Add a symbol at the end."""
        symbol = self.asked(AddToWatchlistSerializer, request.data)["symbol"]
        return Response(_watchlist(watchlists.add(found, *_listed([symbol]))))


class WatchlistsView(_WatchlistView):
    """A customer's watchlists."""

    @extend_schema(operation_id="alpacaListWatchlists", responses=schema.AlpacaWatchlistSerializer(many=True))
    def get(self, request: Request) -> Response:
        """All watchlists, without their assets."""
        return Response([_watchlist(row, with_assets=False) for row in watchlists.watchlists_of(self.customer_id)])

    @extend_schema(
        operation_id="alpacaCreateWatchlist",
        request=CreateWatchlistSerializer,
        responses=schema.AlpacaWatchlistSerializer,
    )
    def post(self, request: Request) -> Response:
        """Create a watchlist. Its name must be new."""
        asked = self.asked(CreateWatchlistSerializer, request.data)
        symbols = _listed(asked["symbols"] or [])
        return Response(_watchlist(watchlists.create(self.customer_id, asked["name"], symbols)))


class WatchlistView(_WatchlistView):
    """One watchlist, by id."""

    @extend_schema(operation_id="alpacaGetWatchlist", responses=schema.AlpacaWatchlistSerializer)
    def get(self, request: Request, watchlist_id: str) -> Response:
        """One watchlist, with its assets."""
        return Response(_watchlist(self.of_id(watchlist_id)))

    @extend_schema(
        operation_id="alpacaUpdateWatchlist",
        request=UpdateWatchlistSerializer,
        responses=schema.AlpacaWatchlistSerializer,
    )
    def put(self, request: Request, watchlist_id: str) -> Response:
        """Change its name, its symbols, or both."""
        return self.changed(request, self.of_id(watchlist_id))

    @extend_schema(
        operation_id="alpacaAddToWatchlist",
        request=AddToWatchlistSerializer,
        responses=schema.AlpacaWatchlistSerializer,
    )
    def post(self, request: Request, watchlist_id: str) -> Response:
        """Add a symbol at the end. One that is in it stays where it is."""
        return self.extended(request, self.of_id(watchlist_id))

    @extend_schema(operation_id="alpacaDeleteWatchlist", responses={204: None})
    def delete(self, request: Request, watchlist_id: str) -> Response:
        """Delete a watchlist."""
        self.of_id(watchlist_id).delete()
        return Response(status=204)


class WatchlistByNameView(_WatchlistView):
    """One watchlist, by name."""

    @extend_schema(
        operation_id="alpacaGetWatchlistByName",
        parameters=[WatchlistNameQuerySerializer],
        responses=schema.AlpacaWatchlistSerializer,
    )
    def get(self, request: Request) -> Response:
        """One watchlist, with its assets."""
        return Response(_watchlist(self.of_name(request)))

    @extend_schema(
        operation_id="alpacaUpdateWatchlistByName",
        parameters=[WatchlistNameQuerySerializer],
        request=UpdateWatchlistSerializer,
        responses=schema.AlpacaWatchlistSerializer,
    )
    def put(self, request: Request) -> Response:
        """Change its name, its symbols, or both."""
        return self.changed(request, self.of_name(request))

    @extend_schema(
        operation_id="alpacaAddToWatchlistByName",
        parameters=[WatchlistNameQuerySerializer],
        request=AddToWatchlistSerializer,
        responses=schema.AlpacaWatchlistSerializer,
    )
    def post(self, request: Request) -> Response:
        """Add a symbol at the end. One that is in it stays where it is."""
        return self.extended(request, self.of_name(request))

    @extend_schema(
        operation_id="alpacaDeleteWatchlistByName", parameters=[WatchlistNameQuerySerializer], responses={204: None}
    )
    def delete(self, request: Request) -> Response:
        """Delete a watchlist."""
        self.of_name(request).delete()
        return Response(status=204)


class WatchedView(_WatchlistView):
    """One symbol of a watchlist."""

    http_method_names = ["delete", "options"]

    @extend_schema(operation_id="alpacaRemoveFromWatchlist", responses={200: schema.AlpacaWatchlistSerializer})
    def delete(self, request: Request, watchlist_id: str, symbol: str) -> Response:
        """Remove a symbol. One that is not in it: 404."""
        found = self.of_id(watchlist_id)
        if not watchlists.remove(found, symbol.upper().replace("\x00", "")[:12]):
            raise AlpacaError(404, 40410000, "the watchlist has no such symbol")
        return Response(_watchlist(found))


def _one(found: QuerySet[Watchlist]) -> Watchlist:
    row = found.first()
    if row is None:
        raise AlpacaError(404, 40410000, "watchlist not found")
    return row


def _listed(tickers: Iterable[str]) -> list[str]:
    """Return the tickers, each of which must be listed.

    Raises:
        AlpacaError: One is not.
    """
    tickers = list(tickers)
    for ticker in tickers:
        if not market.is_listed(ticker):
            raise AlpacaError(422, UNPROCESSABLE, f"symbols: asset not found for {ticker}")
    return tickers


def _watchlist(row: Watchlist, with_assets: bool = True) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "id": str(row.id),
        "account_id": str(alpaca.account_id(row.customer_id)),
        "name": row.name,
        "created_at": alpaca.moment(row.created_at),
        "updated_at": alpaca.moment(row.updated_at),
    }
    if with_assets:
        stocks = Stock.objects.in_bulk(row.tickers)
        shown["assets"] = [
            alpaca.asset(stocks.get(ticker) or Stock(ticker=ticker, name=ticker)) for ticker in row.tickers
        ]
    return shown
