"""The daily totals of the firm's own accounts."""

import pgtrigger
from django.db import models


class DayTotal(models.Model):
    """The net change of one of the firm's accounts on one Eastern day, USD: debits are positive, credits negative.

    It can be computed from the postings, and is stored so that a trial balance does not have to read all of them.
    `part` divides an account: clearing by settlement date, fees by kind and month, suspense and errors by the reason of
    the adjustment.
    """

    class Account(models.TextChoices):
        CUSTOMERS = "customers", "Customers' credit balances"
        BANK = "bank", "Bank"
        CLEARING = "clearing", "Clearing"
        FEES = "fees", "Fees payable"
        PAYING_AGENT = "paying_agent", "Paying agent"
        SUSPENSE = "suspense", "Suspense"
        ERRORS = "errors", "Errors"

    day = models.DateField()
    account = models.CharField(max_length=12, choices=Account)
    part = models.CharField(max_length=20, blank=True)
    amount = models.DecimalField(max_digits=28, decimal_places=4)

    class Meta:
        constraints = [models.UniqueConstraint(name="one_total_a_day", fields=["day", "account", "part"])]
        triggers = [pgtrigger.Protect(name="day_totals_stay", operation=pgtrigger.Update | pgtrigger.Delete)]

    def __str__(self) -> str:
        return f"{self.day} {self.account} {self.part}: {self.amount}"
