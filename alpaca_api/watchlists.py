"""Watchlists, by id and by name. The customer's pages show the default one."""

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
from web.serializers import StrictSerializer, TextField


class CreateWatchlistSerializer(StrictSerializer):
    name = TextField(max_length=64)
    symbols = serializers.ListField(
        child=SymbolField(), required=False, allow_null=True, max_length=watchlists.TICKERS_MAX, default=None
    )


class UpdateWatchlistSerializer(CreateWatchlistSerializer):
    """The changes to a watchlist. Missing fields are not changed."""

    name = TextField(max_length=64, required=False)


class AddToWatchlistSerializer(StrictSerializer):
    symbol = SymbolField()


class WatchlistNameQuerySerializer(StrictSerializer):
    name = TextField(max_length=64)


class _WatchlistView(AlpacaView):
    scope = Token.Scope.TRADE

    def watchlist_by_id(self, watchlist_id: str) -> Watchlist:
        """Return the customer's watchlist with this id.

        Raises:
            AlpacaError: There is none.
        """
        uuid = parse_uuid(watchlist_id)
        own = watchlists.watchlists_of(self.customer_id)
        return _first_or_404(own.filter(id=uuid) if uuid else own.none())

    def watchlist_by_name(self, request: Request) -> Watchlist:
        """Return the customer's watchlist with the name in the query.

        Raises:
            AlpacaError: There is none.
        """
        name = self.validated(WatchlistNameQuerySerializer, request.query_params)["name"]
        return _first_or_404(watchlists.watchlists_of(self.customer_id).filter(name=name))

    def update(self, request: Request, watchlist: Watchlist) -> Response:
        """Change the name, the symbols, or both."""
        params = self.validated(UpdateWatchlistSerializer, request.data)
        symbols = None if params["symbols"] is None else _check_listed(params["symbols"])
        return Response(_watchlist(watchlists.change(watchlist, params.get("name"), symbols)))

    def add_symbol(self, request: Request, watchlist: Watchlist) -> Response:
        """Append a symbol."""
        symbol = self.validated(AddToWatchlistSerializer, request.data)["symbol"]
        return Response(_watchlist(watchlists.add(watchlist, *_check_listed([symbol]))))


class WatchlistsView(_WatchlistView):
    """A customer's watchlists."""

    @extend_schema(operation_id="alpacaListWatchlists", responses=schema.AlpacaWatchlistSerializer(many=True))
    def get(self, request: Request) -> Response:
        """List all watchlists, without their assets."""
        return Response([_watchlist(row, with_assets=False) for row in watchlists.watchlists_of(self.customer_id)])

    @extend_schema(
        operation_id="alpacaCreateWatchlist",
        request=CreateWatchlistSerializer,
        responses=schema.AlpacaWatchlistSerializer,
    )
    def post(self, request: Request) -> Response:
        """Create a watchlist. Its name must be unique."""
        params = self.validated(CreateWatchlistSerializer, request.data)
        symbols = _check_listed(params["symbols"] or [])
        return Response(_watchlist(watchlists.create(self.customer_id, params["name"], symbols)))


class WatchlistView(_WatchlistView):
    """One watchlist, by id."""

    @extend_schema(operation_id="alpacaGetWatchlist", responses=schema.AlpacaWatchlistSerializer)
    def get(self, request: Request, watchlist_id: str) -> Response:
        """Get a watchlist with its assets."""
        return Response(_watchlist(self.watchlist_by_id(watchlist_id)))

    @extend_schema(
        operation_id="alpacaUpdateWatchlist",
        request=UpdateWatchlistSerializer,
        responses=schema.AlpacaWatchlistSerializer,
    )
    def put(self, request: Request, watchlist_id: str) -> Response:
        """Change the name, the symbols, or both."""
        return self.update(request, self.watchlist_by_id(watchlist_id))

    @extend_schema(
        operation_id="alpacaAddToWatchlist",
        request=AddToWatchlistSerializer,
        responses=schema.AlpacaWatchlistSerializer,
    )
    def post(self, request: Request, watchlist_id: str) -> Response:
        """Append a symbol. A symbol that is already in the watchlist keeps its position."""
        return self.add_symbol(request, self.watchlist_by_id(watchlist_id))

    @extend_schema(operation_id="alpacaDeleteWatchlist", responses={204: None})
    def delete(self, request: Request, watchlist_id: str) -> Response:
        """Delete a watchlist."""
        self.watchlist_by_id(watchlist_id).delete()
        return Response(status=204)


