"""Measure this project beside others on this machine, and print by how much they differ.

All peers and all measures, with nothing made smaller, take about half an hour and write docs/explanation/benchmarks.md;
anything less prints only. It needs Linux, for what /proc tells, and redis-server; BullMQ needs Node.

    make bench
    make bench PEERS="huey dramatiq" ARGS="--only enqueue drain --repeats 1"
"""

from __future__ import annotations

import argparse
import signal
import sys
from itertools import chain
from typing import TYPE_CHECKING

from . import environments, page
from .contestants import PEERS, ROOT, UnknownPeerError, chosen
from .figures import BARE as BARE_MEASURES
from .figures import shown
from .measures import GROUPS, TINY, Sizes
from .run import BARE, DEPTH, IDLE, KILL, MEMORY, Outcome, bare, run
from .server import NoServerError
from .table import aftermaths, bare_table, depth_table, tables
from .targets import target_table

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

REPEATS = 3
EVERYTHING = (*GROUPS, BARE, DEPTH, MEMORY, IDLE, KILL)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peers", nargs="*", metavar="PEER", help=f"some of: {' '.join(PEERS)}; without: all there are")
    parser.add_argument("--only", nargs="+", choices=EVERYTHING, default=EVERYTHING, help="these measures")
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument(
        "--tiny", action="store_true", help="just enough to see that everything works; figures mean nothing"
    )
    parser.add_argument("--ceiling", action="store_true", help="only what the machine allows, with no queue at all")
    parser.add_argument("--durable", action="store_true", help="servers write an append-only file, fsync every second")
    given = parser.parse_args()
    peers = list(chain.from_iterable(name.split() for name in given.peers))
    if given.ceiling:
        figures = bare()
        for measure in BARE_MEASURES:
            print(f"{measure.title}: {shown(measure, figures[measure.key])}")
        return
    sizes = TINY if given.tiny else Sizes(is_durable=given.durable)
    is_whole = is_full(peers, given.only, sizes, given.repeats)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # with all that was started
    try:
        contestants = chosen(peers)
        missing = _install({one.peer for one in contestants if not one.is_ours})
        outcome = run([one for one in contestants if one.peer not in missing], given.only, sizes, given.repeats)
    except (UnknownPeerError, NoServerError) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)
    outcome.failures += missing.values()
    show(outcome)
    if is_whole:
        page.write(outcome)
        print(f"written: {page.PAGE.relative_to(ROOT)} and {page.PICTURE.relative_to(ROOT)}")


def is_full(peers: Sequence[str], groups: Collection[str], sizes: Sizes, repeats: int) -> bool:
    """Return whether nobody and nothing is left out, and nothing measured but once: then it may write the page."""
    return not peers and set(groups) == {*EVERYTHING} and sizes == Sizes() and repeats > 1


def _install(peers: set[str]) -> dict[str, str]:
    """Return those that can't take part, with the reason."""
    missing = {}
    for peer in sorted(peers):
        try:
            environments.make(peer)
        except environments.NotInstalledError as error:
            missing[peer] = str(error)
    return missing


def show(outcome: Outcome) -> None:
    """Print what was found."""
    print(*outcome.circumstances, sep="\n")
    for title, text in tables(outcome.figures):
        print(f"\n{title}\n\n{text}")
    if outcome.killed:
        print(f"\nAfter kill -9\n\n{aftermaths(outcome.killed)}")
    if outcome.bare:
        print(f"\nWhat the machine allows\n\n{bare_table(outcome.bare)}")
    if outcome.depth:
        print(f"\nµs of server time a task, by how many are queued\n\n{depth_table(outcome.depth)}")
    print(f"\nAgainst what was aimed for\n\n{target_table(outcome)}")
    print("\nHow each is set")
    for (settings, versions), names in outcome.settings.items():
        print(f"  {'; '.join(names)}: {settings} {versions}.")
    for failure in outcome.failures:
        print(f"\nfailed: {failure}")


if __name__ == "__main__":
    main()
