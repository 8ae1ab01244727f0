"""Access that is confirmed by the statement that does a request's work, instead of by a query before it.

A process remembers grants that it has looked up, and lets a request begin with what it remembers. The grant may have
ended or changed since, so the statement must check that it has not. If the statement can't check, or finds a change,
`confirm` looks the token up again. Until one of them has succeeded, nothing may be stored or answered.
"""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID


@dataclass(slots=True)
class Access:
    """The access of one request that began with a remembered grant.

    Attributes:
        grant_id: The grant.
        version: The version of the grant that is remembered.
        confirm: Looks the token up; raises what authentication raises if it is no longer valid.
        is_confirmed: Whether a statement has found the grant unchanged.
    """

    grant_id: UUID
    version: str
    confirm: Callable[[], None]
    is_confirmed: bool = False
