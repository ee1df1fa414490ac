"""The host names under which a browser may reach the server.

A page of another site can point its own name at this machine (DNS rebinding): a browser then treats page and viewer as
one origin. Such requests carry that name in the Host header, so only known names of this server are answered.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Hosts:
    """The host names that are answered.

    Args:
        address: the address that the server listens on. This machine's loopback names are always answered. If the
            server listens on every address (`0.0.0.0`, `::`), every IP address is answered too, because DNS rebinding
            works with names only.
        names: other names, such as a proxy's; or the whole address, http:// or https://, at which a proxy serves it.

    Raises:
        ValueError: an address is incomplete.
    """

    address: str
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in filter(_is_url, self.names):
            parts = urlsplit(name)
            if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
                raise ValueError(
                    "--host must be a name, or an address such as https://hub.example.org/user/me/proxy/8080, "
                    f"got {name}"
                )

    def __contains__(self, host: object) -> bool:
        """Whether a Host header, without its port, is answered.

        >>> "localhost" in Hosts("127.0.0.1"), "[::1]" in Hosts("::1"), "evil.example" in Hosts("0.0.0.0")
        (True, True, False)
        """
        name = _plain(str(host))
        if name == "localhost" or name in map(_plain, (self.address, *map(_name_of, self.names))):
            return bool(name)
        number = _number(name)
        if number is None:
            return False
        listens_on = _number(_plain(self.address))
        return number.is_loopback or (listens_on is not None and listens_on.is_unspecified)

    def url(self, port: int) -> str:
        """The URL to open in a browser of this machine, or the proxy's URL if a proxy is named."""
        if self.names and _is_url(self.names[0]):
            return f"{self.names[0].rstrip('/')}/"
        number = _number(_plain(self.address))
        own = "127.0.0.1" if not self.address or (number is not None and number.is_unspecified) else self.address
        name = _plain(self.names[0] if self.names else own)
        return f"http://[{name}]:{port}/" if ":" in name else f"http://{name}:{port}/"

    def base(self, protocol: str, host: str) -> str:
        """The URL of the server, without a slash at its end, as the browser that sent a request must write it.

        Args:
            protocol: of the request.
            host: its Host header.

        >>> hub = Hosts("127.0.0.1", ("https://hub.example.org/user/me/proxy/8080/",))
        >>> hub.base("http", "hub.example.org"), hub.base("http", "localhost:9000")
        ('https://hub.example.org/user/me/proxy/8080', 'http://localhost:9000')
        """
        for name in filter(_is_url, self.names):
            if _plain(urlsplit(name).netloc) == _plain(host):
                return name.rstrip("/")
        return f"{protocol}://{host}"


def _is_url(name: str) -> bool:
    return "://" in name


def _name_of(name: str) -> str:
    return urlsplit(name).hostname or "" if _is_url(name) else name


def _plain(name: str) -> str:
    return name.strip().strip("[]").removesuffix(".").lower()


def _number(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None
