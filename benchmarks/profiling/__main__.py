"""Where does the time of a task go, in the client, the worker and the server?

Each kind of work runs on a server of its own. Once as it is: that says how much processor time a task takes, and
INFO commandstats what the server did for it. And once under py-spy, which looks a thousand times a second, without
stopping anything, where the thread is that has the interpreter: that says what Python spends. What is left of the
processor time is spent without it, in the kernel: sending, receiving, going to sleep and waking up. py-spy is installed
into an environment of its own, and needs no rights.

    make profile

It prints tables, and draws docs/explanation/performance.svg.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.peers import environments
from benchmarks.peers.contestants import ENVIRONMENTS, ROOT
from benchmarks.peers.picture import Panel, draw
from benchmarks.peers.server import NoServerError, own_server
from benchmarks.peers.table import table

from .phases import samples

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PICTURE = ROOT / "docs/explanation/performance.svg"
LOOKS_A_SECOND = 1000
# So many that each takes a second or two.
KINDS = {
    "enqueue": ("One task enqueued", 20_000),
    "enqueue_bulk": ("One of a thousand enqueued in bulk", 200_000),
    "drain": ("One task done, 8 threads", 100_000),
    "drain_async": ("One task done, coroutines", 100_000),
}
PLACES = 12
_LEAST_US = 0.05
SERVER = "server: "
KERNEL = "the kernel, without Python"


@dataclass(frozen=True, slots=True)
class Profile:
    """What one task takes.

    Attributes:
        cpu_us, server_us: processor time of the process, and of the server.
        phases, places: µs of the former, by what they are for and where.
        commands: calls and µs a task of each command of the server, those in scripts included.
        scripts: which part of the scripts' time each has.
    """

    cpu_us: float
    server_us: float
    phases: Mapping[str, float]
    places: Mapping[str, float]
    commands: Mapping[str, tuple[float, float]]
    scripts: Mapping[str, float]

    @property
    def server_parts(self) -> dict[str, float]:
        """µs of the server: the commands in scripts, the scripts' own work, and all around them."""
        scripts_us = self.commands.get("evalsha", (0.0, 0.0))[1]
        inner_us = sum(us for name, (_, us) in self.commands.items() if name in _IN_SCRIPTS)
        return {
            "commands in scripts": inner_us,
            "Lua around them": max(0.0, scripts_us - inner_us),
            "reading, answering, kernel": max(0.0, self.server_us - scripts_us),
        }


# What our scripts call; INFO does not tell it from what clients send, and these no client of ours sends.
_IN_SCRIPTS = {
    *("hset", "hsetnx", "hget", "hmget", "hdel", "hlen", "hexists", "hincrby", "hgetdel", "hgetall", "exists"),
    *("rpush", "lpush", "lpop", "rpop", "lmove", "llen", "lrange", "lindex", "lrem", "ltrim", "time", "set", "get"),
    *("zadd", "zrem", "zrange", "zrangebyscore", "zremrangebyscore", "zscore", "zcard", "incr", "expire", "pexpire"),
    *("publish", "del", "unlink", "sadd", "srem", "smembers", "zpopmin", "zcount", "lset", "linsert"),
}


def profile(kind: str, number: int) -> Profile:
    """Run one kind of work, as it is and under py-spy."""
    with _server() as url:
        plain = _run(kind, number, url, [])
    with _server(slower_than_us=0) as url:
        scripts = _run(kind, number, url, [])["scripts_us"]
    with _server() as url, tempfile.NamedTemporaryFile("r", prefix="profile-") as written:
        spy = str(ENVIRONMENTS / "py-spy/bin/py-spy")
        options = ["--gil", "--nonblocking", "--rate", str(LOOKS_A_SECOND)]
        output = ["--format", "raw", "--full-filenames", "--output", written.name]
        _run(kind, number, url, [spy, "record", *options, *output, "--"])
        phases, places = samples(written.read().splitlines())
    sample_us = 1e6 / LOOKS_A_SECOND / number
    in_python = {name: times * sample_us for name, times in phases.most_common()}
    whole = sum(scripts.values()) or 1.0
    return Profile(
        plain["cpu_us"],
        plain["server_us"],
        in_python | {KERNEL: max(0.0, plain["cpu_us"] - sum(in_python.values()))},
        {name: times * sample_us for name, times in places.most_common(PLACES)},
        plain["commands"],
        {name: us / whole for name, us in sorted(scripts.items(), key=lambda each: -each[1])},
    )


