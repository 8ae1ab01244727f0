"""Which addresses events may be posted to."""

import ipaddress
import socket
from urllib.parse import SplitResult, urlsplit

from django.conf import settings

# Networks whose addresses carry an IPv4 address inside: a way around the check below.
TUNNELS = [ipaddress.ip_network(network) for network in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")]


class AddressRefused(Exception):
    """Events can't be posted to this address; the text says why."""


def resolve(url: str) -> tuple[SplitResult, str]:
    """The parts of an address, and the IP address to call. Raises AddressRefused for what is not on the Internet."""
    inside = settings.WEBHOOKS_TO_PRIVATE_ADDRESSES
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise AddressRefused("It is not a URL.") from None
    if parts.scheme not in ({"https", "http"} if inside else {"https"}) or not parts.hostname:
        raise AddressRefused("It must begin with https:// and a host.")
    if parts.username or parts.password or parts.fragment or not url.isascii() or not url.isprintable() or " " in url:
        raise AddressRefused("It must have no user, no fragment, and ASCII alone.")
    try:
        found = socket.getaddrinfo(parts.hostname, port or 443, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise AddressRefused("Its host can't be found.") from None
    addresses = [str(row[4][0]) for row in found]
    if not inside and not all(map(is_public, addresses)):
        raise AddressRefused("Its host is inside a private network.")
    return parts, addresses[0]


def is_public(address: str) -> bool:
    """Whether an IP address is somebody's on the Internet, and no way into a private network."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped:
            return is_public(str(ip.ipv4_mapped))
        if any(ip in network for network in TUNNELS):
            return False
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified or ip.is_loopback)
