"""The host names under which a browser may reach the server.

A page of another site can point its own name at this machine (DNS rebinding): a browser then treats page and viewer as
one origin. Such requests carry that name in the Host header, so only known names of this server are answered.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass


@dataclass(frozen=True)
class Hosts:
    """The host names that are answered.

    Args:
        address: the address that the server listens on. This machine's loopback names are always answered. If the
            server listens on every address (`0.0.0.0`, `::`), every IP address is answered too, because DNS rebinding
            works with names only.
        names: other names, such as a proxy's.
    """

    address: str
    names: tuple[str, ...] = ()

    def __contains__(self, host: object) -> bool:
        """Whether a Host header, without its port, is answered.

        >>> "localhost" in Hosts("127.0.0.1"), "[::1]" in Hosts("::1"), "evil.example" in Hosts("0.0.0.0")
        (True, True, False)
        """
        name = _plain(str(host))
        if name == "localhost" or name in map(_plain, (self.address, *self.names)):
            return bool(name)
        number = _number(name)
        if number is None:
            return False
        listens_on = _number(_plain(self.address))
        return number.is_loopback or (listens_on is not None and listens_on.is_unspecified)

    def url(self, port: int) -> str:
        """The URL to open in a browser of this machine, or the proxy's URL if a proxy is named."""
        number = _number(_plain(self.address))
        own = "127.0.0.1" if not self.address or (number is not None and number.is_unspecified) else self.address
        name = _plain(self.names[0] if self.names else own)
        return f"http://[{name}]:{port}/" if ":" in name else f"http://{name}:{port}/"


def _plain(name: str) -> str:
    return name.strip().strip("[]").removesuffix(".").lower()


def _number(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None
