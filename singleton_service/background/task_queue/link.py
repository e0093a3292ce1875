"""A connection that one thread holds, and the pipelines it sends.

Holding it, and a wire of our own on it, costs about a third of what a pooled redis-py call does.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

from singleton_service.background.engine import EngineError, RefusedError

from .errors import ProtocolVersionError, QueueUnavailableError, TaskQueueError
from .protocol import PROTOCOL_VERSION
from .pulse import PATIENCE_S
from .wire import Wire

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from singleton_service.background.engine import Engine

    from .pulse import Pulse
    from .scripts import Scripts

    Command = tuple[bytes | str | int, ...]

# What a server says while it can't take writes, for now or until someone makes room.
_FULL_OR_AWAY = ("BUSY", "CLUSTERDOWN", "MASTERDOWN", "MISCONF", "NOREPLICAS", "OOM", "READONLY", "TRYAGAIN")
_FORGOTTEN = "NOSCRIPT"
# They speak of what this connection wrote just before, and wait for it on the server.
_ABOUT_THE_LAST_WRITE = (b"WAIT", b"WAITAOF")
# What our scripts answer where a newer version has made a queue its own: the number, and a key with the queue's name.
_NEWER_PROTOCOL = re.compile(r"NEWPROTOCOL (\d+) .*\{(.*)\}")
_GONE = (EngineError, OSError)

_LOOK_EVERY_S = 0.1
# What a server may take to greet a new connection.
_GREETING_S = 5.0
_PATIENCE_GROWS_BY = 4


class Link:
    """One held connection. Not thread-safe: each thread has its own.

    A connection that failed, or is silent where a fresh one is answered, is closed and opened anew by the next call.
    Nothing is sent twice by itself: whether a command may be repeated is the caller's to know.

    Attributes:
        openings: how often it was connected; another number is another connection.
    """

    def __init__(
        self, engine: Engine, scripts: Scripts, read_timeout_s: float = 5.0, pulse: Pulse | None = None
    ) -> None:
        """Make one; it connects when it is first used.

        Args:
            engine: where the server is.
            scripts: whose texts it may be asked for.
            read_timeout_s: how long the server may be silent.
            pulse: what tells earlier that it is not the server that is silent; without it nothing does.
        """
        self._engine = engine
        self._scripts = scripts
        self._read_timeout_s = read_timeout_s
        self._pulse = pulse
        self._generation = 0
        self._patience_s = self._first_patience_s = min(PATIENCE_S, read_timeout_s)
        self._connection = engine.connection(read_timeout_s)
        self._wire: Wire | None = None
        self.openings = 0

    @property
    def is_open(self) -> bool:
        """Whether it is connected, as far as we know."""
        return self._wire is not None and not self.is_outlived

    @property
    def is_outlived(self) -> bool:
        """Whether a connection was found dead since this one was opened. `run` replaces it, who waits on it must."""
        return self._wire is not None and self._pulse is not None and self._generation != self._pulse.generation

    def is_dead(self) -> bool:
        """Find out, after PATIENCE_S without an answer that is due, whether the server answers all but this one."""
        pulse, wire = self._pulse, self._wire
        if pulse is None or wire is None or not pulse.outlives(self._generation) or wire.has_bytes(_LOOK_EVERY_S):
            return False
        pulse.bury(self._generation)
        return True

    def call(self, *command: bytes | str | int) -> Any:
        """Send one command and return its reply."""
        return self.run([command])[0]

    def run(self, commands: Sequence[Command]) -> list[Any]:
        """Send commands in one pipeline and return their replies, in order.

        Raises:
            QueueUnavailableError: the server went away, or can't take writes; any of the commands may have run.
            ProtocolVersionError: a newer version has made that queue its own.
            TaskQueueError: the server refused one for another reason.
        """
        return self._settled(commands, self._exchange)

    def collect(self, commands: Sequence[Command]) -> list[Any]:
        """Wait for the replies to these, which were sent before, and return them as `run` does."""
        return self._settled(commands, self._replies)

    def _settled(self, commands: Sequence[Command], exchange: Callable[[Sequence[Command]], list[Any]]) -> list[Any]:
        try:
            replies = exchange(commands)
            refusals = [reply for reply in replies if isinstance(reply, RefusedError)]
            if not refusals:
                return replies
            if any(refusal.word == _FORGOTTEN for refusal in refusals):
                replies = self._exchange_forgotten(commands, replies)
                refusals = [reply for reply in replies if isinstance(reply, RefusedError)]
        except _GONE as error:
            self.close()
            raise self._gone(error) from error
        except BaseException:
            # An answer may still be on its way; it must not be taken for the next command's.
            self.close()
            raise
        for refusal in refusals:
            raise self._refusal(refusal) from refusal
        return replies

    def send(self, *command: bytes | str | int) -> None:
        """Send a command without waiting: its reply comes with `receive`."""
        self.post([command])

    def post(self, commands: Sequence[Command]) -> None:
        """Send commands in one pipeline without waiting: their replies come with `receive`, or with `collect`."""
        try:
            self._opened().send(commands)
        except _GONE as error:
            self.close()
            raise self._gone(error) from error

    def receive(self, *, is_due: bool = False) -> Any:
        """Wait for the reply to `send`, or the next one to `post`.

        Args:
            is_due: whether silence is to be doubted, for nothing on the server makes it wait.
        """
        try:
            reply = self._reply(self._open_wire(), may_doubt=is_due)
        except _GONE as error:
            self.close()
            raise self._gone(error) from error
        if isinstance(reply, RefusedError):
            raise self._refusal(reply) from reply
        return reply

    def has_reply(self, timeout_s: float = 0) -> bool:
        """Whether `receive` would return at once."""
        try:
            return self._open_wire().has_reply(timeout_s)
        except _GONE as error:
            self.close()
            raise self._gone(error) from error

    def fileno(self) -> int:
        """Return the socket's descriptor, for `select`; connects when needed."""
        try:
            return self._opened().fileno()
        except _GONE as error:
            self.close()
            raise self._gone(error) from error

    def open_for_loop(self) -> Wire:
        """Connect, and return a wire that never waits: for an event loop, which alone uses it from then on.

        Raises:
            QueueUnavailableError: the server is away.
        """
        try:
            wire = self._opened()
            wire.patience_s = 0.0
        except _GONE as error:
            self.close()
            raise self._gone(error) from error
        return wire

    def close(self) -> None:
        """Close the connection; the next call opens it anew."""
        self._wire = None
        self._connection.disconnect()

    def _open_wire(self) -> Wire:
        if self._wire is None:
            # On another one nothing was asked.
            raise self._unavailable("the connection was closed")
        return self._wire

    def _opened(self) -> Wire:
        # Always by connect(): that is where an embedded server that died is brought back.
        wire = self._wire
        if wire is None:
            generation = 0 if self._pulse is None else self._pulse.generation
            # Whoever sleeps on an answer for long is to hear soon that there is nobody to give one.
            self._connection.socket_timeout = min(self._read_timeout_s, _GREETING_S)
            self._connection.connect()
            # For what is sent, and for whoever waits on it, a connection has its whole time.
            patience_s = self._read_timeout_s if self._pulse is None else self._patience_s
            wire = self._wire = Wire(self._connection, self._read_timeout_s, patience_s)
            self._generation = generation
            self.openings += 1
        return wire

    def _exchange(self, commands: Sequence[Command]) -> list[Any]:
        wire = self._wire
        if wire is None or self.is_outlived:
            self.close()
            wire = self._opened()
        wire.send(commands)
        return self._replies(commands)

    def _replies(self, commands: Sequence[Command]) -> list[Any]:
        wire = self._open_wire()
        replies = [self._reply(wire, may_doubt=command[0] not in _ABOUT_THE_LAST_WRITE) for command in commands]
        if self._patience_s != self._first_patience_s:
            self._patience_s = wire.patience_s = self._first_patience_s
        return replies

    def _exchange_forgotten(self, commands: Sequence[Command], replies: list[Any]) -> list[Any]:
        """Send the texts of scripts that the server has forgotten, and only of those: the others ran."""
        # The script cache may vanish at any time. Who asked whether they are safe has asked too early.
        forgotten = [
            n for n, reply in enumerate(replies) if isinstance(reply, RefusedError) and reply.word == _FORGOTTEN
        ]
        forgotten += [n for n in range(forgotten[0], len(commands)) if commands[n][0] in _ABOUT_THE_LAST_WRITE]
        texts = [self._with_text(commands[n]) for n in forgotten]
        for n, reply in zip(forgotten, self._exchange(texts), strict=True):
            replies[n] = reply
        return replies

    def _reply(self, wire: Wire, *, may_doubt: bool) -> Any:
        """Read one reply; a refusal is one."""
        while True:
            try:
                return wire.receive()
            except TimeoutError:
                if self._pulse is None:
                    raise TimeoutError(f"no answer within {self._read_timeout_s:g} s") from None
                self._bear_silence(wire, may_doubt=may_doubt)

    def _bear_silence(self, wire: Wire, *, may_doubt: bool) -> None:
        """Wait until something comes, a single byte, after nothing has come for as long as patience lasts.

        Raises:
            QueueUnavailableError: the connection is dead.
            TimeoutError: the server is silent for too long.
        """
        gives_up_at = time.monotonic() + self._read_timeout_s - self._patience_s
        while time.monotonic() < gives_up_at:
            if may_doubt and self.is_dead():
                # Should it be the way there that is slow, the next try has more time.
                self._patience_s = min(self._patience_s * _PATIENCE_GROWS_BY, self._read_timeout_s)
                reason = "a connection fell silent, while the server answers others"
                raise self._unavailable(reason, "Another is opened by itself.")
            if wire.has_bytes(_LOOK_EVERY_S):
                return
        raise TimeoutError(f"no answer within {self._read_timeout_s:g} s")

    def _with_text(self, command: Command) -> Command:
        if command[0] != b"EVALSHA":
            return command
        sha = command[1]
        assert isinstance(sha, bytes)
        return (b"EVAL", self._scripts.text_of(sha), *command[2:])

    def _gone(self, error: BaseException) -> QueueUnavailableError:
        if self._engine.is_embedded:
            return self._unavailable(_reason(error), "It is started again by itself; server.log beside it says more.")
        return self._unavailable(_reason(error))

    def _unavailable(self, reason: str, *advice: str) -> QueueUnavailableError:
        return QueueUnavailableError(self._engine.display_url, reason, *advice)

    def _refusal(self, error: RefusedError) -> TaskQueueError:
        text = _reason(error)
        if newer := _NEWER_PROTOCOL.match(text):
            return ProtocolVersionError(newer[2], int(newer[1]), PROTOCOL_VERSION)
        if error.word in _FULL_OR_AWAY:
            return self._unavailable(
                text, "It takes writes again once there is room, or once it has what it waits for."
            )
        return TaskQueueError(f"the server {self._engine.display_url} refused a command: {text}")


def _reason(error: BaseException) -> str:
    # Where in a script it happened is of no use to anybody who reads this.
    return (str(error) or type(error).__name__).partition(" script: ")[0].rstrip(".")
