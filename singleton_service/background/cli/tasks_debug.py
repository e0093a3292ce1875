"""`tasks debug`: a task's handler, here, with the very payload, and a debugger where it fails."""

from __future__ import annotations

import difflib
import json
import pdb  # noqa: T100 - what this verb is for
from typing import TYPE_CHECKING, Any

import click

from singleton_service.background.task_queue import TaskQueueService
from singleton_service.background.task_queue.handlers import registry
from singleton_service.background.worker.failures import returned_failure
from singleton_service.background.worker.rehearsal import rehearse

from .foreseen import no_such_task
from .loading import load_tasks
from .output import json_option, note, write_json, write_line
from .problems import CommandError, ExitCode
from .showing import note_of
from .tracebacks import shortened, within_the_users

if TYPE_CHECKING:
    from collections.abc import Sequence

    from singleton_service.background.task_queue import Task
    from singleton_service.background.task_queue.handlers import Handler


@click.command("debug")
@click.argument("task_id", metavar="ID")
@click.argument("modules", metavar="MODULE...", nargs=-1, required=True)
@click.pass_context
@json_option
def debug_command(context: click.Context, task_id: str, modules: Sequence[str], *, as_json: bool) -> None:
    """Run a task that has ended again, here, under pdb.

    MODULE is where its handler is. The queue hears of nothing: the task stays as it is, no retry is counted. Where the
    handler raises, the debugger opens, at the line that did. --json prints what came of it instead.
    """
    task = TaskQueueService.get_task_status(task_id)
    if task is None:
        raise no_such_task(task_id)
    if not task.status.is_final:
        raise CommandError(
            f"task {task_id!r} is {task.status}, and would run twice",
            fix=f"wait for its end: singleton-service tasks watch {task_id}",
        )
    handler = _handler_of(task, load_tasks(modules))
    about = note_of(task)
    note(f"running {task.name} of task {task.id} here; it is {task.status}{': ' if about else ''}{about}")
    try:
        result = rehearse(handler, task)
    except (Exception, SystemExit) as error:
        if as_json:
            said = {"type": type(error).__name__, "message": str(error), "traceback": shortened(error)}
            write_json({"id": task.id, "completed": False, "result": None, "error": said})
        else:
            note(shortened(error))
            pdb.post_mortem(within_the_users(error.__traceback__))
        context.exit(ExitCode.FAILED)
    context.exit(_tell(task, result, as_json=as_json))


def _handler_of(task: Task, known: Sequence[str]) -> Handler:
    if task.name in known:
        return registry[task.name]
    near = difflib.get_close_matches(task.name, known, n=1)
    raise CommandError(
        f"these modules define no task {task.name!r}{f', but {near[0]!r}' if near else ''}",
        f"they define {', '.join(known) or 'none'}",
        "name the module where its handler is",
        code=ExitCode.NOT_FOUND,
    )


def _tell(task: Task, result: Any, *, as_json: bool) -> int:
    failure = returned_failure(result)
    error = None if failure is None else {"type": "TaskResult", "message": failure.error, "traceback": None}
    if as_json:
        write_json({"id": task.id, "completed": failure is None, "result": _shown(result), "error": error})
    elif failure is not None:
        note(f"it returned a failure: {failure.error}")
    else:
        note("it completed:")
        write_line(json.dumps(_shown(result), indent=2, ensure_ascii=False))
    return ExitCode.OK if failure is None else ExitCode.FAILED


def _shown(result: Any) -> Any:
    try:
        json.dumps(result)
    except (TypeError, ValueError):
        return repr(result)
    return result
