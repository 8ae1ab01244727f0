"""Review: what staff can do about reports and trades that no machine gets any further with.

A report in review can be judged again. A trade that has been IN PROGRESS for too long can be ended by the word of the
exchange, however it reached us, if two members of staff stand by it.
"""

from decimal import Decimal
from typing import Any
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models.functions import Now

from accounts.ledger import open_books
from accounts.models import Customer
from accounts.money import money
from trades.execute import rejection
from trades.models import NEEDS_REVIEW, Outcome, Reason, Report, StaffReport, Status, Trade
from trades.report import insert_reports
from trades.turn import take_turn

OVERDUE_SECONDS = 3600  # IN PROGRESS, after which staff may end a trade

log = structlog.get_logger()


class NotInReview(Exception):
    """The report is not in review, or is about no trade of ours."""


class NotOverdue(Exception):
    """The trade is not IN PROGRESS, or has not been for OVERDUE_SECONDS: the sweep may still end it."""


class WrongPrice(Exception):
    """A FILLED trade has a price above zero with at most four decimals, and a REJECTED one has none."""


class OwnReport(Exception):
    """Nobody decides on what they entered themselves, or on a trade of their own."""


class DecidedAlready(Exception):
    """The report was approved or declined before."""


def judge_again(report_id: int, by: str) -> str:
    """Judge a report in review again, in a turn of its customer.

    Idempotent: yes. The verdict is the same unless the account or the software has changed.

    Args:
        report_id: The report.
        by: Who asked, for the trade's history.

    Returns:
        The outcome.

    Raises:
        NotInReview: See there.
    """
    report = Report.objects.get(id=report_id)
    if report.customer_id is None:
        raise NotInReview
    with transaction.atomic(durable=True):
        open_books([report.customer_id])
        in_review = Report.objects.filter(id=report_id, outcome__in=NEEDS_REVIEW)
        if not in_review.update(outcome=Outcome.WAITING, reason="", handled_at=None):
            raise NotInReview
    take_turn([report.customer_id], by)
    report.refresh_from_db()
    return report.outcome


def enter_report(trade_id: UUID, status: Status, price: Decimal | None, reason: str, by: Customer) -> StaffReport:
    """Enter how a trade ended by the word of the exchange; nothing changes until somebody else approves it.

    Idempotent: no. While one waits for a decision, the database refuses another.

    Args:
        trade_id: A trade that is overdue.
        status: FILLED or REJECTED.
        price: USD per share, where it is FILLED.
        reason: Where the word comes from.
        by: The member of staff.

    Raises:
        NotOverdue: See there.
        WrongPrice: See there.
        IntegrityError: Another one waits for a decision.
    """
    if (price is None) != (status == Status.REJECTED) or (price is not None and not 0 < price == money(price)):
        raise WrongPrice
    with transaction.atomic(durable=True):
        open_books([Trade.objects.values_list("customer_id", flat=True).get(id=trade_id)])
        if not _is_overdue(trade_id):
            raise NotOverdue
        entered = StaffReport(trade_id=trade_id, status=status, price=price, reason=reason, entered_by=by)
        entered.save(force_insert=True)
    return entered


def decide_on_report(staff_report_id: int, approve: bool, by: Customer) -> StaffReport:
    """Approve what another member of staff entered, or decline it.

    Approved, it is stored as a report in the same transaction, and judged in a turn of the customer. So one that
    breaks the trade's terms changes nothing.

    Idempotent: no. A repeated call raises DecidedAlready.

    Raises:
        OwnReport: See there.
        DecidedAlready: See there.
    """
    customer_id = StaffReport.objects.values_list("trade__customer_id", flat=True).get(id=staff_report_id)
    with transaction.atomic(durable=True):
        open_books([customer_id])  # nobody else decides on it meanwhile
        entered = StaffReport.objects.select_related("trade").get(id=staff_report_id)
        if entered.approved is not None:
            raise DecidedAlready
        if by.pk in {entered.entered_by_id, customer_id}:
            raise OwnReport
        if approve:
            insert_reports([_body(entered)], Report.Source.STAFF)
        StaffReport.objects.filter(id=entered.pk).update(approved=approve, decided_by=by, decided_at=Now())
    if approve:
        log.info("staff ended a trade", trades=[str(entered.trade_id)], status=entered.status)
        take_turn([customer_id], f"staff {by.pk}")
    entered.refresh_from_db()
    return entered


def _is_overdue(trade_id: UUID) -> bool:
    overdue = Trade.objects.raw(
        """
        SELECT id FROM trades_trade WHERE id = %s AND status = 'IN PROGRESS'
        AND claimed_at < statement_timestamp() - make_interval(secs => %s)
        """,
        [trade_id, OVERDUE_SECONDS],
    )
    return bool(list(overdue))


def _body(entered: StaffReport) -> dict[str, Any]:
    body = rejection(entered.trade, Reason.EXCHANGE_ERROR, f"Entered by staff: {entered.reason}")
    if entered.price is None:
        return body | {"executionId": f"staff-{entered.pk}"}
    return body | {
        "status": Status.FILLED.value,
        "price": f"{entered.price:.4f}",
        "amount": f"{entered.price * entered.trade.quantity:.4f}",
        "reasonCode": None,
        "executionId": f"staff-{entered.pk}",
    }
