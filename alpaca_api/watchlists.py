"""Watchlists."""

from typing import Any

from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import Token
from alpaca_api import schema
from alpaca_api import serializers as alpaca
from alpaca_api.drf import UNPROCESSABLE, AlpacaError, AlpacaView, Query
from alpaca_api.fields import SymbolField, parse_uuid
from alpaca_api.models import Watchlist
from exchange import market
from exchange.models import Stock
from web.drf import TextField

WATCHLISTS_MAX, WATCHED_MAX = 200, 1_000


class CreateWatchlistSerializer(Query):
    name = TextField(max_length=64)
    symbols = serializers.ListField(
        child=SymbolField(), required=False, allow_null=True, max_length=WATCHED_MAX, default=None
    )


class UpdateWatchlistSerializer(CreateWatchlistSerializer):
    name = TextField(max_length=64, required=False)


class AddToWatchlistSerializer(Query):
    symbol = SymbolField()


class WatchlistsView(AlpacaView):
    """A customer's watchlists."""

    scope = Token.Scope.TRADE

    @extend_schema(operation_id="alpacaListWatchlists", responses=schema.AlpacaWatchlistSerializer(many=True))
    def get(self, request: Request) -> Response:
        """All of them, without their assets."""
        rows = Watchlist.objects.filter(customer_id=self.customer_id).order_by("name")
        return Response([_watchlist(row, with_assets=False) for row in rows])

    @extend_schema(
        operation_id="alpacaCreateWatchlist",
        request=CreateWatchlistSerializer,
        responses=schema.AlpacaWatchlistSerializer,
    )
    def post(self, request: Request) -> Response:
        """A new one. Its name has to be new as well."""
        asked = self.asked(CreateWatchlistSerializer, request.data)
        mine = Watchlist.objects.filter(customer_id=self.customer_id)
        if mine.count() >= WATCHLISTS_MAX:
            raise AlpacaError(422, UNPROCESSABLE, f"{WATCHLISTS_MAX} watchlists at most")
        row = Watchlist(customer_id=self.customer_id, name=asked["name"], tickers=_listed(asked["symbols"] or []))
        _save(row)
        return Response(_watchlist(row))


class WatchlistView(AlpacaView):
    """One watchlist."""

    scope = Token.Scope.TRADE

    @extend_schema(operation_id="alpacaGetWatchlist", responses=schema.AlpacaWatchlistSerializer)
    def get(self, request: Request, watchlist_id: str) -> Response:
        """One of them, with its assets."""
        return Response(_watchlist(self._mine(watchlist_id)))

    @extend_schema(
        operation_id="alpacaUpdateWatchlist",
        request=UpdateWatchlistSerializer,
        responses=schema.AlpacaWatchlistSerializer,
    )
    def put(self, request: Request, watchlist_id: str) -> Response:
        """Change its name, its symbols, or both."""
        asked = self.asked(UpdateWatchlistSerializer, request.data)
        with transaction.atomic():
            row = self._mine(watchlist_id, lock=True)
            row.name = asked.get("name", row.name)
            if asked["symbols"] is not None:
                row.tickers = _listed(asked["symbols"])
            _save(row)
        return Response(_watchlist(row))

    @extend_schema(
        operation_id="alpacaAddToWatchlist",
        request=AddToWatchlistSerializer,
        responses=schema.AlpacaWatchlistSerializer,
    )
    def post(self, request: Request, watchlist_id: str) -> Response:
        """Add a symbol at its end. Again: it stays where it is."""
        symbol = self.asked(AddToWatchlistSerializer, request.data)["symbol"]
        with transaction.atomic():
            row = self._mine(watchlist_id, lock=True)
            row.tickers = _listed([*row.tickers, symbol])
            _save(row)
        return Response(_watchlist(row))

    @extend_schema(operation_id="alpacaDeleteWatchlist", responses={204: None})
    def delete(self, request: Request, watchlist_id: str) -> Response:
        """Delete it."""
        self._mine(watchlist_id).delete()
        return Response(status=204)

    def _mine(self, watchlist_id: str, lock: bool = False) -> Watchlist:
        rows = Watchlist.objects.select_for_update() if lock else Watchlist.objects.all()
        given = parse_uuid(watchlist_id)
        row = rows.filter(customer_id=self.customer_id, id=given).first() if given else None
        if row is None:
            raise AlpacaError(404, 40410000, "watchlist not found")
        return row


class WatchedView(WatchlistView):
    """One symbol of a watchlist."""

    http_method_names = ["delete", "options"]

    @extend_schema(operation_id="alpacaRemoveFromWatchlist", responses={200: schema.AlpacaWatchlistSerializer})
    def delete(self, request: Request, watchlist_id: str, symbol: str) -> Response:  # type: ignore[override]
        """Remove a symbol. One that is not in it: 404."""
        with transaction.atomic():
            row = self._mine(watchlist_id, lock=True)
            if symbol.upper() not in row.tickers:
                raise AlpacaError(404, 40410000, "the watchlist has no such symbol")
            row.tickers.remove(symbol.upper())
            _save(row)
        return Response(_watchlist(row))


def _listed(tickers: list[str]) -> list[str]:
    """Each once. Raises AlpacaError for one that is not listed."""
    tickers = list(dict.fromkeys(tickers))
    for ticker in tickers:
        if not market.is_listed(ticker):
            raise AlpacaError(422, UNPROCESSABLE, f"symbols: asset not found for {ticker}")
    if len(tickers) > WATCHED_MAX:
        raise AlpacaError(422, UNPROCESSABLE, f"symbols: {WATCHED_MAX} at most")
    return tickers


def _save(row: Watchlist) -> None:
    try:
        with transaction.atomic():
            row.updated_at = Now()
            row.save()
    except IntegrityError:
        raise AlpacaError(422, UNPROCESSABLE, "watchlist name must be unique") from None
    row.refresh_from_db()


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