class WatchlistByNameView(_WatchlistView):
    """One watchlist, by name."""

    @extend_schema(
        operation_id="alpacaGetWatchlistByName",
        parameters=[WatchlistNameQuerySerializer],
        responses=schema.AlpacaWatchlistSerializer,
    )
    def get(self, request: Request) -> Response:
        """Get a watchlist with its assets."""
        return Response(_watchlist(self.watchlist_by_name(request)))

    @extend_schema(
        operation_id="alpacaUpdateWatchlistByName",
        parameters=[WatchlistNameQuerySerializer],
        request=UpdateWatchlistSerializer,
        responses=schema.AlpacaWatchlistSerializer,
    )
    def put(self, request: Request) -> Response:
        """Change the name, the symbols, or both."""
        return self.update(request, self.watchlist_by_name(request))

    @extend_schema(
        operation_id="alpacaAddToWatchlistByName",
        parameters=[WatchlistNameQuerySerializer],
        request=AddToWatchlistSerializer,
        responses=schema.AlpacaWatchlistSerializer,
    )
    def post(self, request: Request) -> Response:
        """Append a symbol. A symbol that is already in the watchlist keeps its position."""
        return self.add_symbol(request, self.watchlist_by_name(request))

    @extend_schema(
        operation_id="alpacaDeleteWatchlistByName", parameters=[WatchlistNameQuerySerializer], responses={204: None}
    )
    def delete(self, request: Request) -> Response:
        """Delete a watchlist."""
        self.watchlist_by_name(request).delete()
        return Response(status=204)


class WatchlistSymbolView(_WatchlistView):
    """One symbol of a watchlist."""

    http_method_names = ["delete", "options"]

    @extend_schema(operation_id="alpacaRemoveFromWatchlist", responses={200: schema.AlpacaWatchlistSerializer})
    def delete(self, request: Request, watchlist_id: str, symbol: str) -> Response:
        """Remove a symbol. If it is not in the watchlist, the status is 404."""
        watchlist = self.watchlist_by_id(watchlist_id)
        if not watchlists.remove(watchlist, symbol.upper().replace("\x00", "")[:12]):
            raise AlpacaError(404, 40410000, "the watchlist has no such symbol")
        return Response(_watchlist(watchlist))


def _first_or_404(watchlist: QuerySet[Watchlist]) -> Watchlist:
    row = watchlist.first()
    if row is None:
        raise AlpacaError(404, 40410000, "watchlist not found")
    return row


def _check_listed(tickers: Iterable[str]) -> list[str]:
    """Return the tickers if all of them are listed.

    Raises:
        AlpacaError: A ticker is not listed.
    """
    tickers = list(tickers)
    for ticker in tickers:
        if not market.is_listed(ticker):
            raise AlpacaError(422, UNPROCESSABLE, f"symbols: asset not found for {ticker}")
    return tickers


def _watchlist(row: Watchlist, with_assets: bool = True) -> dict[str, Any]:
    body: dict[str, Any] = {
        "id": str(row.id),
        "account_id": str(alpaca.account_id(row.customer_id)),
        "name": row.name,
        "created_at": alpaca.moment(row.created_at),
        "updated_at": alpaca.moment(row.updated_at),
    }
    if with_assets:
        stocks = Stock.objects.in_bulk(row.tickers)
        body["assets"] = [
            alpaca.asset(stocks.get(ticker) or Stock(ticker=ticker, name=ticker)) for ticker in row.tickers
        ]
    return body
