"""TLS, for `rediss://`. A module of its own: few have a use for it, and `ssl` is heavy."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket

    from singleton_service.background.engine.address import Address

__all__ = ["secured"]

_RULES = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}
_NO = ("0", "f", "false", "n", "no")


def secured(plain: socket.socket, address: Address) -> ssl.SSLSocket:
    """Return *plain*, which is connected, once the server has shown its certificate.

    It is checked, and the name in it too, unless the URL says otherwise; by the certificates of this machine, and those
    that the URL names.

    Raises:
        OSError: it has none, or one that does not pass; or a file that the URL names can't be read.
    """
    return _context(address).wrap_socket(plain, server_hostname=address.host)


def _context(address: Address) -> ssl.SSLContext:
    given = address.tls
    rule = _RULES[given.get("cert_reqs", "required")]
    context = ssl.create_default_context()
    # In this order: a name that is checked needs a certificate that is.
    context.check_hostname = rule != ssl.CERT_NONE and given.get("check_hostname", "").lower() not in _NO
    context.verify_mode = rule
    if "ca_certs" in given or "ca_path" in given:
        context.load_verify_locations(cafile=given.get("ca_certs"), capath=given.get("ca_path"))
    if "certfile" in given or "keyfile" in given:
        # One file may hold both.
        context.load_cert_chain(given.get("certfile") or given["keyfile"], given.get("keyfile"), given.get("password"))
    return context
