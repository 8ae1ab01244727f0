"""Audit: prove from the tables alone that the trades, their history, their reports, and the books agree.

The order of events is that of the ids of status changes, which are drawn under the customer's lock. No clock decides
it.
"""

from dataclasses import dataclass

from accounts.audit import BOOKS, Findings, count_rows, examine, one_instant
from trades.audit import corporate_actions, firm, good_faith, history, reports, trades
from trades.audit.sql import CLOCKS_APART_SECONDS_MAX

__all__ = ["CLOCKS_APART_SECONDS_MAX", "TRADES", "Audit", "audit_books", "rule_text"]

TRADES = trades.RULES + history.RULES + reports.RULES + corporate_actions.RULES + firm.RULES + good_faith.RULES

_BROKEN = {rule.name: rule.broken for rule in BOOKS + TRADES}


def rule_text(rule: str) -> str:
    """Return what a violation of a rule is, for people: Balance doesn't match its postings.

    Args:
        rule: The rule's name. A rule of an earlier release that no longer exists gets the words of its name.
    """
    return _BROKEN.get(rule) or rule.replace("_", " ").capitalize()


@dataclass(frozen=True, slots=True)
class Audit:
    """The number of rows examined and the findings, all as of one instant."""

    customers: int
    trades: int
    postings: int
    findings: Findings


def audit_books() -> Audit:
    """Prove the books and the trades.

    It only reads, takes no lock that could block anybody, and needs no more memory as the tables grow.

    Raises:
        RuntimeError: It was called inside a transaction.
    """
    with one_instant():
        return Audit(
            customers=count_rows("accounts_customer"),
            trades=count_rows("trades_trade"),
            postings=count_rows("accounts_posting"),
            findings=examine(BOOKS + TRADES),
        )
