"""The tables of trading: trades and their history, the exchange's reports, and trading controls.

Constraints and triggers in the database enforce what the docstrings promise: a customer has at most one trade in
flight, a customer's line has no gap, only the allowed status changes happen, and a final trade never changes.
"""

from trades.models.control import TradingControl
from trades.models.corporate_action import CorporateAction, Entitlement
from trades.models.day_total import DayTotal
from trades.models.fee import FeeRate
from trades.models.mail import TradeMail
from trades.models.report import NEEDS_REVIEW, Outcome, Report, StaffReport
from trades.models.trade import (
    FINAL,
    TRANSITIONS,
    Reason,
    Status,
    StatusChange,
    ThisTransaction,
    TimeInForce,
    Trade,
    TradeCounter,
    Type,
    WhenClosed,
)

__all__ = [
    "FINAL",
    "NEEDS_REVIEW",
    "TRANSITIONS",
    "CorporateAction",
    "DayTotal",
    "Entitlement",
    "FeeRate",
    "Outcome",
    "Reason",
    "Report",
    "StaffReport",
    "Status",
    "StatusChange",
    "ThisTransaction",
    "TimeInForce",
    "Trade",
    "TradeCounter",
    "TradeMail",
    "TradingControl",
    "Type",
    "WhenClosed",
]
