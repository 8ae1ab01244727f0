"""A customer's own request limits, where they differ from the general ones. web.rate_limits enforces them."""

from accounts.models import Limits


def set_limits(customer_id: int, reads_a_minute: int | None, orders_a_minute: int | None) -> Limits:
    """Set a customer's own request limits, which take effect within seconds. None means the general limit."""
    own, _ = Limits.objects.update_or_create(
        customer_id=customer_id, defaults={"reads_a_minute": reads_a_minute, "orders_a_minute": orders_a_minute}
    )
    return own


def limits_of(customer_id: int) -> Limits:
    """Return a customer's own limits, all of them None if the customer has none."""
    return Limits.objects.filter(customer_id=customer_id).first() or Limits(customer_id=customer_id)
