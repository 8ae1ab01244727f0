"""Create the rows that tests start with, such as `StockFactory.create(ticker="IBM")`.

A factory writes a single row, with valid values in the fields that a test does not set. Models without a factory, such
as tokens, lots, reports and mails, have rows that only the product's functions may write. Prefer those functions
wherever they exist, for example to open an account, to deposit or to place a trade (see `tests.people`).
"""

from datetime import date
from decimal import Decimal
from typing import Any

import factory
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.utils import timezone
from factory.django import DjangoModelFactory

from accounts.customers import create_customer
from accounts.models import (
    Adjustment,
    ClosingPrice,
    Customer,
    Freeze,
    GoodFaithViolation,
    Limits,
    Position,
    Posting,
    SignIn,
    Transfer,
)
from exchange.models import Call, ClockSkew, Closure, ShortList, Stock
from office.models import Case, Job, Note, Proof, Proposal
from trades.models import (
    CorporateAction,
    DayTotal,
    Entitlement,
    FeeRate,
    StaffReport,
    StatusChange,
    Trade,
    TradeCounter,
    TradingControl,
)
from webhooks.models import Delivery


class CustomerFactory(DjangoModelFactory):
    """A customer with an empty account, opened the way every account is."""

    class Meta:
        model = Customer

    email = factory.Sequence(lambda n: f"customer{n}@example.com")
    password = None

    @classmethod
    def _create(cls, model_class: type[Customer], *args: Any, **kwargs: Any) -> Customer:
        return create_customer(kwargs.pop("email"), kwargs.pop("password"), **kwargs)


# -- accounts


class AdjustmentFactory(DjangoModelFactory):
    """An adjustment of +5 USD that waits for a second member of staff."""

    class Meta:
        model = Adjustment

    customer = factory.SubFactory(CustomerFactory)
    change = 5
    reason_code = "error"
    reason = "Ours."
    asked_by = factory.SubFactory(CustomerFactory, is_staff=True)


class ClosingPriceFactory(DjangoModelFactory):
    """The price of AAPL at the end of a month. The test passes the day and the price."""

    class Meta:
        model = ClosingPrice

    ticker = "AAPL"


class FreezeFactory(DjangoModelFactory):
    """A freeze of a customer's withdrawals."""

    class Meta:
        model = Freeze

    customer = factory.SubFactory(CustomerFactory)
    is_on = True
    reason = "The customer asked for it."
    by = factory.SubFactory(CustomerFactory, is_staff=True)


class GoodFaithViolationFactory(DjangoModelFactory):
    """A good-faith violation whose restriction staff has lifted. The test passes the lot and `lifted_by`."""

    class Meta:
        model = GoodFaithViolation

    customer = factory.SubFactory(CustomerFactory)
    ticker = "AAPL"
    bought_on = sold_on = date(2026, 11, 23)
    settles_on = date(2026, 11, 24)
    number = 3
    restricts_until = date(2027, 2, 21)
    lifted_at = factory.LazyFunction(timezone.now)
    lift_reason = "A mistake of ours."


class LimitsFactory(DjangoModelFactory):
    """Individual rate limits of a customer."""

    class Meta:
        model = Limits

    customer = factory.SubFactory(CustomerFactory)


class PositionFactory(DjangoModelFactory):
    """Shares that a customer owns, without their postings."""

    class Meta:
        model = Position

    customer = factory.SubFactory(CustomerFactory)
    ticker = "AAPL"
    quantity = 1


class PostingFactory(DjangoModelFactory):
    """A posting in a customer's books, each with its own cause."""

    class Meta:
        model = Posting

    customer = factory.SubFactory(CustomerFactory)
    kind = Posting.Kind.DEPOSIT
    cause = factory.Sequence(lambda n: f"00000000-0000-0000-0000-{n:012}")
    change = 1
    total = factory.SelfAttribute("change")


class SignInFactory(DjangoModelFactory):
    """An entry of the sign-in history: somebody signed in."""

    class Meta:
        model = SignIn

    customer = factory.SubFactory(CustomerFactory)
    kind = SignIn.Kind.IN


class TransferFactory(DjangoModelFactory):
    """A deposit, without its posting."""

    class Meta:
        model = Transfer

    customer = factory.SubFactory(CustomerFactory)
    type = Transfer.Type.DEPOSIT
    amount = 1


class AuthenticatorFactory(DjangoModelFactory):
    """An authenticator app as a second factor. It has no secret, so it accepts no code."""

    class Meta:
        model = Authenticator

    user = factory.SubFactory(CustomerFactory)
    type = Authenticator.Type.TOTP
    data: Any = factory.LazyFunction(dict)


class UserSessionFactory(DjangoModelFactory):
    """A session in the list of sessions. The test passes the key of an existing session."""

    class Meta:
        model = UserSession

    user = factory.SubFactory(CustomerFactory)
    ip = "192.0.2.1"
    user_agent = "Firefox on Linux"


# -- the exchange


