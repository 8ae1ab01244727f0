"""Audit: prove from the tables alone that the trades, their history, their reports, and the books agree.

The order of events is that of the ids of status changes, which are drawn under the customer's lock. No clock decides
it.
"""

from dataclasses import dataclass

from accounts.audit import BOOKS, Findings, count_rows, examine, one_instant
from accounts.audit.changes import Mark, find_changes, narrowed
from trades.audit import corporate_actions, firm, good_faith, history, reports, trades
from trades.audit.sql import CLOCKS_APART_SECONDS_MAX
from trades.audit.tables import TABLES

__all__ = ["ALL_RULES", "CLOCKS_APART_SECONDS_MAX", "TABLES", "TRADES", "Audit", "Mark", "audit_books", "rule_text"]

TRADES = trades.RULES + history.RULES + reports.RULES + corporate_actions.RULES + firm.RULES + good_faith.RULES
ALL_RULES = BOOKS + TRADES

_BROKEN = {rule.name: rule.broken for rule in ALL_RULES}


def rule_text(rule: str) -> str:
    """Return what a violation of a rule is, for people: Balance doesn't match its postings.

    Args:
        rule: The rule's name. A rule of an earlier release that no longer exists gets the words of its name.
    """
    return _BROKEN.get(rule) or rule.replace("_", " ").capitalize()


@dataclass(frozen=True, slots=True)
class Audit:
    """The number of rows in the books and the findings, all as of one instant.

    Attributes:
        mark: What it saw; a later audit can start from it if there are no violations.
        changed: How many customers had changes, if only these were examined.
        full_because: Why everything was examined although only changes were asked for.
    """

    customers: int
    trades: int
    postings: int
    findings: Findings
    mark: Mark
    changed: int | None = None
    full_because: str = ""

    @property
    def is_full(self) -> bool:
        return self.changed is None


def audit_books(since: Mark | None = None, only_changes: bool = False, rests: float = 0.0) -> Audit:
    """Prove the books and the trades: all of them, or only what can have changed since an earlier proof.

    It only reads, takes no lock that could block anybody, and needs no more memory as the tables grow. It examines
    everything if something is suspicious or if changes can't be told; `accounts.audit.changes` says when, and what a
    proof of the changes does not see.

    Args:
        since: The mark of an earlier proof that found no violation. None: there is none.
        only_changes: Whether to examine only what changed since then.
        rests: How long to rest after each statement, in multiples of the time that it took.

    Raises:
        RuntimeError: It was called inside a transaction.
    """
    with one_instant(rests):
        changes = find_changes(TABLES, ALL_RULES, since if only_changes else None)
        full = not only_changes or bool(changes.everything)
        return Audit(
            customers=count_rows("accounts_customer"),
            trades=changes.mark.rows["trades_trade"],
            postings=changes.mark.rows["accounts_posting"],
            findings=examine(ALL_RULES, None if full else narrowed(TABLES, changes)),
            mark=changes.mark,
            changed=None if full else len(changes.customers),
            full_because=changes.everything if only_changes else "",
        )
