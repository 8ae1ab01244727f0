"""Cancel: take back a trade that has not been sent."""

from uuid import UUID

from django.db import transaction

from accounts.ledger import open_books
from trades import queries
from trades.models import Reason, Status, Trade
from trades.queries import Ending


class NoSuchTrade(Exception):
    """The customer has no trade with this id."""


class NotCancellable(Exception):
    """The trade is not PLACED any more: it was sent, or it is final. `trade` is as it was found."""

    def __init__(self, trade: Trade) -> None:
        super().__init__(f"The trade is {trade.status}; only one that is PLACED can be cancelled.")
        self.trade = trade


def cancel_trade(customer_id: int, trade_id: UUID, by: str) -> Trade:
    """End a trade that is still PLACED as REJECTED, `cancelled`; the trade as it is then. Nothing was held for it.

    Again: it is final by then, so NotCancellable. Against a lane that claims it at the same time exactly one wins, for
    both hold the customer's lock. by: the door, for the trade's history. Raises NoSuchTrade, NotCancellable.
    """
    with transaction.atomic(durable=True):
        open_books([customer_id])
        trade = Trade.objects.filter(customer_id=customer_id, id=trade_id).first()
        if trade is None:
            raise NoSuchTrade(trade_id)
        if trade.status != Status.PLACED:
            raise NotCancellable(trade)
        queries.end([Ending(trade, Status.REJECTED, Reason.CANCELLED)], by)
        trade.refresh_from_db()
    return trade
