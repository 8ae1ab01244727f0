"""The definition of an audit rule, and of the rows that decide whether it holds."""

from dataclasses import dataclass
from enum import Enum

CLOCKS_APART_SECONDS_MAX = 60  # how far two times of one event may differ: a failover brings another clock


class Scope(Enum):
    """The rows that decide whether a rule holds. While none of them changes, the rule holds as it did before."""

    CUSTOMER = "the rows of one customer"
    CAUSE = "the rows of one trade or transfer, whoever's they are"
    LINE = "the changed trades of a customer, those placed later, and those back to the last one that was sent before"
    POSTING = "a posting with its cause, the posting before it, and what the customer has now"
    STOCK = "the rows of one customer and stock"
    LOT = "a lot with its closings, the posting that opened it, and that one's fee"
    DAY = "the postings and stored totals of one Eastern day"
    ALL = "all rows; they are few, or an index finds those that matter"


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule that must hold, and the SQL statement that finds its violations.

    `broken` tells staff in a few words what a violation is, as a title without a period. The statement returns a row
    for each violation, with ids that have the API's names, and a sentence as `detail`. It names tables without a
    schema, and groups by every column that it shows, so that `changes.narrowed` can put a part of a table in the place
    of the table. `public.` before a name means the whole table in any case.
    """

    name: str
    broken: str
    proves: str
    violations: str
    scope: Scope = Scope.CUSTOMER
