"""No test talks to anything but this machine: an audit hook stops and records every other connect.

Python cannot take an audit hook away again, so it is installed once per process and reports through `AUDIT`.
"""

from __future__ import annotations

import ipaddress
import socket
import sys
from dataclasses import dataclass, field


class OutsideConnect(BaseException):
    """A connect beyond loopback. Not an Exception, so that no code under test can take it for a network
    fault."""


@dataclass
class Audit:
    """Every connect since the last reset: `peers` all of them, `outside` those beyond loopback."""

    peers: list[tuple[str, int]] = field(default_factory=list)
    outside: list[object] = field(default_factory=list)
    installed: bool = False

    def reset(self) -> None:
        """Forget what was seen."""
        self.peers.clear()
        self.outside.clear()

    def install(self) -> None:
        """Start listening, once."""
        if not self.installed:
            self.installed = True
            sys.addaudithook(self._heard)

    def _heard(self, event: str, args: tuple[object, ...]) -> None:
        if event not in ("socket.connect", "socket.sendto", "socket.sendmsg"):
            return
        sock, address = args[0], args[1]
        if not isinstance(sock, socket.socket) or sock.family not in (socket.AF_INET, socket.AF_INET6):
            return
        if not isinstance(address, tuple):
            return
        host, port = str(address[0]), int(address[1])
        self.peers.append((host, port))
        if not _is_loopback(host):
            self.outside.append(address)
            raise OutsideConnect(f"connect to {host}")


def _is_loopback(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


AUDIT = Audit()
