"""`graph`: the services of modules as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from singleton_service import graph as take_graph
from singleton_service._requires import is_service

from .loading import load_module
from .output import json_option, write_json, write_line
from .problems import CommandError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from singleton_service import BaseService, Graph


@click.command("graph")
@click.argument("where", nargs=-1, required=True, metavar="MODULE[:SERVICE]...")
@click.option("--format", "form", type=click.Choice(["text", "mermaid", "dot"]), default="text", show_default=True)
@json_option
def graph_command(where: Sequence[str], form: str, *, as_json: bool) -> None:
    """Print which services of a module need which.

    Imports the modules; starts nothing.
    """
    picture = take_graph(*dict.fromkeys(service for each in where for service in _services_in(each)))
    if as_json:
        write_json({"services": _nodes(picture)})
    else:
        write_line(getattr(picture, form)())


def _nodes(picture: Graph) -> list[dict[str, object]]:
    return [
        {
            "name": node.name,
            "module": node.service.__module__,
            "level": node.level,
            "requires": [needed.__name__ for needed in node.requires],
        }
        for node in picture.nodes
    ]


def _services_in(where: str) -> list[type[BaseService]]:
    module_name, _, name = where.partition(":")
    module = load_module(module_name)
    if name:
        service = getattr(module, name, None)
        if not is_service(service):
            raise CommandError(f"{where} is not a service class")
        return [service]
    found = [thing for thing in vars(module).values() if is_service(thing)]
    if not found:
        raise CommandError(f"module {module.__name__!r} has no service classes")
    return found
