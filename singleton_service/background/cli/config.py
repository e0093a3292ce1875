"""`config show`: the settings in force here, and where each comes from."""

from __future__ import annotations

import click

from singleton_service.background.config import settings_in_force
from singleton_service.background.config.masking import mask_url
from singleton_service.background.config.settings import SETTINGS
from singleton_service.background.config.variables import read_variables, variable_name

from .output import Cell, Column, Table, json_option, note, write_json, write_table


@click.command("show")
@click.option("--changed", is_flag=True, help="Only those that are not at their default.")
@json_option
def show_command(*, changed: bool, as_json: bool) -> None:
    """Print the settings and where each comes from.

    Passwords are not shown.
    """
    settings, variables = settings_in_force(), read_variables()
    shown = []
    for name in SETTINGS:
        value = getattr(settings, name)
        given = variables.get(variable_name(name))
        shown.append(
            {
                "variable": variable_name(name),
                "value": mask_url(value) if name == "redis_url" and value else _plain(value),
                "from": given.origin if given else "default",
            }
        )
    if changed:
        shown = [each for each in shown if each["from"] != "default"]
    if as_json:
        write_json({"settings": shown, "data_dir": None if settings.redis_url else str(settings.resolved_data_dir())})
        return
    if shown:
        table = Table([Column("variable"), Column("value"), Column("from", is_prose=True)])
        for each in shown:
            style = "dim" if each["from"] == "default" else "bold"
            table.add(
                Cell(f"{each['variable']}", style), Cell(_text(each["value"]), style), Cell(f"{each['from']}", style)
            )
        write_table(table)
    else:
        note("all settings are at their defaults")
    if settings.redis_url is None:
        note(f"without REDIS_URL an embedded server keeps its data in {settings.resolved_data_dir()}")


def _plain(value: object) -> object:
    return value if value is None or isinstance(value, (bool, int, float)) else str(value)


def _text(value: object) -> str:
    match value:
        case None:
            return "(unset)"
        case bool():
            return "true" if value else "false"
        case float():
            return f"{value:g}" if value < 1e6 else f"{value:.0f}"
    return str(value)
