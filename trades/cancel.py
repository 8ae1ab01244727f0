"""Cancel: end a trade that has not been sent to the exchange."""

from uuid import UUID

from django.db import transaction

from accounts.ledger import open_books
from trades import transitions
from trades.models import Reason, Status, Trade
from trades.transitions import Ending
from web.writes import Writes


class NoSuchTrade(Exception):
    """The customer has no trade with this id."""


class NotCancellable(Exception):
    """The trade is no longer PLACED: it was sent, or it is final. `trade` is the trade as it was read."""

    def __init__(self, trade: Trade) -> None:
        super().__init__(f"The trade is {trade.status}; only a PLACED trade can be cancelled.")
        self.trade = trade


def cancel_trade(customer_id: int, trade_id: UUID, by: str) -> Trade:
    """Cancel a PLACED trade: it ends REJECTED with reason `cancelled`. It has no hold that would have to be released.

    If a lane claims the trade at the same time, exactly one of the two wins, because both need the customer's lock.

    Idempotent: no. A repeated call raises NotCancellable, because the trade is final.

    Args:
        customer_id: The owner of the trade.
        trade_id: The trade.
        by: The door, for the trade's history.

    Returns:
        The cancelled trade.

    Raises:
        NoSuchTrade: The customer has no trade with this id.
        NotCancellable: The trade is no longer PLACED.
    """
    with transaction.atomic(durable=True):
        open_books([customer_id])
        trade = Trade.objects.filter(customer_id=customer_id, id=trade_id).first()
        if trade is None:
            raise NoSuchTrade(trade_id)
        if trade.status != Status.PLACED:
            raise NotCancellable(trade)
        with Writes() as writes:
            transitions.end(writes, [Ending(trade, Status.REJECTED, Reason.CANCELLED)], by)
        trade.refresh_from_db()
    return trade
