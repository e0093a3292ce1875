"""Where a server is, as its URL says."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlsplit

from singleton_service.background.config.redis_url import USED_PARAMETERS

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Address"]

_PORT = 6379


class Address:
    """What a URL says that `check_redis_url` let through. Parameters about anything but the address are left out.

    Attributes:
        is_secure: whether it speaks TLS.
        path: of a socket file; else None, and `host` and `port` count.
        database: the number of it.
        username, password, client_name: as the server is told; None where nothing is said.
        tls: the parameters that begin with ssl_, without that.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        given = {name: value for name, value in parse_qsl(parts.query) if name in USED_PARAMETERS}
        is_file = parts.scheme == "unix"
        self.is_secure = parts.scheme == "rediss"
        self.path = unquote(parts.path) if is_file else None
        self.host = unquote(parts.hostname or "localhost")
        self.port = parts.port or _PORT
        self.database = int(given.get("db") or ("" if is_file else parts.path.strip("/")) or 0)
        self.username = unquote(parts.username) if parts.username else given.get("username")
        self.password = unquote(parts.password) if parts.password else given.get("password")
        self.client_name = given.get("client_name")
        self.tls: Mapping[str, str] = {
            name.removeprefix("ssl_"): value for name, value in given.items() if name.startswith("ssl_")
        }

    def __str__(self) -> str:
        return self.path or f"{self.host}:{self.port}"
