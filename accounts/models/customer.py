"""Customers, and their own request limits."""

from typing import ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVector
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower, Now


class CustomerManager(BaseUserManager["Customer"]):
    """Creates customers the way Django's own commands expect. Everything else uses `accounts.customers`."""

    def get_by_natural_key(self, username: str | None) -> "Customer":
        return self.get(email=normal_email(username or ""))

    def create_superuser(self, email: str, password: str | None = None) -> "Customer":
        from accounts.customers import create_customer

        return create_customer(email, password, is_staff=True, is_superuser=True)


def normal_email(email: str) -> str:
    """Return the stored form of an email address. Addresses that differ only in case belong to the same customer."""
    return email.strip().lower()


class Theme(models.TextChoices):
    """The appearance of pages."""

    SYSTEM = "system", "The system's"
    LIGHT = "light", "Light"
    DARK = "dark", "Dark"


class Customer(AbstractBaseUser, PermissionsMixin):
    """A customer of the brokerage or a member of its staff, identified by email address."""

    email = models.EmailField(unique=True)
    name = models.CharField(max_length=120, blank=True)
    is_active = models.BooleanField(
        default=True, help_text="If not set, the customer can't sign in, and no token works."
    )
    is_staff = models.BooleanField(default=False, help_text="Can sign in to the back office.")
    joined_at = models.DateTimeField(db_default=Now(), editable=False)
    theme = models.CharField(max_length=6, choices=Theme, default=Theme.SYSTEM)
    time_zone = models.CharField(max_length=64, blank=True, default="", help_text="If empty, the browser's time zone.")
    # The time step of the newest code that was accepted from the customer's authenticator app.
    code_step = models.BigIntegerField(db_default=0, editable=False)
    closed_at = models.DateTimeField(null=True, editable=False, help_text="When the account was closed permanently.")
    erased_at = models.DateTimeField(null=True, editable=False, help_text="When the personal data was erased.")

    objects = CustomerManager()

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar = []

    class Meta:
        constraints = [
            models.CheckConstraint(name="customer_email_is_lower_case", condition=Q(email=Lower("email"))),
        ]
        indexes = [GinIndex(SearchVector("name", config="simple"), name="customers_by_name")]

    def __str__(self) -> str:
        return self.email


class Limits(models.Model):
    """A customer's own request limits per minute, where they differ from the general ones."""

    customer = models.OneToOneField(Customer, models.CASCADE, primary_key=True, related_name="limits")
    reads_a_minute = models.PositiveIntegerField(null=True, blank=True, help_text="If empty, the standard limit.")
    orders_a_minute = models.PositiveIntegerField(null=True, blank=True, help_text="If empty, the standard limit.")

    class Meta:
        verbose_name_plural = "limits"

    def __str__(self) -> str:
        return f"{self.reads_a_minute or '·'} reads, {self.orders_a_minute or '·'} orders a minute"
