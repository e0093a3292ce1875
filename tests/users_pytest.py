"""pytest as users run it."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from importlib.metadata import entry_points
from pathlib import Path

ROOT = Path(__file__).parents[1]
PATIENCE_S = 60
PLUGINS = {
    "singleton_service": "singleton_service._pytest_plugin",
    "singleton_service_tasks": "singleton_service.background._pytest_plugin",
}
# Whatever else is installed here costs seconds.
OURS_ALONE = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}


def plugin_options() -> list[str]:
    """Return what it takes to load our plugins where they are not installed with their entry points."""
    installed = {point.name for point in entry_points(group="pytest11")}
    return [word for name, module in PLUGINS.items() if name not in installed for word in ("-p", module)]


class Suite:
    """Somebody's project, and its tests; what they write goes into a folder of their own."""

    def __init__(self, folder: Path, project: Path | None = None) -> None:
        self.folder = folder
        self.project = project or folder
        self.variables: dict[str, str] = {}

    def write(self, name: str, source: str) -> None:
        (self.project / name).write_text(textwrap.dedent(source), encoding="utf-8")

    def run(self, *options: str) -> str:
        """Run pytest, and return what it printed."""
        plugins = [word for module in PLUGINS.values() for word in ("-p", module)]
        foreign = ("PYTEST_", "TASKS_", "REDIS_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        own = {"PYTHONPATH": f"{self.project}:{ROOT}", "PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": str(self.folder)}
        ran = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *plugins, *options],
            cwd=self.project,
            env={**kept, **own, **OURS_ALONE, **self.variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=PATIENCE_S,
            check=False,
        )
        return ran.stdout

    def assert_passes(self, number: int, *options: str) -> None:
        printed = self.run(*options)
        assert f"\n{number} passed" in printed, printed
        assert not self.left_behind()

    def left_behind(self) -> list[str]:
        """Return what still runs in the folder, and what data of a server is left there."""
        programs = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                command = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if str(self.folder) in command:
                programs.append(command)
        return programs + [str(path) for path in self.folder.rglob("task-queue*")]
