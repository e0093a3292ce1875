"""pytest as users run it: with our plugins, be they installed or not."""

from __future__ import annotations

from importlib.metadata import entry_points

PLUGINS = {
    "singleton_service": "singleton_service._pytest_plugin",
    "singleton_service_tasks": "singleton_service.background._pytest_plugin",
}


def plugin_options() -> list[str]:
    """Return what it takes to load those that are not installed with their entry points."""
    installed = {point.name for point in entry_points(group="pytest11")}
    return [word for name, module in PLUGINS.items() if name not in installed for word in ("-p", module)]
