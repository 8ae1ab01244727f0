"""Which addresses events may be posted to.

`check_url` judges what an address says, without asking anybody, so a request never waits for a name server. `resolve`
looks the name up and judges what it means: only the deliverer calls it, each time that it connects.
"""

import ipaddress
import socket
from urllib.parse import SplitResult, urlsplit

from django.conf import settings

# Networks whose addresses carry an IPv4 address inside, or are of one site: ways around the check below.
NOT_PUBLIC = [
    ipaddress.ip_network(network)
    for network in ("::/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "2001::/32", "2002::/16", "fec0::/10")
]
# Names that no name server of the Internet knows (RFC 6761, RFC 6762, RFC 8375, RFC 9476).
LOCAL_DOMAINS = {"localhost", "local", "internal", "invalid", "test", "onion", "alt", "lan", "home", "corp", "arpa"}


class AddressRefused(Exception):
    """Events can't be posted to this address; the text says why."""


def check_url(url: str) -> SplitResult:
    """Return the parts of an address that events may be posted to, as far as it can be told without a look-up.

    Raises:
        AddressRefused: They may not.
    """
    inside = settings.WEBHOOKS_TO_PRIVATE_ADDRESSES
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 — raises where it is not a port
    except ValueError:
        raise AddressRefused("It is not a URL.") from None
    if parts.scheme not in ({"https", "http"} if inside else {"https"}) or not parts.hostname:
        raise AddressRefused("It must begin with https:// and a host.")
    if parts.username or parts.password or parts.fragment or not url.isascii() or not url.isprintable() or " " in url:
        raise AddressRefused("It must have no user and no fragment, and be all ASCII.")
    addresses = _addresses(parts, socket.AI_NUMERICHOST)
    if addresses is not None:
        _check_public(addresses)
    elif not inside and ("." not in parts.hostname or parts.hostname.rstrip(".").rpartition(".")[2] in LOCAL_DOMAINS):
        raise AddressRefused("Its host is inside a private network.")
    return parts


def resolve(url: str) -> str:
    """Return the IP address to connect to for a URL.

    Raises:
        AddressRefused: Its name can't be found, or means an address inside a private network.
    """
    parts = check_url(url)
    addresses = _addresses(parts, 0)
    if not addresses:
        raise AddressRefused("Its host can't be found.")
    _check_public(addresses)
    return addresses[0]


def _addresses(parts: SplitResult, flags: int) -> list[str] | None:
    """Return the IP addresses of a host, or None. With AI_NUMERICHOST only those that it spells out itself."""
    try:
        found = socket.getaddrinfo(parts.hostname, parts.port or 443, type=socket.SOCK_STREAM, flags=flags)
    except (OSError, UnicodeError):
        return None
    return [str(row[4][0]) for row in found]


def _check_public(addresses: list[str]) -> None:
    if not settings.WEBHOOKS_TO_PRIVATE_ADDRESSES and not all(map(is_public, addresses)):
        raise AddressRefused("Its host is inside a private network.")


def is_public(address: str) -> bool:
    """Whether an IP address is somebody's on the Internet, and no way into a private network."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped:
            return is_public(str(ip.ipv4_mapped))
        if any(ip in network for network in NOT_PUBLIC):
            return False
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified or ip.is_loopback)
