"""A base URL becomes an address, and an IP address a verdict: is it local?

Pure: nothing here resolves a name or opens a socket. Parsing is far narrower than a URL library's, because
every spelling that two libraries read differently is a way out of `local`: what does not match is refused,
never repaired.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import unquote

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

_TCP = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>(?:/[A-Za-z0-9._~-]+)*)/?",
    re.ASCII,
)
_UNIX = re.compile(
    r"http\+unix://(?P<socket>(?:[A-Za-z0-9._~-]|%2F|%2f|%20)+)(?P<path>(?:/[A-Za-z0-9._~-]+)*)/?", re.ASCII
)
_NUMERIC_LABEL = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")
_WIDEST_PREFIX = {4: 8, 6: 7}
_LOOPBACK = (ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1"))


class BadAddress(ValueError):  # noqa: N818
    """A base URL or CIDR that is not taken; the message says why and quotes nothing."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where to connect. `socket` is set for a unix socket; `path` has no trailing slash."""

    scheme: str
    host: str
    port: int
    path: str
    socket: str | None = None

    @property
    def url(self) -> str:
        """The base URL to hand to an HTTP client; a unix socket shows as http://localhost."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path}"


def parse_address(base_url: str) -> Address:
    """Parse a base URL. Raises BadAddress.

    >>> parse_address("http://127.0.0.1:11434/").port
    11434
    >>> parse_address("http://0x7f.1")
    Traceback (most recent call last):
    engine.providers.addresses.BadAddress: a numeric host must be four plain decimal numbers
    """
    if not base_url:
        raise BadAddress("it is empty")
    unix = _UNIX.fullmatch(base_url)
    if unix is not None:
        socket = unquote(unix["socket"])
        if not socket.startswith("/"):
            raise BadAddress("a unix socket needs an absolute path")
        return Address("http", "localhost", 80, unix["path"], socket)
    tcp = _TCP.fullmatch(base_url)
    if tcp is None:
        raise BadAddress("not of the form http(s)://host[:port][/path], without user, query or fragment")
    port = int(tcp["port"]) if tcp["port"] else (443 if tcp["scheme"] == "https" else 80)
    if not 0 < port < 65536:
        raise BadAddress("the port is not between 1 and 65535")
    return Address(tcp["scheme"], _host(tcp["host"]), port, tcp["path"])


def _host(written: str) -> str:
    host = written.lower()
    if host.startswith("["):
        try:
            return str(ipaddress.IPv6Address(host[1:-1]))
        except ValueError:
            raise BadAddress("the host is not an IPv6 address") from None
    labels = host.split(".")
    if not all(label and len(label) < 64 and label[0] != "-" and label[-1] != "-" for label in labels):
        raise BadAddress("the host name has an empty, overlong or malformed part (a trailing dot counts)")
    if len(host) > 253:
        raise BadAddress("the host name is too long")
    # What ends in a number is an IPv4 address to some libraries and a name to others: 127.1, 0x7f.1,
    # 2130706433.
    if _NUMERIC_LABEL.fullmatch(labels[-1]):
        try:
            return str(ipaddress.IPv4Address(host))
        except ValueError:
            raise BadAddress("a numeric host must be four plain decimal numbers") from None
    return host


def parse_networks(cidrs: tuple[str, ...]) -> tuple[IPNetwork, ...]:
    """Parse the CIDRs that count as local. Raises BadAddress for one that is malformed or absurdly wide."""
    networks = []
    for cidr in cidrs:
        try:
            network = ipaddress.ip_network(cidr)
        except ValueError:
            raise BadAddress("a network is not a CIDR such as 192.168.1.0/24") from None
        if network.prefixlen < _WIDEST_PREFIX[network.version]:
            raise BadAddress("a network is too wide to be called local")
        networks.append(network)
    return tuple(networks)


def known_addresses(host: str) -> tuple[IPAddress, ...]:
    """The IP addresses a host stands for without any lookup: itself, or loopback for `localhost`."""
    if host == "localhost":
        return _LOOPBACK
    try:
        return (ipaddress.ip_address(host),)
    except ValueError:
        return ()


def parse_ip(text: str) -> IPAddress | None:
    """An IP address as a resolver or a socket names it; None for one with a zone or any other text."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return None if getattr(address, "scope_id", None) else address


def is_local(address: IPAddress, networks: tuple[IPNetwork, ...]) -> bool:
    """True for loopback and for the configured networks. An IPv4 address mapped into IPv6 is unmapped first.

    >>> is_local(ipaddress.ip_address("::ffff:8.8.8.8"), ())
    False
    """
    mapped = getattr(address, "ipv4_mapped", None)
    plain = address if mapped is None else mapped
    return plain.is_loopback or any(
        plain.version == network.version and plain in network for network in networks
    )
