"""The tables."""
# ruff: noqa: DJ008 (these are never shown as text)

import uuid

from django.conf import settings
from django.core.validators import MinValueValidator
from django.db import models


class Balance(models.Model):
    """A customer's cash. Code that advances the customer's trades locks this row."""

    customer = models.OneToOneField(settings.AUTH_USER_MODEL, models.PROTECT, primary_key=True)
    amount = models.DecimalField(max_digits=19, decimal_places=4)


class Position(models.Model):
    """A customer's shares of one stock."""

    customer = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT)
    ticker = models.CharField(max_length=16)
    quantity = models.BigIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["customer", "ticker"], name="one_position")]


class Trade(models.Model):
    """A market order and its outcome."""

    class Type(models.TextChoices):
        BUY = "BUY"
        SELL = "SELL"

    class Status(models.TextChoices):
        PLACED = "PLACED"
        IN_PROGRESS = "IN PROGRESS"
        FILLED = "FILLED"
        REJECTED = "REJECTED"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    customer = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, db_index=False)
    ticker = models.CharField(max_length=16)
    type = models.CharField(max_length=4, choices=Type)
    quantity = models.PositiveIntegerField(validators=[MinValueValidator(1)])
    status = models.CharField(max_length=16, choices=Status, default=Status.PLACED)
    reason = models.CharField(max_length=200, blank=True)
    placed_at = models.DateTimeField(auto_now_add=True)
    max_price = models.DecimalField(max_digits=19, decimal_places=4, null=True)
    price = models.DecimalField(max_digits=19, decimal_places=4, null=True)
    amount = models.DecimalField(max_digits=19, decimal_places=4, null=True)
    settled_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["customer", "status", "placed_at"], name="a_customers_line")]


class Posting(models.Model):
    """The cash and shares that a trade moved, in opposite directions."""

    trade = models.OneToOneField(Trade, models.PROTECT)
    customer = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT)
    ticker = models.CharField(max_length=16)
    cash = models.DecimalField(max_digits=19, decimal_places=4)
    shares = models.BigIntegerField()
    created_at = models.DateTimeField(auto_now_add=True)
