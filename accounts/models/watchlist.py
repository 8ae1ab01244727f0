"""Watchlists."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from uuid_utils.compat import uuid7

from accounts.models.customer import Customer


class Watchlist(models.Model):
    """A customer's named list of stocks, in the order in which they were added.

    The pages show the default list; programs may keep others beside it.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    customer = models.ForeignKey(Customer, models.CASCADE, related_name="watchlists", db_index=False)
    name = models.CharField(max_length=64)
    tickers = ArrayField(models.CharField(max_length=12), default=list)
    is_default = models.BooleanField(default=False)
    created_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(name="one_watchlist_of_a_name", fields=["customer", "name"]),
            models.UniqueConstraint(name="one_default_watchlist", fields=["customer"], condition=Q(is_default=True)),
        ]

    def __str__(self) -> str:
        return self.name
