"""Reports: what the exchange said about trades, and the verdict on each report."""

import pgtrigger
from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from accounts.models import MONEY
from trades.models.trade import Status, Trade

FINAL_STATUSES = (Status.FILLED, Status.REJECTED)


class Outcome(models.TextChoices):
    """A turn's verdict on a report."""

    WAITING = "waiting", "Waits for a turn."
    SETTLED = "settled", "Ended its trade."
    AGREES = "agrees", "Repeats how its trade ended."
    CONTRADICTS = "contradicts", "Contradicts how its trade ended. Needs manual review."
    BREAKS_TERMS = "breaks_terms", "Does not match the terms of its trade. Needs manual review."
    MALFORMED = "malformed", "Cannot be read. Needs manual review."
    UNKNOWN_TRADE = "unknown_trade", "Is about a trade that we do not have. Needs manual review."


# A list, because a migration repeats it in this order.
NEEDS_REVIEW = ["breaks_terms", "contradicts", "malformed", "unknown_trade"]


class Report(models.Model):
    """A report by the exchange about one trade. `body` is the JSON as received; a repeated report is stored once."""

    class Source(models.TextChoices):
        CALLBACK = "callback", "Callback of the exchange"
        ANSWER = "answer", "Answer to Execute"
        SWEEP = "sweep", "Answer to the sweep"
        STAFF = "staff", "Entered by staff"

    trade_id = models.UUIDField(null=True)
    customer_id = models.BigIntegerField(null=True)
    digest = models.BinaryField(max_length=32, unique=True)
    body = models.TextField()
    source = models.CharField(max_length=8, choices=Source)
    received_at = models.DateTimeField(db_default=Now())
    outcome = models.CharField(max_length=13, choices=Outcome, default=Outcome.WAITING)
    reason = models.CharField(max_length=500, blank=True, default="")
    handled_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="report_is_of_a_kind",
                condition=Q(source__in=["callback", "answer", "sweep", "staff"]) & Q(outcome__in=Outcome.values),
            ),
        ]
        indexes = [
            models.Index(name="reports_of_trade", fields=["trade_id"]),
            models.Index(
                name="reports_waiting", fields=["customer_id", "received_at"], condition=Q(outcome=Outcome.WAITING)
            ),
            models.Index(name="reports_for_a_person", fields=["id"], condition=Q(outcome__in=NEEDS_REVIEW)),
        ]
        triggers = [
            pgtrigger.Protect(name="reports_stay", operation=pgtrigger.Delete),
            pgtrigger.Protect(
                name="report_words_stay",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__body__df=pgtrigger.F("new__body"))
                | pgtrigger.Q(old__trade_id__df=pgtrigger.F("new__trade_id"))
                | pgtrigger.Q(old__customer_id__df=pgtrigger.F("new__customer_id"))
                | pgtrigger.Q(old__source__df=pgtrigger.F("new__source"))
                | pgtrigger.Q(old__received_at__df=pgtrigger.F("new__received_at"))
                | pgtrigger.Q(old__digest__df=pgtrigger.F("new__digest")),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.source} report {self.pk}"


class StaffReport(models.Model):
    """A report by the exchange that reached us by phone, by email, or in a statement.

    One member of staff enters it and another approves it. Only then does it become a Report, which the next turn judges
    like any other. `approved` is None while it waits for a decision.
    """

    trade = models.ForeignKey(Trade, models.PROTECT, related_name="staff_reports")
    status = models.CharField(max_length=11, choices=[(status.value, status.label) for status in FINAL_STATUSES])
    price = models.DecimalField(**MONEY, null=True, help_text="USD per share, if it was FILLED.")
    reason = models.CharField(max_length=500, help_text="How the exchange reported it.")
    entered_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    entered_at = models.DateTimeField(db_default=Now())
    approved = models.BooleanField(null=True)
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    decided_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(name="one_staff_report_waits", fields=["trade"], condition=Q(approved=None)),
            models.CheckConstraint(
                name="staff_report_has_its_price",
                condition=Q(status="FILLED", price__isnull=False, price__gt=0) | Q(status="REJECTED", price=None),
            ),
            models.CheckConstraint(name="staff_report_needs_two", condition=~Q(decided_by=F("entered_by"))),
            models.CheckConstraint(
                name="staff_report_is_decided_by_somebody",
                condition=Q(approved=None, decided_by=None, decided_at=None)
                | Q(approved__isnull=False, decided_by__isnull=False, decided_at__isnull=False),
            ),
        ]
        triggers = [
            pgtrigger.Protect(name="staff_reports_stay", operation=pgtrigger.Delete),
            pgtrigger.Protect(
                name="decided_staff_reports_stay",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__approved__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.status} by staff"
