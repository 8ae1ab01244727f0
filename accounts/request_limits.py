"""A customer's own request limits, where they differ from everybody's. web.rate_limits counts against them."""

from accounts.models import Limits


def set_limits(customer_id: int, reads_a_minute: int | None, orders_a_minute: int | None) -> Limits:
    """Set a customer's request limits, which take effect within seconds. None means everybody's limit."""
    own, _ = Limits.objects.update_or_create(
        customer_id=customer_id, defaults={"reads_a_minute": reads_a_minute, "orders_a_minute": orders_a_minute}
    )
    return own


def limits_of(customer_id: int) -> Limits:
    """A customer's own limits, as they are kept; nothing but None where there are none."""
    return Limits.objects.filter(customer_id=customer_id).first() or Limits(customer_id=customer_id)
