"""The roles of staff, and one table of what each role may do."""

from collections.abc import Iterable
from typing import Any

from django.contrib.auth.models import Group
from django.db import models
from django.db.models import QuerySet

from accounts.customers import create_customer
from accounts.models import Customer, normal_email


class Role(models.TextChoices):
    """A role of staff. Each role is a Django group of the same name; a person may have several."""

    SUPPORT = "support"
    OPERATIONS = "operations"
    RISK = "risk"
    COMPLIANCE = "compliance"
    ADMIN = "admin"


class Power(models.TextChoices):
    """A permission in the back office."""

    READ = "read", "see customers, trades, books and exceptions"
    NOTE = "note", "write notes on customers"
    RING = "ring", "ring a customer's lane"
    ASK = "ask", "ask the exchange about a trade"
    CANCEL = "cancel", "cancel a trade that is PLACED"
    ACCESS = "access", "end tokens, webhooks and sessions, deactivate accounts"
    FREEZE = "freeze", "freeze a customer's trading or withdrawals, lift a restriction"
    HALT = "halt", "halt all trading, or a stock"
    LIMIT = "limit", "set limits on orders and on a customer's API use"
    FEES = "fees", "enter rates of regulatory fees"
    EXCEPTIONS = "exceptions", "own and close exceptions"
    ADJUST = "adjust", "request adjustments, and decide on those of others"
    PROVE = "prove", "prove the books and reconcile with the exchange"
    EXPORT = "export", "export lists"
    AUDIT = "audit", "read and export the audit log"
    STAFF = "staff", "manage staff, their roles and their second factors"


EVERYBODY = frozenset(Role)
POWERS: dict[Power, frozenset[Role]] = {
    Power.READ: EVERYBODY,
    Power.NOTE: EVERYBODY,
    Power.RING: frozenset({Role.SUPPORT, Role.OPERATIONS}),
    Power.ASK: frozenset({Role.OPERATIONS}),
    Power.CANCEL: frozenset({Role.OPERATIONS}),
    Power.ACCESS: frozenset({Role.OPERATIONS, Role.RISK}),
    Power.FREEZE: frozenset({Role.OPERATIONS, Role.RISK}),
    Power.HALT: frozenset({Role.OPERATIONS, Role.RISK}),
    Power.LIMIT: frozenset({Role.RISK}),
    Power.FEES: frozenset({Role.RISK, Role.COMPLIANCE}),
    Power.EXCEPTIONS: frozenset({Role.OPERATIONS}),
    Power.ADJUST: frozenset({Role.OPERATIONS}),
    Power.PROVE: frozenset({Role.OPERATIONS, Role.RISK, Role.COMPLIANCE}),
    Power.EXPORT: frozenset({Role.COMPLIANCE}),
    Power.AUDIT: frozenset({Role.COMPLIANCE}),
    Power.STAFF: frozenset({Role.ADMIN}),
}


def roles_of(user: Any) -> frozenset[str]:
    """Return the roles of a member of staff. They are read once for each request."""
    roles: frozenset[str] | None = getattr(user, "_office_roles", None)
    if roles is None:
        roles = frozenset(user.groups.filter(name__in=Role.values).values_list("name", flat=True))
        user._office_roles = roles
    return roles


def may(user: Any, power: Power) -> bool:
    """Return whether a user has a power. A superuser has all of them; anyone who isn't staff has none."""
    if not (user.is_authenticated and user.is_active and user.is_staff):
        return False
    return user.is_superuser or bool(POWERS[power] & roles_of(user))


def appoint(email: str, role: Role, *, password: str | None = None, name: str = "") -> Customer:
    """Give a role to the person with this email address, creating the account if there is none. Idempotent.

    Args:
        password: Used only for a new account.

    Raises:
        ValidationError: `email` is not an email address.
    """
    staff = Customer.objects.filter(email=normal_email(email)).first()
    if staff is None:
        staff = create_customer(email, password, name=name)
    if not staff.is_staff:
        staff.is_staff = True
        staff.save(update_fields=["is_staff"])
    group, _ = Group.objects.get_or_create(name=Role(role).value)
    staff.groups.add(group)
    return staff


def staff_with(roles: Iterable[Role]) -> QuerySet[Customer]:
    """Return the active members of staff who have at least one of these roles."""
    names = [role.value for role in roles]
    return Customer.objects.filter(is_staff=True, is_active=True, groups__name__in=names).distinct()


def set_roles(staff: Customer, roles: Iterable[Role]) -> None:
    """Give a member of staff these roles and no others; without a role, they are no longer staff. Idempotent."""
    new_roles = set(roles)
    groups = [Group.objects.get_or_create(name=role.value)[0] for role in sorted(new_roles)]
    staff.groups.remove(*staff.groups.filter(name__in=Role.values).exclude(name__in=[role.value for role in new_roles]))
    staff.groups.add(*groups)
    if staff.is_staff != bool(new_roles or staff.is_superuser):
        staff.is_staff = bool(new_roles or staff.is_superuser)
        staff.save(update_fields=["is_staff"])
