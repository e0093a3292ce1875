"""A word to systemd, or to whoever else reads NOTIFY_SOCKET: what `sd_notify` does."""

from __future__ import annotations

import logging
import os
import socket

logger = logging.getLogger("singleton_service.worker")


def notify(*words: str) -> None:
    """Say "READY=1", "STOPPING=1", "WATCHDOG=1" or "STATUS=...", where somebody listens. Never waits, never raises."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    # One that begins with @ lies in no directory.
    where = "\0" + address[1:] if address.startswith("@") else address
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            sender.sendto("\n".join(words).encode(), where)
    except OSError as error:
        logger.debug("nobody listens at NOTIFY_SOCKET %s: %s", address, error)
