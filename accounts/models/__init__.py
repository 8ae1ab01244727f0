"""The tables of customers, their holdings, and the books.

The database enforces what these docstrings promise: constraints keep every figure at or above zero, and triggers
prevent changes to postings.
"""

from accounts.models.access import SIGN_INS_KEPT_DAYS, SignIn, Token
from accounts.models.books import CASH, MONEY, Balance, LotMethod, Position, Posting, Transfer
from accounts.models.customer import Customer, CustomerManager, Limits, Theme, normal_email
from accounts.models.lot import Lot, LotClosing
from accounts.models.mail import Mail
from accounts.models.notice import MutedNotice, Notice, NoticePlace
from accounts.models.price import ClosingPrice
from accounts.models.staff import Adjustment, Freeze
from accounts.models.violation import GoodFaithViolation
from accounts.models.watchlist import Watchlist

__all__ = [
    "CASH",
    "MONEY",
    "SIGN_INS_KEPT_DAYS",
    "Adjustment",
    "Balance",
    "ClosingPrice",
    "Customer",
    "CustomerManager",
    "Freeze",
    "GoodFaithViolation",
    "Limits",
    "Lot",
    "LotClosing",
    "LotMethod",
    "Mail",
    "MutedNotice",
    "Notice",
    "NoticePlace",
    "Position",
    "Posting",
    "SignIn",
    "Theme",
    "Token",
    "Transfer",
    "Watchlist",
    "normal_email",
]
