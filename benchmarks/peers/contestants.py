"""Who takes part, and where each lives."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
ENVIRONMENTS = ROOT / ".venv-peers"
THREADS, COROUTINES = 8, 100


@dataclass(frozen=True, slots=True)
class Contestant:
    """A peer, in one of its ways.

    Attributes:
        name: as tables show it.
        peer: its adapter and its environment; what PEERS names it by.
        way: which of its ways the adapter shall take.
        in_flight: how many tasks one worker process has under way.
        in_flight_asleep: the same, where tasks only sleep.
        only: the one group of measures that it takes part in; without: all.
        leaves_out: a group in which it is the same as another way of its peer.
        keeps_status: whether a task's status can be asked for before it has ended.
    """

    name: str
    peer: str
    way: str = ""
    in_flight: int = THREADS
    in_flight_asleep: int = THREADS
    only: str = ""
    leaves_out: str = ""
    keeps_status: bool = True

    def takes_part(self, group: str) -> bool:
        """Whether it is measured in this group."""
        return self.only in {"", group} and self.leaves_out != group

    @property
    def is_python(self) -> bool:
        """Whether it is a peer in our own language."""
        return self.peer not in {"ours", "bullmq"}

    @property
    def is_ours(self) -> bool:
        """Whether it is this project."""
        return self.peer == "ours"

    def command(self) -> list[str]:
        """Return what starts its adapter."""
        if self.peer == "bullmq":
            return [shutil.which("node") or "node", str(HERE / "adapters/bullmq.cjs")]
        python = sys.executable if self.is_ours else str(ENVIRONMENTS / self.peer / "bin/python")
        return [python, "-m", "benchmarks.peers.adapters", self.peer]

    def is_there(self) -> bool:
        """Whether its environment was made."""
        return self.is_ours or (ENVIRONMENTS / self.peer / ".installed").exists()


def _coroutines(name: str, peer: str, way: str = "", *, keeps_status: bool = True) -> Contestant:
    return Contestant(name, peer, way, in_flight=COROUTINES, in_flight_asleep=200, keeps_status=keeps_status)


OUR_THREADS = Contestant("singleton-service, threads", "ours")
OUR_COROUTINES = _coroutines("singleton-service, coroutines", "ours", "coroutines")
OUR_EMBEDDED = Contestant("singleton-service, embedded server", "ours", "embedded", only="start")
CONTESTANTS = (
    OUR_THREADS,
    OUR_COROUTINES,
    Contestant("singleton-service, 2 task processes", "ours", "processes", in_flight_asleep=2, leaves_out="enqueue"),
    OUR_EMBEDDED,
    Contestant("Celery, threads", "celery", "threads"),
    Contestant("Celery, prefork", "celery", "prefork", in_flight_asleep=2, leaves_out="enqueue"),
    Contestant("RQ", "rq", in_flight=1, in_flight_asleep=1),
    Contestant("Dramatiq", "dramatiq"),
    Contestant("Huey", "huey", keeps_status=False),
    _coroutines("arq", "arq"),
    _coroutines("taskiq, list", "taskiq", "list", keeps_status=False),
    _coroutines("taskiq, stream", "taskiq", "stream", keeps_status=False),
    _coroutines("SAQ", "saq"),
    _coroutines("streaq", "streaq"),
    _coroutines("BullMQ (Node)", "bullmq"),
)
PEERS = tuple(dict.fromkeys(one.peer for one in CONTESTANTS if not one.is_ours))


class UnknownPeerError(ValueError):
    """Nobody of that name takes part."""


def chosen(peers: list[str]) -> list[Contestant]:
    """Return ourselves and the peers of these names; all of them if none is named.

    Raises:
        UnknownPeerError: a name is not known.
    """
    if unknown := set(peers) - {*PEERS, "ours"}:
        raise UnknownPeerError(f"no peer {', '.join(sorted(unknown))}; there are: {' '.join(PEERS)}")
    return [one for one in CONTESTANTS if one.is_ours or not peers or one.peer in peers]
