"""Limit how often somebody may try a password, on pages and for tokens.

Attempts are counted before the password is checked, correct ones included, so that simultaneous attempts count too. The
narrowest limit is per account and address: an attacker locks out only themselves, and neither the owner, who has
another address, nor their neighbors behind the same address, who have other accounts.
"""

from dataclasses import dataclass
from hashlib import sha256

from accounts.models import normal_email
from web.rate_limits import count_attempt


@dataclass(frozen=True, slots=True)
class Limit:
    """The most attempts within a window of time."""

    attempts_max: int
    seconds: int


HERE = Limit(10, 60)  # for one account from one address
ACCOUNT = Limit(100, 300)  # for one account from anywhere
ADDRESS = Limit(200, 60)  # for any account from one address, which many people may share


class TooManyAttempts(Exception):
    """Too many attempts. `retry_after` is the number of seconds to wait."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"Try again in {retry_after} s.")
        self.retry_after = retry_after


def check_attempt(email: str, address: str) -> None:
    """Count an attempt to sign in.

    Raises:
        TooManyAttempts: There were too many attempts.
    """
    email = normal_email(email)
    for limit, subject in ((HERE, f"{email} {address}"), (ACCOUNT, email), (ADDRESS, address)):
        key = sha256(subject.encode("utf-8", "replace")).hexdigest()
        allowance = count_attempt(f"sign-in:{key}", limit.attempts_max, limit.seconds)
        if allowance.exceeded:
            raise TooManyAttempts(allowance.reset_seconds)
