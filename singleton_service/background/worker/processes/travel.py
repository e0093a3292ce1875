"""How a handler gets into another process: by name, to be imported there."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NamedTuple

from singleton_service.background.task_queue.handlers import Handler
from singleton_service.background.task_queue.importable import find, place_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


class Ticket(NamedTuple):
    """What a process needs to find a handler.

    Attributes:
        name: the task's.
        module: where to find the function, or the class,
        qualname: and under which name.
        policy: pickled, where it was not given with the definition but apart, by `register_handler`; b"" else.
    """

    name: str
    module: str
    qualname: str
    policy: bytes


def ticket_for(handler: Handler) -> Ticket:
    """Return what finds *handler* in another process.

    Raises:
        TypeError: nothing does.
    """
    module, qualname = place_of(handler.name, handler.function)
    # A handler class, and what @task makes of a function, bring policy and all with them.
    owner = getattr(handler.function, "__self__", None)
    if getattr(owner, "_handler", None) is handler:
        return Ticket(handler.name, module, qualname.rpartition(".")[0], b"")
    found = find(module, qualname)
    if getattr(found, "_handler", None) is handler:
        return Ticket(handler.name, module, qualname, b"")
    if found != handler.function and getattr(found, "_function", None) is not handler.function:
        raise TypeError(
            f"the handler of task {handler.name!r} can't run in a process of its own: what {module} has under the name "
            f"{qualname} is not this function. Put @task above all other decorators, or give the function another name"
        )
    import pickle  # noqa: PLC0415 - only for handlers in processes

    try:
        policy = pickle.dumps(handler.policy)
    except Exception as error:
        raise TypeError(
            f"the options of task {handler.name!r} can't be passed to its process: {error}. Give it an on_error that "
            "is defined at the top of a module, or define the task with @task"
        ) from error
    return Ticket(handler.name, module, qualname, policy)


def is_importing_main() -> bool:
    """Whether this is a process that was spawned just now, and imports the main module of its parent."""
    # Not imported: what was spawned has it already, and others do without.
    spawning = sys.modules.get("multiprocessing.process")
    return spawning is not None and getattr(spawning.current_process(), "_inheriting", False)


def check_tickets(handlers: Mapping[str, Handler]) -> None:
    """See that processes will find their handlers.

    Raises:
        TypeError: they would not find one of them; the message says why.
    """
    for handler in list(handlers.values()):
        if handler.kind == "process":
            ticket_for(handler)


def handler_for(ticket: Ticket) -> Handler:
    """Import a handler.

    Raises:
        Exception: whatever its module raises.
    """
    found: Any = find(ticket.module, ticket.qualname)
    if not ticket.policy:
        handler: Handler = found._handler
        return handler
    import pickle  # noqa: PLC0415 - only for handlers in processes

    policy = pickle.loads(ticket.policy)  # noqa: S301 - by our parent
    return Handler(ticket.name, getattr(found, "_function", found), policy)
