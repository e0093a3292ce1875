"""Make connections that leave timeouts, retries and decoding to the queue's protocol."""

from __future__ import annotations

import inspect
import socket
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from redis.backoff import NoBackoff
from redis.connection import AbstractConnection, Connection, SSLConnection, UnixDomainSocketConnection, parse_url
from redis.retry import Retry

from singleton_service.background.config.redis_url import USED_PARAMETERS

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["connection_factory"]

_CONNECT_TIMEOUT_S: Final = 1.0
_ADDRESS: Final = frozenset({"connection_class", "host", "path", "port"})

# A peer that vanishes without a word is noticed after about 45 s even while we only wait for it.
_KEEPALIVE: Final = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}


class EmbeddedConnection(UnixDomainSocketConnection):
    """A connection that sees that there is a server before it connects, the first time and again."""

    def __init__(self, *, before_connect: Callable[[], None], **options: Any) -> None:
        super().__init__(**options)  # type: ignore[no-untyped-call]  # redis-py leaves it bare
        self._before_connect = before_connect

    def connect(self) -> None:
        """Connect, unless it is connected."""
        self._before_connect()
        super().connect()  # type: ignore[no-untyped-call]  # redis-py leaves it bare


def connection_factory(
    url: str, before_connect: Callable[[], None] | None = None
) -> Callable[[float], AbstractConnection]:
    """Return a function from a read timeout in seconds to a new connection to *url*, not yet connected.

    Nothing is retried: a command whose answer was lost may have been carried out, and only the
    caller knows whether sending it again is harmless. Nothing is decoded. RESP2, no client-side
    health checks, no greeting with the name of the library.

    Args:
        url: A URL that `check_redis_url` let through.
        before_connect: What to do before each attempt to connect; for unix:// only.
    """
    given = parse_url(url)  # type: ignore[no-untyped-call]  # redis-py leaves it bare
    options = {name: value for name, value in given.items() if name in USED_PARAMETERS | _ADDRESS}
    kind: type[Any] = options.pop("connection_class", Connection)
    if not issubclass(kind, UnixDomainSocketConnection):
        options["socket_keepalive"] = True
        options["socket_keepalive_options"] = {
            getattr(socket, name): value for name, value in _KEEPALIVE.items() if hasattr(socket, name)
        }
    if issubclass(kind, SSLConnection):
        # redis-py below 6 leaves this off, and so accepts any server's valid certificate.
        options.setdefault("ssl_check_hostname", options.get("ssl_cert_reqs") != "none")
    if before_connect is not None:
        kind, options["before_connect"] = EmbeddedConnection, before_connect
    options |= _silence()

    def connect_with(read_timeout_s: float) -> AbstractConnection:
        connection: AbstractConnection = kind(
            **options,
            socket_timeout=read_timeout_s,
            socket_connect_timeout=_CONNECT_TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
            decode_responses=False,
            health_check_interval=0,
        )
        return connection

    return connect_with


@cache
def _silence() -> dict[str, Any]:
    # Two round trips per connection that tell the server which library this is.
    known = inspect.signature(AbstractConnection.__init__).parameters
    if "driver_info" in known:
        return {"driver_info": None}
    return {"lib_name": None, "lib_version": None}
