"""The one thing the queue needs to know about where Redis is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from singleton_service.background.config.masking import mask_url
from singleton_service.background.engine.connection import connection_factory
from singleton_service.background.engine.errors import EngineError

if TYPE_CHECKING:
    from singleton_service.background.config.settings import PlainSettings
    from singleton_service.background.engine.connection import Connection
    from singleton_service.background.engine.embedded import EmbeddedServer

__all__ = ["Engine", "open_engine"]

_READ_TIMEOUT_S: Final = 5.0


def open_engine(settings: PlainSettings) -> Engine:
    """Return the engine that *settings* name, ready to make connections.

    With `redis_url` nothing is connected yet. Without, the embedded server of the data directory
    is joined, or started; that takes a tenth of a second, or as long as loading its data takes.

    Raises:
        EngineError: There is no server program, its directory cannot be used, or it does not start.
    """
    if settings.redis_url is not None:
        return Engine(settings.redis_url, None)
    try:
        data_dir = settings.resolved_data_dir()
    except RuntimeError as error:
        raise EngineError(
            "there is no place for the data of the embedded server",
            "this user has no home directory",
            "Set TASKS_DATA_DIR to a directory, or REDIS_URL to a running server.",
        ) from error
    # Here: a program that names a server does without what starts one.
    from singleton_service.background.engine.embedded import EmbeddedServer  # noqa: PLC0415

    # Left to the kernel's time, nothing could ever be confirmed.
    must_force = settings.durability == "disk" and settings.embedded_fsync == "no"
    embedded = EmbeddedServer(data_dir, "always" if must_force else settings.embedded_fsync)
    return Engine(f"unix://{quote(str(embedded.socket_path))}", embedded)


class Engine:
    """A server to connect to, and while it is embedded, this process's share in it.

    Thread-safe. A child after fork opens its own.
    """

    def __init__(self, url: str, embedded: EmbeddedServer | None) -> None:
        """Use `open_engine`, which knows what to hand over."""
        self.url = url
        self._embedded = embedded
        self._new_connection = connection_factory(url, embedded.heal if embedded else None)

    @property
    def display_url(self) -> str:
        """The URL, to be shown: without its password."""
        return mask_url(self.url)

    @property
    def is_embedded(self) -> bool:
        """Whether the server is ours, shared by the programs of one data directory."""
        return self._embedded is not None

    @property
    def may_fall_silent(self) -> bool:
        """Whether a connection may die without a word, as over any network; through a socket file none does."""
        return not self.url.startswith("unix:")

    def connection(self, read_timeout_s: float = _READ_TIMEOUT_S) -> Connection:
        """Return a new connection, the caller's to connect and to disconnect.

        It is never retried, decoded or checked behind the caller's back; connecting takes at most
        1 s. A connection belongs to one thread at a time.

        Args:
            read_timeout_s: How long an answer may take; above every time the caller blocks.

        Raises:
            EngineError: The engine is embedded and was closed, or opened by this process's parent.
        """
        if self._embedded is not None and not self._embedded.is_usable:
            raise EngineError(
                "the engine is closed, or was opened by the parent of this process",
                self.display_url,
                "Open another with open_engine().",
            )
        return self._new_connection(read_timeout_s)

    def close(self) -> None:
        """Give up the share in an embedded server; connections that are open are the caller's.

        Returns at once, and again is harmless. The server ends when its last user has.
        """
        if self._embedded is not None:
            self._embedded.close()