@contextmanager
def _server(slower_than_us: int = -1) -> Iterator[str]:
    """Give a server of this program's own, whose slow log keeps every command, or none."""
    with tempfile.TemporaryDirectory(prefix="bench-") as directory, own_server(Path(directory)) as server:
        server.client.config_set("slowlog-max-len", 10_000_000)
        server.client.config_set("slowlog-log-slower-than", slower_than_us)
        yield server.url


def _run(kind: str, number: int, url: str, before: list[str]) -> dict[str, Any]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("TASKS_", "REDIS_"))}
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        done = subprocess.run(
            [*before, sys.executable, "-m", "benchmarks.profiling.workload", kind, str(number)],
            cwd=directory,
            env=inherited | {"REDIS_URL": url, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if not lines:
        sys.exit("\n".join(["the profiled program gave nothing:", *(done.stdout + done.stderr).splitlines()[-8:]]))
    answer: dict[str, Any] = json.loads(lines[0])
    return answer


def show(title: str, found: Profile) -> None:
    """Print where the time of one kind of work goes."""
    print(f"\n## {title}: {found.cpu_us:.1f} µs of the process, {found.server_us:.1f} µs of the server\n")
    print(table(["process", "µs a task"], [[name, f"{us:.1f}"] for name, us in found.phases.items()]))
    print()
    print(table(["the dearest places", "µs a task"], [[name, f"{us:.1f}"] for name, us in found.places.items()]))
    print()
    print(table(["server", "µs a task"], [[name, f"{us:.1f}"] for name, us in found.server_parts.items()]))
    print()
    scripts_us = found.commands.get("evalsha", (0.0, 0.0))[1]
    scripts = [[f"{name}.lua", "", f"{part * scripts_us:.2f}"] for name, part in found.scripts.items()]
    dear = sorted(found.commands.items(), key=lambda each: -each[1][1])
    commands = [[name, f"{calls:.3f}", f"{us:.2f}"] for name, (calls, us) in dear if us >= 0.005]
    print(table(["script, or command", "calls a task", "µs a task"], [*scripts, *commands]))


def panel(title: str, found: Profile) -> Panel:
    """Return the bars of one kind of work."""
    values = {name: us for name, us in found.phases.items() if us >= _LEAST_US}
    values |= {f"{SERVER}{name}": us for name, us in found.server_parts.items()}
    return Panel(f"{title}: {found.cpu_us:.1f} µs of its process, {found.server_us:.1f} µs of the server", values, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"some of: {' '.join(KINDS)}; without: all, drawn too")
    given = parser.parse_args()
    if unknown := set(given.kinds) - set(KINDS):
        parser.error(f"no kind {', '.join(sorted(unknown))}; there are: {' '.join(KINDS)}")
    try:
        environments.make("py-spy")
        found = {kind: profile(kind, KINDS[kind][1]) for kind in given.kinds or KINDS}
    except (NoServerError, environments.NotInstalledError) as error:
        sys.exit(str(error))
    for kind, one in found.items():
        show(KINDS[kind][0], one)
    if not given.kinds:
        panels = [panel(KINDS[kind][0], one) for kind, one in found.items()]
        PICTURE.write_text(draw(panels, SERVER), encoding="utf-8")
        print(f"\nwritten: {PICTURE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
