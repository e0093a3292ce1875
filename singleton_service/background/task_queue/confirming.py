"""Writes the server has to confirm: that they are on its disk, or that replicas have them.

WAIT and WAITAOF speak of what their own connection wrote last, and on one that wrote nothing they say yes at once. So
the write and the question travel together, on a connection that does nothing else.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from .errors import DurabilityUnavailableError, QueueUnavailableError, TaskQueueError

if TYPE_CHECKING:
    from collections.abc import Collection

    from singleton_service.background.engine import Engine

    from .link import Command, Link

_ONLINE_REPLICA = re.compile(rb"^slave\d+:.*\bstate=online\b", re.MULTILINE)


class Confirmer:
    """One thread's connection for such writes, and what is known of the server behind it. Not thread-safe.

    The server is asked what it can do once per connection, and again after anything went amiss.
    """

    def __init__(self, link: Link, engine: Engine, replicas: int, timeout_s: float) -> None:
        self._link = link
        self._engine = engine
        self._replicas = replicas
        self._timeout_s = timeout_s
        # What to ask after a write; None where the answer to the write says it all.
        self._questions: dict[str, Command | None] = {}
        self._asked_in = 0

    def check(self, durabilities: Collection[str]) -> None:
        """See that the server can give what is asked for.

        Raises:
            DurabilityUnavailableError: it can't.
            QueueUnavailableError: it does not answer.
        """
        for durability in durabilities:
            self._question(durability)

    def write(
        self,
        command: Command,
        mark: Command,
        durabilities: Collection[str],
        *,
        again: bool,
    ) -> tuple[Any, dict[str, str]]:
        """Send a command and have its effect confirmed, also when an earlier try had that effect already.

        Args:
            command: its answer begins with how much it wrote; it may be repeated.
            mark: a command that always writes, and means nothing.
            durabilities: what has to be confirmed.
            again: whether an earlier answer may have been lost.

        Returns:
            its answer, and why which durability was not confirmed.

        Raises:
            DurabilityUnavailableError: the server can't give it; nothing was written.
            QueueUnavailableError: it does not answer.
        """
        questions, missing = self._ask(durabilities, again=again)
        try:
            reply, *answers = self._link.run([command, *questions.values()])
            if questions and reply[0] == 0:
                # Nothing new was written, so nothing was waited for. What was there before lies before the mark.
                answers = self._link.run([mark, *questions.values()])[1:]
        except QueueUnavailableError:
            raise
        except TaskQueueError:
            # WAITAOF is refused when the file was switched off since we asked, and the write before it has gone in.
            self._questions.clear()
            if again:
                raise
            return self.write(command, mark, durabilities, again=True)
        for durability, answer in zip(questions, answers, strict=True):
            if shortfall := self._shortfall(durability, answer):
                missing[durability] = shortfall
        if missing:
            self._questions.clear()
        return reply, missing

    def _ask(self, durabilities: Collection[str], *, again: bool) -> tuple[dict[str, Command], dict[str, str]]:
        """Return what to ask after the write, and what can't be had at all."""
        questions: dict[str, Command] = {}
        missing: dict[str, str] = {}
        for durability in durabilities:
            try:
                question = self._question(durability)
            except DurabilityUnavailableError as error:
                # Too late to refuse when the first try may have gone in.
                if not again:
                    raise
                missing[durability] = error.reason
            else:
                if question is not None:
                    questions[durability] = question
        return questions, missing

    def _shortfall(self, durability: str, answer: Any) -> str | None:
        if durability == "disk":
            return None if answer[0] >= 1 else f"it was not forced to disk within {self._timeout_s:g} s"
        if answer >= self._replicas:
            return None
        return f"{answer} of {self._replicas} replicas had it within {self._timeout_s:g} s"

    def _question(self, durability: str) -> Command | None:
        if not self._link.is_open or self._link.openings != self._asked_in:
            self._questions.clear()
            self._link.call(b"PING")
            self._asked_in = self._link.openings
        if durability not in self._questions:
            self._questions[durability] = self._to_disk() if durability == "disk" else self._to_replicas()
        return self._questions[durability]

    def _to_disk(self) -> Command | None:
        if _field(self._link.call(b"INFO", b"persistence"), b"aof_enabled") != "1":
            raise self._unavailable(
                "disk", "appendonly is off, so it forces nothing to disk", "Set appendonly yes there."
            )
        policy = self._permitted(b"CONFIG", b"GET", b"appendfsync")
        fsync = policy[1].decode() if policy else "not told"
        knows = self._permitted(b"COMMAND", b"INFO", b"WAITAOF")
        if knows and knows[0]:
            # Asked even where fsync is "always": that can be changed behind our back, and costs no round trip.
            if fsync != "no":
                return (b"WAITAOF", 1, 0, round(self._timeout_s * 1000))
            reason = "appendfsync is no, so it leaves the time of writing to the kernel"
            if self._engine.is_embedded:
                raise self._unavailable("disk", reason, "Set TASKS_EMBEDDED_FSYNC=always, or TASKS_DURABILITY=disk.")
            raise self._unavailable("disk", reason, "Set appendfsync to everysec or always there.")
        if fsync == "always":
            return None
        raise self._unavailable(
            "disk",
            f"appendfsync is {fsync}, and WAITAOF, which came with Redis 7.2, is unknown to it",
            "Set appendfsync always there, or upgrade it.",
        )

    def _to_replicas(self) -> Command:
        online = len(_ONLINE_REPLICA.findall(self._link.call(b"INFO", b"replication")))
        if online < self._replicas:
            raise self._unavailable(
                "replica",
                f"{online} replicas are connected to it, {self._replicas} must have it (TASKS_DURABILITY_REPLICAS)",
                "The embedded server has none; use a server of your own (REDIS_URL)."
                if self._engine.is_embedded
                else "Connect more replicas, or ask for fewer.",
            )
        return (b"WAIT", self._replicas, round(self._timeout_s * 1000))

    def _permitted(self, *command: bytes) -> Any:
        """Return the answer to a command that managed servers forbid; None where it is forbidden or unknown."""
        try:
            return self._link.call(*command)
        except QueueUnavailableError:
            raise
        except TaskQueueError:
            return None

    def _unavailable(self, durability: str, reason: str, advice: str) -> DurabilityUnavailableError:
        info = self._link.call(b"INFO", b"server")
        version = _field(info, b"valkey_version")
        name = f"Valkey {version}" if version else f"Redis {_field(info, b'redis_version')}"
        return DurabilityUnavailableError(durability, f"{name} at {self._engine.display_url}", reason, advice)


def _field(info: bytes, name: bytes) -> str:
    found = re.search(rb"^%b:(.*?)\r?$" % name, info, re.MULTILINE)
    return found[1].decode() if found else ""
