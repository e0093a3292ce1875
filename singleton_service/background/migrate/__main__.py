"""Look at a hand-made Redis queue, or move it: `python -m singleton_service.background.migrate [--move]`."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from singleton_service import stop
from singleton_service.background.config import ConfigError, settings_in_force
from singleton_service.background.config.masking import mask_url
from singleton_service.background.config.redis_url import check_redis_url
from singleton_service.background.config.rules import RuleError
from singleton_service.background.engine import Engine
from singleton_service.background.task_queue import TaskQueueError, TaskQueueService
from singleton_service.background.task_queue.link import Link
from singleton_service.background.task_queue.scripts import load_scripts
from singleton_service.exceptions import ServiceError

from .mover import Found, Mover

if TYPE_CHECKING:
    from collections.abc import Sequence

_READ_TIMEOUT_S = 60.0
_SHOWN = 20


def main(arguments: Sequence[str]) -> int:
    """Do as told; return 0 when all that could be moved is, 1 when it was not, 2 for a wrong call."""
    parser = argparse.ArgumentParser(
        prog="python -m singleton_service.background.migrate",
        description="Tell what lies in a hand-made Redis queue (task_queue, delayed_tasks, task:<id>), and with --move "
        "move it into the queue that REDIS_URL and the TASKS_ settings name. Can be repeated, and interrupted at any "
        "moment: nothing is lost, nothing is doubled.",
    )
    parser.add_argument("--move", action="store_true", help="move the tasks; without it nothing is changed")
    parser.add_argument(
        "--with-taken",
        action="store_true",
        help="also move tasks that old workers took and have not finished; only when none of those workers runs",
    )
    parser.add_argument("--from", dest="source", metavar="URL", help="the server of the old queue, if not REDIS_URL")
    given = parser.parse_args(arguments)
    try:
        return _run(given.source, is_move=given.move, with_taken=given.with_taken)
    except TaskQueueError as error:
        _complain(f"{error}\nWhat was moved is moved. Run the same again to go on.")
    except (ConfigError, RuleError, ServiceError) as error:
        _complain(str(error))
    finally:
        stop()
    return 1


def _run(source: str | None, *, is_move: bool, with_taken: bool) -> int:
    settings = settings_in_force()
    url = check_redis_url(source) if source else settings.redis_url
    if url is None:
        _complain("Where is the old queue? Set REDIS_URL, or say --from redis://HOST:6379/0.")
        return 2
    link = Link(Engine(url, None), load_scripts(), _READ_TIMEOUT_S)
    mover = Mover(link, settings.namespace, settings.max_payload_bytes)
    try:
        found = mover.move(with_taken=with_taken) if is_move else mover.look()
    finally:
        link.close()
    if is_move:
        into = mask_url(TaskQueueService.server_url())
        _say(f"Moved from {mask_url(url)} to queue 'default' of {into}:")
    else:
        _say(f"In the hand-made queue at {mask_url(url)}:")
    _say(_told(found, is_move=is_move))
    return 0


def _told(found: Found, *, is_move: bool) -> str:
    lines = [f"  {found.ready:>7,} ready", f"  {found.delayed:>7,} delayed"]
    stays = "stayed" if is_move else "stays"
    if found.twice:
        lines.append(f"  {found.twice:>7,} places name a task for the second time; each task is moved once")
    if found.finished:
        lines.append(f"  {found.finished:>7,} finished, and in a list all the same: {stays} where it is")
    if found.taken:
        lines.append(f"  {len(found.taken):>7,} taken by an old worker and not finished: {stays} (see --with-taken)")
        lines += _some(found.taken)
    if found.unreadable:
        lines.append(f"  {len(found.unreadable):>7,} can't be read: {stays} where it is")
        lines += _some([f"{key}: {why}" for key, why in found.unreadable.items()])
    if not is_move:
        lines.append("Nothing was changed. Stop the old workers, then run this again with --move.")
    return "\n".join(lines)


def _some(lines: Sequence[str]) -> list[str]:
    shown = [f"          {line}" for line in lines[:_SHOWN]]
    return [*shown, f"          and {len(lines) - _SHOWN:,} more"] if len(lines) > _SHOWN else shown


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _complain(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
