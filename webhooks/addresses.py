"""Rules for the URLs that events may be posted to.

`check_url` checks only the text of a URL, so that a request never waits for a name server. `resolve` looks the host up
and checks its addresses; only the deliverer calls it, each time it connects.
"""

import ipaddress
import socket
from urllib.parse import SplitResult, urlsplit

from django.conf import settings

# Networks whose addresses embed an IPv4 address or are local to a site: they would bypass the check below.
NOT_PUBLIC = [
    ipaddress.ip_network(network)
    for network in ("::/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "2001::/32", "2002::/16", "fec0::/10")
]
# Top-level domains that don't exist on the Internet (RFC 6761, RFC 6762, RFC 8375, RFC 9476).
LOCAL_DOMAINS = {"localhost", "local", "internal", "invalid", "test", "onion", "alt", "lan", "home", "corp", "arpa"}


class AddressRefused(Exception):
    """Events can't be posted to this URL. The message says why."""


def check_url(url: str) -> SplitResult:
    """Return the parts of a URL if events may be posted to it, as far as that is known without a DNS lookup.

    Raises:
        AddressRefused: Events may not be posted to it.
    """
    allows_private = settings.WEBHOOKS_TO_PRIVATE_ADDRESSES
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 — raises ValueError if the port is not valid
    except ValueError:
        raise AddressRefused("This is not a valid URL.") from None
    if parts.scheme not in ({"https", "http"} if allows_private else {"https"}) or not parts.hostname:
        raise AddressRefused("It must start with https:// and a host name.")
    if parts.username or parts.password or parts.fragment or not url.isascii() or not url.isprintable() or " " in url:
        raise AddressRefused("It can't contain a user name, a fragment, spaces, or non-ASCII characters.")
    addresses = _addresses(parts, socket.AI_NUMERICHOST)
    if addresses is not None:
        _check_public(addresses)
    elif not allows_private and (
        "." not in parts.hostname or parts.hostname.rstrip(".").rpartition(".")[2] in LOCAL_DOMAINS
    ):
        raise AddressRefused("The host is on a private network.")
    return parts


def resolve(url: str) -> str:
    """Return the IP address to connect to for a URL.

    Raises:
        AddressRefused: The host can't be found, or one of its addresses is on a private network.
    """
    parts = check_url(url)
    addresses = _addresses(parts, 0)
    if not addresses:
        raise AddressRefused("The host can't be found.")
    _check_public(addresses)
    return addresses[0]


def _addresses(parts: SplitResult, flags: int) -> list[str] | None:
    """Return the IP addresses of a host, or None. With AI_NUMERICHOST, a host name is not looked up."""
    try:
        rows = socket.getaddrinfo(parts.hostname, parts.port or 443, type=socket.SOCK_STREAM, flags=flags)
    except (OSError, UnicodeError):
        return None
    return [str(row[4][0]) for row in rows]


def _check_public(addresses: list[str]) -> None:
    if not settings.WEBHOOKS_TO_PRIVATE_ADDRESSES and not all(map(is_public, addresses)):
        raise AddressRefused("The host is on a private network.")


def is_public(address: str) -> bool:
    """Return whether an IP address is on the public Internet and doesn't lead to a private network."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped:
            return is_public(str(ip.ipv4_mapped))
        if any(ip in network for network in NOT_PUBLIC):
            return False
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified or ip.is_loopback)
