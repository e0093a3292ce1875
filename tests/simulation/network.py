"""The lines between simulated processes and a real server: what becomes of each call is the seed's to say."""

from __future__ import annotations

import hashlib
from collections import Counter, deque
from dataclasses import replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from singleton_service.background.engine import RefusedError
from singleton_service.background.task_queue.link import Link
from singleton_service.background.task_queue.scripts import Script, Scripts, load_scripts
from tests.scripts.invariants import Dump

from .standing_in import Waiting

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

    from singleton_service.background.engine import Engine
    from singleton_service.background.task_queue.keys import QueueKeys
    from singleton_service.background.task_queue.link import Command

    from .stage import Process, Stage
    from .witness import Witness

    Changes = tuple[tuple[str, str], ...]

FATES = ("lost", "answer lost", "late", "twice")
CLOCK_KEY = b"simulation:clock"
_CLOCK = 'local t = redis.call("TIME")'
_OUR_CLOCK = f'local t = {{ 0, redis.call("GET", "{CLOCK_KEY.decode()}") }}'
_MOST_CALLS = 20_000

# One way, seconds: on a good line; and where a call comes late, but before or after its sender has given up.
_QUICK_S, _SLOW_S, _LATE_S = (0.0002, 0.003), (0.05, 0.9), (0.5, 6.0)


@cache
def simulated_scripts(changes: Changes = ()) -> Scripts:
    """Return the package's scripts with a clock that the simulation sets.

    Args:
        changes: what to take out of their texts, and what to put there: for mutants.

    Raises:
        ValueError: a change fits no script.
    """
    scripts = load_scripts()
    unused = set(changes)

    def changed(script: Script) -> Script:
        text = script.text.decode().replace(_CLOCK, _OUR_CLOCK)
        for change in changes:
            if change[0] in text:
                unused.discard(change)
                text = text.replace(*change)
        sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest().encode()
        return replace(script, text=text.encode(), sha=sha)

    made = Scripts(**{name: changed(getattr(scripts, name)) for name in Scripts.__slots__})
    if unused:
        raise ValueError(f"no script says {unused}")
    return made