class StockFactory(DjangoModelFactory):
    """A stock that the exchange lists."""

    class Meta:
        model = Stock

    ticker = "AAPL"
    name = factory.SelfAttribute("ticker")


class CallFactory(DjangoModelFactory):
    """A call to the exchange that got a response."""

    class Meta:
        model = Call

    verb = Call.Verb.EXECUTE
    outcome = Call.Outcome.ANSWERED
    took_ms = 1


class ClockSkewFactory(DjangoModelFactory):
    """How far the exchange's clock was ahead of ours, as last measured."""

    class Meta:
        model = ClockSkew

    id = 1
    measured_at = factory.LazyFunction(timezone.now)


class ClosureFactory(DjangoModelFactory):
    """A day on which the exchange is closed, as it has announced."""

    class Meta:
        model = Closure

    reason = "A storm"
    source = Closure.Source.EXCHANGE


class ShortListFactory(DjangoModelFactory):
    """A list of stocks from the exchange that was not applied, because too many stocks were missing."""

    class Meta:
        model = ShortList

    listed = 100
    missing: Any = factory.LazyFunction(lambda: ["AAPL", "IBM", "KO", "GE"])


# -- trades


class TradeFactory(DjangoModelFactory):
    """A PLACED trade, without its status change and without a ring."""

    class Meta:
        model = Trade

    customer = factory.SubFactory(CustomerFactory)
    sequence = 1
    ticker = "AAPL"
    type = "BUY"
    quantity = 1


class StatusChangeFactory(DjangoModelFactory):
    """An entry of a trade's history: it was placed."""

    class Meta:
        model = StatusChange

    trade = factory.SubFactory(TradeFactory)
    customer_id = factory.SelfAttribute("trade.customer_id")
    to_status = "PLACED"
    by = "test"


class TradeCounterFactory(DjangoModelFactory):
    """How many trades a customer has placed."""

    class Meta:
        model = TradeCounter

    customer = factory.SubFactory(CustomerFactory)
    last = 0


class DayTotalFactory(DjangoModelFactory):
    """A day's total of one dollar on the bank account."""

    class Meta:
        model = DayTotal

    day = date(2026, 1, 2)
    account = "bank"
    amount = 1


class FeeRateFactory(DjangoModelFactory):
    """A rate of the SEC fee: 27.80 USD per million, for trades of 2026 and later."""

    class Meta:
        model = FeeRate

    kind = "sec"
    first_day = date(2026, 1, 1)
    per_usd = Decimal("0.0000278")
    source = "a notice"
    by = "staff 1 and 2"


class TradingControlFactory(DjangoModelFactory):
    """A halt of all trading."""

    class Meta:
        model = TradingControl

    kind = TradingControl.Kind.HALT_ALL
    reason = "A test."
    by = factory.SubFactory(CustomerFactory, is_staff=True)


class StaffReportFactory(DjangoModelFactory):
    """A rejection that was reported by phone and waits for approval by a second member of staff."""

    class Meta:
        model = StaffReport

    trade = factory.SubFactory(TradeFactory)
    status = "REJECTED"
    reason = "By phone."
    entered_by = factory.SubFactory(CustomerFactory, is_staff=True)


# -- webhooks and the back office


class DeliveryFactory(DjangoModelFactory):
    """An event that is due for a webhook."""

    class Meta:
        model = Delivery

    event_id = factory.Sequence(lambda n: f"event-{n}")
    type = "trade.filled"
    body = "{}"


class CaseFactory(DjangoModelFactory):
    """An open exception: the books do not balance."""

    class Meta:
        model = Case

    kind = Case.Kind.BOOKS
    key = factory.Sequence(lambda n: f"rule {n}")
    detail = "It does not balance."


class JobFactory(DjangoModelFactory):
    """A periodic job of the sweep, due now."""

    class Meta:
        model = Job

    name = "prove"


class NoteFactory(DjangoModelFactory):
    """A staff note about a customer."""

    class Meta:
        model = Note

    customer = factory.SubFactory(CustomerFactory)
    by = factory.SubFactory(CustomerFactory, is_staff=True)
    text = "Called twice."


class ProofFactory(DjangoModelFactory):
    """A proof of empty books, without a violation."""

    class Meta:
        model = Proof

    took_ms = 1
    ok = True
    customers = 0
    trades = 0
    postings = 0
    violations_count = 0


class ProposalFactory(DjangoModelFactory):
    """An action that waits for approval by a second member of staff."""

    class Meta:
        model = Proposal

    action = "prove"
    subject = "Prove the books"
    asked_by = factory.SubFactory(CustomerFactory, is_staff=True)


class CorporateActionFactory(DjangoModelFactory):
    """A split, 2 for 1."""

    class Meta:
        model = CorporateAction

    kind = "SPLIT"
    ticker = "AAPL"
    ex_date = date(2026, 11, 27)
    numerator = 2
    denominator = 1


class EntitlementFactory(DjangoModelFactory):
    """The shares or cash that a customer received from a corporate action."""

    class Meta:
        model = Entitlement

    shares = 1
    shares_after = 2
    cash = 0
