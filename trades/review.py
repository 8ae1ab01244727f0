"""Review: what staff can do about reports and trades that need manual review.

A report in review can be judged again. A trade that has been IN PROGRESS for too long can be ended with a report that
reached us in another way, such as by phone, if two members of staff confirm it.
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
from trades.execute import rejection_report
from trades.models import NEEDS_REVIEW, Outcome, Reason, Report, StaffReport, Status, Trade
from trades.report import insert_reports
from trades.turn import take_turn

OVERDUE_SECONDS = 3600  # how long a trade must have been IN PROGRESS before staff may end it

log = structlog.get_logger()


class NotInReview(Exception):
    """The report is not in review, or it is about a trade that we do not have."""


class NotOverdue(Exception):
    """The trade has not been IN PROGRESS for OVERDUE_SECONDS, so the sweep may still end it."""


class WrongPrice(Exception):
    """The price is wrong: a FILLED trade has one above zero with at most four decimals, a REJECTED trade has none."""


class OwnReport(Exception):
    """A member of staff can't decide on a report that they entered, or on a trade of their own."""


class DecidedAlready(Exception):
    """The report was already approved or declined."""


def judge_again(report_id: int, by: str) -> str:
    """Judge a report in review again, in a turn for its customer.

    Idempotent: yes. The verdict is the same unless the account or the software has changed.

    Args:
        report_id: The report.
        by: The member of staff, for the trade's history.

    Returns:
        The verdict.

    Raises:
        NotInReview: The report is not in review, or it is about a trade that we do not have.
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
    """Enter a report that reached us by phone, email or statement. It has no effect until somebody else approves it.

    Idempotent: no. While one report for the trade waits for a decision, the database refuses another.

    Args:
        trade_id: An overdue trade.
        status: FILLED or REJECTED.
        price: USD per share, if it was FILLED.
        reason: How the exchange reported it.
        by: The member of staff.

    Raises:
        NotOverdue: The trade has not been IN PROGRESS for OVERDUE_SECONDS.
        WrongPrice: The price does not fit the status.
        IntegrityError: Another report for the trade waits for a decision.
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
    """Approve or decline a report that another member of staff entered.

    An approved one is stored as a Report in the same transaction, and judged in a turn for the customer. So it changes
    nothing if it breaks the trade's terms.

    Idempotent: no. A repeated call raises DecidedAlready.

    Raises:
        OwnReport: `by` entered it, or it is about their own trade.
        DecidedAlready: It was already approved or declined.
    """
    customer_id = StaffReport.objects.values_list("trade__customer_id", flat=True).get(id=staff_report_id)
    with transaction.atomic(durable=True):
        open_books([customer_id])  # locks out other decisions
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
    body = rejection_report(entered.trade, Reason.EXCHANGE_ERROR, f"Entered by staff: {entered.reason}")
    if entered.price is None:
        return body | {"executionId": f"staff-{entered.pk}"}
    return body | {
        "status": Status.FILLED.value,
        "price": f"{entered.price:.4f}",
        "amount": f"{entered.price * entered.trade.quantity:.4f}",
        "reasonCode": None,
        "executionId": f"staff-{entered.pk}",
    }
