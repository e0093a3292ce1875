"""An SMTP server for the e-mail example: a real one, on this machine, with opinions about whom it delivers to."""

from __future__ import annotations

import asyncio
from collections import Counter
from email import message_from_bytes
from email.policy import default
from typing import TYPE_CHECKING, ClassVar

from aiosmtpd.smtp import SMTP

from singleton_service import BaseService, guarded

if TYPE_CHECKING:
    from email.message import EmailMessage

    from aiosmtpd.smtp import Envelope, Session

BUSY_FOR = 2


class Clerk:
    """Answers for each letter by the name on it. The numbers are SMTP's: 4xx is "not now", 5xx is "never"."""

    def __init__(self) -> None:
        self.delivered: list[EmailMessage] = []
        self._knocks: Counter[str] = Counter()

    async def handle_RCPT(  # noqa: N802 - what aiosmtpd calls
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        """Take a recipient, or say why not."""
        name, _, _ = address.partition("@")
        self._knocks[address] += 1
        if name == "gone":
            return "550 5.1.1 moved away, no such mailbox"
        if name == "busy" and self._knocks[address] <= BUSY_FOR:
            return "451 4.2.1 mailbox busy, try again later"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 known here"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - likewise
        """Take the letter itself."""
        content = envelope.content
        self.delivered.append(message_from_bytes(content if isinstance(content, bytes) else b"", policy=default))
        return "250 2.0.0 delivered"


class PostOffice(BaseService):
    """The server as a service. Its hooks are coroutines; who calls `address()` need not know, nor start anything."""

    _clerk: ClassVar[Clerk] = Clerk()
    _server: ClassVar[asyncio.Server | None] = None

    @classmethod
    async def initialize(cls) -> None:
        """Open, on a port that is free."""
        cls._clerk = Clerk()
        loop = asyncio.get_running_loop()
        cls._server = await loop.create_server(lambda: SMTP(cls._clerk, loop=loop), "127.0.0.1", 0)

    @classmethod
    async def shutdown(cls) -> None:
        """Close."""
        if cls._server is not None:
            cls._server.close()
            await cls._server.wait_closed()

    @classmethod
    @guarded
    def address(cls) -> tuple[str, int]:
        """Return host and port."""
        assert cls._server is not None, "initialize() made it"
        host, port = cls._server.sockets[0].getsockname()
        return host, port

    @classmethod
    @guarded
    def delivered(cls) -> list[EmailMessage]:
        """List the letters that were taken, in the order in which they came."""
        return list(cls._clerk.delivered)
