"""Which Redis URLs we can use; strings only, nothing is connected."""

from __future__ import annotations

import difflib
import re
from typing import Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from singleton_service.background.config.rules import RuleError

__all__ = ["USED_PARAMETERS", "check_redis_url"]

SCHEMES: Final = ("redis", "rediss", "unix")

# What a query string may say about the connection.
USED_PARAMETERS: Final = frozenset(
    {
        "client_name",
        "db",
        "password",
        "ssl_ca_certs",
        "ssl_ca_path",
        "ssl_cert_reqs",
        "ssl_certfile",
        "ssl_check_hostname",
        "ssl_keyfile",
        "ssl_password",
        "username",
    }
)

# Understood by redis-py, and taken out: how we time out, retry and decode is part of the
# queue's protocol. Refusing them would break URLs that are shared with other programs.
IGNORED_PARAMETERS: Final = frozenset(
    {
        "decode_responses",
        "encoding",
        "encoding_errors",
        "health_check_interval",
        "max_connections",
        "protocol",
        "retry_on_error",
        "retry_on_timeout",
        "socket_connect_timeout",
        "socket_keepalive",
        "socket_read_size",
        "socket_timeout",
        "timeout",
    }
)

_EXAMPLE: Final = "Write it like redis://localhost:6379/0"
_NO_SERVER: Final = "or leave REDIS_URL unset for the embedded server"
_NOT_YET: Final = f"Give the address of one server, redis://HOST:6379/0, {_NO_SERVER}."
_CERTIFICATE_RULES: Final = ("none", "optional", "required")


def check_redis_url(url: str) -> str:
    """Return *url*, without blanks around it and its scheme in small letters, if we can connect to such an address.

    Raises:
        RuleError: It is malformed, or of a kind that is not supported.
    """
    url = url.strip()
    scheme, separator, rest = url.partition("://")
    scheme = scheme.lower()
    if not separator:
        raise RuleError("a Redis URL starts with redis://, rediss:// or unix://", f"{_EXAMPLE}, {_NO_SERVER}.")
    _check_scheme(scheme)
    hosts = rest.partition("/")[0].rpartition("@")[2]
    if "," in hosts:
        raise RuleError("a list of hosts (Redis Sentinel or Cluster) is not supported yet", _NOT_YET)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise RuleError(
            "the address of a Redis URL is HOST or HOST:PORT",
            f"{_EXAMPLE}; percent-encode / ? # @ in a password (/ is %2F).",
        ) from None
    _check_address(parts, port)
    _check_parameters(parts)
    # redis-py knows the scheme in small letters only.
    return f"{scheme}://{rest}"


def _check_scheme(scheme: str) -> None:
    if scheme in SCHEMES:
        return
    if "sentinel" in scheme or "cluster" in scheme:
        raise RuleError("Redis Sentinel and Redis Cluster are not supported yet", _NOT_YET)
    if scheme in {"valkey", "valkeys"}:
        plain = "redis" if scheme == "valkey" else "rediss"
        raise RuleError("a Valkey server is addressed as a Redis one", f"Write {plain}:// instead.")
    raise RuleError("a Redis URL starts with redis://, rediss:// or unix://", f"{_EXAMPLE}, {_NO_SERVER}.")


def _check_address(parts: SplitResult, port: int | None) -> None:
    path = unquote(parts.path)
    if parts.scheme == "unix":
        host = parts.netloc.rpartition("@")[2]
        if host or not path.startswith("/") or path == "/":
            raise RuleError(
                "unix:// is followed by the absolute path of a socket",
                "Write it like unix:///run/redis.sock.",
            )
        return
    if port == 0:
        raise RuleError("a port is a number from 1 to 65535", f"{_EXAMPLE}.")
    if not re.fullmatch(r"/?[0-9]*", path, re.ASCII):
        raise RuleError("the path of a Redis URL is the number of a database", f"{_EXAMPLE}.")
    if parts.fragment:
        raise RuleError("a Redis URL has no #fragment", f"{_EXAMPLE}; percent-encode # as %23.")


def _check_parameters(parts: SplitResult) -> None:
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name in IGNORED_PARAMETERS:
            continue
        if name not in USED_PARAMETERS:
            near = difflib.get_close_matches(name, USED_PARAMETERS, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else "Remove it."
            raise RuleError(f"a Redis URL has no parameter {name!r}", hint)
        if name.startswith("ssl_") and parts.scheme != "rediss":
            raise RuleError(f"{name} needs a TLS connection", "Write rediss:// instead of redis://.")
        if name == "db" and not re.fullmatch(r"[0-9]+", value, re.ASCII):
            raise RuleError("db is the number of a database", f"{_EXAMPLE}.")
        if name == "ssl_cert_reqs" and value not in _CERTIFICATE_RULES:
            raise RuleError("ssl_cert_reqs is none, optional or required", "Write ssl_cert_reqs=required.")
