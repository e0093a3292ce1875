"""Sees every script that runs on the server, and its answer: was the one whose end counted the one who had the task?"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from singleton_service.background.task_queue.scripts import Scripts

if TYPE_CHECKING:
    from singleton_service.background.task_queue.link import Command
    from singleton_service.background.task_queue.scripts import Script

_FINISHES = ("complete", "retry", "bury", "release", "hold")


class Witness:
    """What the server has said, and what in it can't be.

    Attributes:
        seen: how often each script ran.
        broken: sentences.
    """

    def __init__(self, scripts: Scripts) -> None:
        self.seen: Counter[str] = Counter()
        self.broken: list[str] = []
        self._script_of: dict[object, Script] = {}
        for name in Scripts.__slots__:
            script: Script = getattr(scripts, name)
            self._script_of |= {script.sha: script, script.text: script}
        self._latest: dict[bytes, bytes] = {}
        self._accepted: set[tuple[bytes, bytes]] = set()
        self._ended: set[bytes] = set()

    def see(self, command: Command, reply: Any) -> None:
        """Take note of one script."""
        script = self._script_of.get(command[1])
        if script is None:
            # Only to hear whether the server answers.
            return
        self.seen[script.name] += 1
        arguments = [_wire(part) for part in command[3 + len(script.keys) :]]
        if script.name == "fetch":
            self._saw_fetch(arguments[script.args.index("worker")], reply)
        elif script.name in _FINISHES:
            again = "again" in script.args and arguments[script.args.index("again")] == b"1"
            items = arguments[len(script.args) :]
            width = len(script.items)
            leases = [(items[n], items[n + 1]) for n in range(0, len(items), width)]
            for (uid, token), verdict in zip(leases, reply.decode(), strict=True):
                if verdict != "0":
                    self._saw_finish(script.name, uid, token, again=again, ends=verdict == "2")

    def _saw_fetch(self, worker: bytes, reply: list[Any]) -> None:
        for uid in reply[3::3]:
            self._latest[uid] = b"%b|%b" % (reply[0], worker)
            if uid in self._ended:
                self.broken.append(f"task {uid.decode()} was handed out after its end")

    def _saw_finish(self, verb: str, uid: bytes, token: bytes, *, again: bool, ends: bool) -> None:
        if (uid, token) in self._accepted:
            if not again:
                self.broken.append(f"the lease {token.decode()} of task {uid.decode()} was good for two ends")
            return
        self._accepted.add((uid, token))
        if self._latest.get(uid) != token:
            self.broken.append(f"{verb} of task {uid.decode()} counted under a lease that was over, {token.decode()}")
        if ends or verb in {"complete", "bury"}:
            self._ended.add(uid)


def _wire(part: bytes | str | int) -> bytes:
    return part if isinstance(part, bytes) else str(part).encode()
