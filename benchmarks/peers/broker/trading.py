"""Sends trades to the exchange and settles them, row by row with the ORM."""

from datetime import timedelta
from decimal import Decimal

import requests
from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from broker.jobs import enqueue
from broker.models import Balance, Position, Posting, Trade

Status, Type = Trade.Status, Trade.Type

# Retrying is safe: the exchange executes a trade id only once.
_http = requests.Session()
_http.mount("http://", HTTPAdapter(pool_maxsize=32, max_retries=Retry(3, backoff_factor=0.1, allowed_methods=None)))


def send_next(customer_id):
    """Send the customer's oldest open trade to the exchange, unless one is in progress."""
    with transaction.atomic():
        balance = Balance.objects.select_for_update().get(customer_id=customer_id)
        trades = Trade.objects.filter(customer_id=customer_id)
        if trades.filter(status=Status.IN_PROGRESS).exists():
            return
        trade = trades.filter(status=Status.PLACED).order_by("placed_at").first()
        if trade is None:
            return
        if not _is_covered(trade, balance):
            _reject(trade, "insufficient funds or shares")
            return
        trade.status = Status.IN_PROGRESS
        trade.max_price = balance.amount if trade.type == Type.BUY else None
        trade.save()
    answer = _http.post(
        f"{settings.EXCHANGE_URL}/v1/trades",
        json={
            "callbackUrl": settings.CALLBACK_URL,
            "trades": [
                {
                    "tradeId": str(trade.id),
                    "stockTicker": trade.ticker,
                    "type": trade.type,
                    "quantity": trade.quantity,
                    "maxPrice": trade.max_price and f"{trade.max_price:.4f}",
                    "expiresAt": (timezone.now() + timedelta(seconds=30)).isoformat(),
                }
            ],
        },
        timeout=(1, 5),
    )
    answer.raise_for_status()
    result = answer.json()["results"][0]
    if result["status"] == "REFUSED":
        with transaction.atomic():
            _reject(trade, result["code"])


def settle(report):
    """Book the exchange's report of a trade. Idempotent: yes."""
    with transaction.atomic():
        trade = Trade.objects.select_for_update().get(pk=report["tradeId"])
        if trade.status != Status.IN_PROGRESS:
            return
        if report["status"] != Status.FILLED:
            _reject(trade, report["reason"] or "")
            return
        balance = Balance.objects.select_for_update().get(customer_id=trade.customer_id)
        position, _ = Position.objects.select_for_update().get_or_create(
            customer_id=trade.customer_id, ticker=trade.ticker
        )
        sign = 1 if trade.type == Type.BUY else -1
        trade.price, trade.amount = Decimal(report["price"]), Decimal(report["amount"])
        posting = Posting(
            trade=trade,
            customer_id=trade.customer_id,
            ticker=trade.ticker,
            cash=-sign * trade.amount,
            shares=sign * trade.quantity,
        )
        balance.amount = F("amount") + posting.cash
        balance.save()
        position.quantity = F("quantity") + posting.shares
        position.save()
        posting.save()
        _end(trade, Status.FILLED)


def _is_covered(trade, balance):
    if trade.type == Type.BUY:
        return balance.amount > 0
    shares = Position.objects.filter(customer_id=trade.customer_id, ticker=trade.ticker, quantity__gte=trade.quantity)
    return shares.exists()


def _reject(trade, reason):
    trade.reason = reason[:200]
    _end(trade, Status.REJECTED)


def _end(trade, status):
    trade.status = status
    trade.settled_at = timezone.now()
    trade.save()
    if Trade.objects.filter(customer_id=trade.customer_id, status=Status.PLACED).exists():
        enqueue(trade.customer_id)