class Network:
    """One server, and everybody's lines to it. Nothing is sent but by `send`.

    Attributes:
        share: of calls that go wrong, of all.
        bites: how many calls met which fate.
        gales: lines on which every call goes wrong for a while: (process, until when).
        refusals: what the server refused; it should not.
        under_way: how many calls have not arrived yet, though their sender may have given up.
    """

    def __init__(self, stage: Stage, engine: Engine, scripts: Scripts, chance: random.Random, witness: Witness) -> None:
        self.stage = stage
        self.share = 0.0
        self.bites: Counter[str] = Counter()
        self.gales: dict[Process, float] = {}
        self.refusals: list[str] = []
        self.calls = 0
        self.under_way = 0
        self._chance = chance
        self._witness = witness
        self._server = Link(engine, scripts)
        self._sleepers: list[_Sleeper] = []
        # A server that forgets scripts does so when the seed says so.
        texts = [getattr(scripts, name).text for name in Scripts.__slots__]
        self._server.run([(b"SCRIPT", b"LOAD", text) for text in texts])

    def close(self) -> None:
        """Close the one real connection."""
        self._server.close()

    def ask(self, *commands: Command) -> list[Any]:
        """Ask the server directly, with no line between."""
        return self._server.run(commands)

    def dump(self, keys: QueueKeys, workers: Sequence[str]) -> Dump:
        """Read a queue, directly and at one moment."""
        return Dump.read(self._server, keys, workers)

    def calm(self) -> None:
        """Let all go well from now on; what is under way may still come late."""
        self.share = 0.0
        self.gales.clear()

    # What becomes of a call

    def send(self, connection: Connection, commands: Sequence[Command]) -> None:
        """Send commands, and let fate decide."""
        chance = self._chance
        self.calls += 1
        if connection.is_cut:
            # Sent behind what broke the line: no part of it arrives.
            return
        if self.calls == _MOST_CALLS:
            self.refusals.append(f"{self.calls} calls: somebody keeps the server busy for nothing")
        is_gale = self.gales.get(self.stage.here, 0.0) > self.stage.now_s
        fate = "" if chance.random() >= (0.9 if is_gale else self.share) else chance.choice(FATES)
        # A pipeline may break anywhere.
        cut = chance.randrange(len(commands))
        if fate:
            self.bites[fate] += 1
        if fate == "lost":
            self._arrive(connection, commands[:cut], _QUICK_S, breaks=True)
        elif fate == "answer lost":
            self._arrive(connection, commands, _QUICK_S, answers=cut, breaks=True)
        elif fate == "late" and chance.random() < 0.5:
            self._arrive(connection, commands, _SLOW_S)
        elif fate == "late":
            self._arrive(connection, commands[:cut], _QUICK_S, breaks=True)
            self._arrive(None, commands[cut:], _LATE_S)
        else:
            self._arrive(connection, commands, _QUICK_S)
            if fate == "twice":
                self._arrive(None, commands[cut:], chance.choice((_QUICK_S, _LATE_S)))

    def _arrive(
        self,
        connection: Connection | None,
        commands: Sequence[Command],
        after_s: tuple[float, float],
        *,
        answers: int | None = None,
        breaks: bool = False,
    ) -> None:
        """Have commands arrive, and so many of their answers come back; then the line may break or fall silent."""
        chance, stage = self._chance, self.stage
        number = connection.number if connection is not None else 0
        is_mute = chance.random() < 0.3

        self.under_way += 1

        def arrive() -> None:
            self.under_way -= 1
            replies = self._execute(connection, number, commands)
            if connection is None:
                return
            back: list[Any] = replies[:answers]
            if breaks and not is_mute:
                back.append(ConnectionError("the line broke"))
            is_back_s = connection.back.turn(stage.now_s + chance.uniform(*_QUICK_S))
            stage.at(is_back_s, lambda: connection.answer(number, back))

        arrives_s = stage.now_s + chance.uniform(*after_s)
        if connection is not None:
            arrives_s = connection.there.turn(arrives_s)
            connection.is_cut = breaks
        stage.at(arrives_s, arrive)

    # The server

    def _execute(self, connection: Connection | None, number: int, commands: Sequence[Command]) -> list[Any]:
        # What follows a pop in a pipeline runs when that has ended.
        pops = [n for n, command in enumerate(commands) if command[0] == b"BLPOP"]
        asked = commands[: pops[0]] if pops else commands
        if pops:
            self._sleepers.append(_Sleeper(self, connection, number, commands[pops[0]], commands[pops[0] + 1 :]))
        clock = round(self.stage.now_s * 1_000_000)
        wakes = list({key: None for sleeper in self._sleepers for key in sleeper.keys})
        lengths: list[Command] = [(b"LLEN", key) for key in wakes]
        replies = self._server._exchange([(b"SET", CLOCK_KEY, clock), *asked, *lengths])
        own = replies[1 : 1 + len(asked)]
        for command, reply in zip(asked, own, strict=True):
            self._see(command, reply)
        for key, length in zip(wakes, replies[1 + len(asked) :], strict=True):
            self._give_tokens(key, length)
        return own

    def fated(self, replies: list[Any]) -> list[Any]:
        """Return what comes back of answers that were waited for: all, as a rule."""
        if len(replies) == 1 or self._chance.random() >= self.share:
            return replies
        self.bites["answer lost"] += 1
        back = replies[: self._chance.randrange(len(replies))]
        return back if self._chance.random() < 0.3 else [*back, ConnectionError("the line broke")]

    def _see(self, command: Command, reply: Any) -> None:
        if isinstance(reply, RefusedError):
            if reply.word == "NOSCRIPT":
                return
            self.refusals.append(f"{reply} ({command[0]!r})")
        elif command[0] in {b"EVALSHA", b"EVAL"}:
            self._witness.see(command, reply)

    def _give_tokens(self, key: bytes, number: int) -> None:
        for sleeper in list(self._sleepers):
            if number and key in sleeper.keys:
                self._sleepers.remove(sleeper)
                self._server.call(b"LPOP", key)
                number -= 1
                sleeper.wake(key)

    def end_sleep(self, sleeper: _Sleeper) -> None:
        """Its time is over, or its connection is gone."""
        if sleeper in self._sleepers:
            self._sleepers.remove(sleeper)


