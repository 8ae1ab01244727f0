"""How often somebody may try a password, whether on the pages or for a token.

Attempts are counted before the password is looked at, right ones included, so that attempts at the same moment count as
well. The narrow limit is by account and address: somebody who guesses locks out only themselves, not the owner, who
comes from another address, and not their neighbors behind the same address, who have other accounts.
"""

from dataclasses import dataclass
from hashlib import sha256

from accounts.models import normal_email
from web.rate_limits import count_attempt


@dataclass(frozen=True, slots=True)
class Limit:
    """At most so many attempts in a window."""

    attempts_max: int
    seconds: int


HERE = Limit(10, 60)  # at one account from one address
ACCOUNT = Limit(100, 300)  # at one account from anywhere
ADDRESS = Limit(200, 60)  # at any account from one address, behind which there may be many people


class TooManyAttempts(Exception):
    """Too many attempts. `retry_after` is the number of seconds to wait."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"Try again in {retry_after} s.")
        self.retry_after = retry_after


def check_attempt(email: str, address: str) -> None:
    """Count an attempt to sign in.

    Raises:
        TooManyAttempts: There were too many of them.
    """
    email = normal_email(email)
    for limit, subject in ((HERE, f"{email} {address}"), (ACCOUNT, email), (ADDRESS, address)):
        key = sha256(subject.encode("utf-8", "replace")).hexdigest()
        allowance = count_attempt(f"sign-in:{key}", limit.attempts_max, limit.seconds)
        if allowance.exceeded:
            raise TooManyAttempts(allowance.reset_seconds)
