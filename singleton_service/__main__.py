"""``python -m singleton_service graph package.module``: print the services of a module as a picture."""

from __future__ import annotations

import argparse
import importlib
import sys

from ._graph import graph
from ._requires import is_service
from .exceptions import ServiceError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._service import BaseService


class _NothingToDraw(Exception):  # noqa: N818 - ends the program with one line, is never caught by a user
    """The command line names no services."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m singleton_service", description="Look at services.")
    commands = parser.add_subparsers(dest="command", required=True)
    draw = commands.add_parser("graph", help="print which services need which")
    draw.add_argument("where", nargs="+", help="package.module, or package.module:Service")
    draw.add_argument("--format", choices=("text", "mermaid", "dot"), default="text")
    options = parser.parse_args(arguments)
    try:
        services = [service for where in options.where for service in _services_in(where)]
        picture = graph(*dict.fromkeys(services))
    except (_NothingToDraw, ServiceError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    sys.stdout.write(f"{getattr(picture, options.format)()}\n")
    return 0


def _services_in(where: str) -> list[type[BaseService]]:
    module_name, _, name = where.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise _NothingToDraw(
            f"cannot import {module_name!r}: {error}. Run this from the directory your program runs in."
        ) from error
    if name:
        service = getattr(module, name, None)
        if not is_service(service):
            raise _NothingToDraw(f"{where} is not a service class")
        return [service]
    found = [thing for thing in vars(module).values() if is_service(thing)]
    if not found:
        raise _NothingToDraw(f"module {module_name!r} has no service classes")
    return found


if __name__ == "__main__":
    sys.exit(main())
