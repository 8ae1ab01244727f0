"""Parse the networks that a token may be used from, as customers write them."""

from ipaddress import ip_network

NETWORKS_MAX = 20  # per token


def network(text: str) -> str:
    """Return an address or a network in CIDR notation. 203.0.113.7 becomes 203.0.113.7/32.

    Raises:
        ValueError: The text is neither.
    """
    return str(ip_network(text.strip(), strict=False))