class _Sleeper:
    """A BLPOP under way. Where its connection is gone without the server knowing, a token goes there all the same.

    So do the answers to what follows it.
    """

    def __init__(
        self,
        network: Network,
        connection: Connection | None,
        number: int,
        command: Command,
        following: Sequence[Command],
    ) -> None:
        *keys, seconds = command[1:]
        self.keys = [key for key in keys if isinstance(key, bytes)]
        self._network = network
        self.connection = connection
        self._number = number
        self._following = following
        # A server that reads it from a closed connection learns of the end a little later.
        is_heard = connection is not None and connection.number == number
        if not is_heard:
            self._following = ()
        network.stage.at(network.stage.now_s + (float(seconds) if is_heard else _QUICK_S[1]), self._end)

    def wake(self, key: bytes) -> None:
        self._answer([key, b"1"])

    def _end(self) -> None:
        if self in self._network._sleepers:
            self._network.end_sleep(self)
            self._answer(None)

    def _answer(self, reply: Any) -> None:
        connection, number = self.connection, self._number
        if connection is None:
            return
        network, stage = self._network, self._network.stage

        def follow() -> None:
            replies = [reply, *network._execute(connection, number, self._following)] if self._following else [reply]
            back = network.fated(replies)
            stage.at(stage.now_s + _QUICK_S[1], lambda: connection.answer(number, back))

        # In the same turn of the server, but after what it does now.
        stage.at(stage.now_s, follow)


class _Direction:
    """One direction of a connection: nothing overtakes what was sent before."""

    def __init__(self) -> None:
        self._last_s = 0.0

    def turn(self, at_s: float) -> float:
        """Return when that arrives what would arrive then, were it alone."""
        self._last_s = max(at_s, self._last_s)
        return self._last_s


class Connection:
    """What the package takes for a connection, and for the wire on it.

    Attributes:
        is_cut: whether nothing that is sent on it arrives any more.
    """

    def __init__(self, network: Network, read_timeout_s: float) -> None:
        self.number = 0
        self.is_cut = False
        self.there, self.back = _Direction(), _Direction()
        self.on_answer: Callable[[], None] = lambda: None
        self.patience_s = read_timeout_s
        self._network = network
        self._stage = network.stage
        self._waiting = Waiting(network.stage)
        self._answers: deque[Any] = deque()

    def patiently(self, patience_s: float) -> Connection:
        """Be as patient as that from now on."""
        self.patience_s = patience_s
        return self

    def connect(self) -> None:
        """Connect; that is quick."""

    def disconnect(self) -> None:
        """Close; what was on its way here is lost."""
        self.number += 1
        self.is_cut = False
        self.there, self.back = _Direction(), _Direction()
        self._answers.clear()
        for sleeper in [each for each in self._network._sleepers if each.connection is self]:
            # The server sees the end of the connection a little later.
            self._stage.at(self._stage.now_s + _QUICK_S[1], partial(self._network.end_sleep, sleeper))

    def send(self, commands: Sequence[Command]) -> None:
        """Send."""
        self._network.send(self, commands)

    def answer(self, number: int, replies: Sequence[Any]) -> None:
        """Receive, unless it was closed meanwhile."""
        if number == self.number and replies:
            self._answers += replies
            self._waiting.look()
            self.on_answer()

    def has_reply(self, timeout_s: float = 0) -> bool:
        """Whether an answer, or the end of the line, is there within that time."""
        return self._waiting.until(lambda: self._answers, timeout_s)

    has_bytes = has_reply

    def receive(self) -> Any:
        """Wait for the next answer; a refusal is one.

        Raises:
            TimeoutError: it takes too long.
            ConnectionError: the line broke.
        """
        if not self._waiting.until(lambda: self._answers, self.patience_s):
            raise TimeoutError("Timeout reading from socket")
        reply = self._answers.popleft()
        if isinstance(reply, ConnectionError):
            raise reply
        return reply

    def call(self, *commands: Command) -> list[Any]:
        """Feel the pulse: on a connection of one's own, as it is."""
        self.send(commands)
        return [self.receive() for _ in commands]


class SimulatedEngine:
    """What the package takes for an engine."""

    url = display_url = "redis://simulated"
    is_embedded = False
    may_fall_silent = True

    def __init__(self, network: Network) -> None:
        self._network = network

    def connection(self, read_timeout_s: float = 5.0) -> Connection:
        """Return a new connection."""
        return Connection(self._network, read_timeout_s)

    def close(self) -> None:
        """Nothing is held."""
