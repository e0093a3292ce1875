"""Imports run one way, and importing is free."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CODE = ("singleton_service", "services", "examples", "benchmarks", "tests")

# Which rooms a room may import from. Its own is always allowed.
BASE = {"singleton_service"}
CONFIG = BASE | {"singleton_service.background.config"}
ENGINE = CONFIG | {"singleton_service.background.engine"}
EXPRESSIONS = "singleton_service.background.expressions"
QUEUE = ENGINE | {EXPRESSIONS, "singleton_service.background.task_queue"}
FASTAPI = QUEUE | {"singleton_service.background.worker", "singleton_service.background.scheduler"}
MIGRATE = "singleton_service.background.migrate"
SUPERVISOR = "singleton_service.background.supervisor"
CLI = "singleton_service.background.cli"
DOCTOR = "singleton_service.background.doctor"
TESTING = "singleton_service.background.testing"
PLUGIN = "singleton_service.background._pytest_plugin"
DOORS = FASTAPI | {"singleton_service.background.fastapi", TESTING}
ALLOWED: dict[str, set[str]] = {
    "singleton_service": set(),
    "singleton_service.background": BASE,
    "singleton_service.background.config": BASE,
    "singleton_service.background.engine": CONFIG,
    EXPRESSIONS: BASE,
    "singleton_service.background.task_queue": ENGINE | {EXPRESSIONS},
    "singleton_service.background.worker": QUEUE,
    "singleton_service.background.scheduler": QUEUE,
    "singleton_service.background.fastapi": FASTAPI,
    TESTING: FASTAPI,
    PLUGIN: {TESTING},
    MIGRATE: QUEUE,
    DOCTOR: FASTAPI,
    SUPERVISOR: FASTAPI,
    CLI: FASTAPI | {DOCTOR, SUPERVISOR},
    # `python -m singleton_service`: nobody imports it.
    "singleton_service.__main__": {CLI},
    "services": DOORS,
    "examples": DOORS | {"services"},
    "benchmarks": DOORS | {"services"},
    "tests": DOORS | {PLUGIN, MIGRATE, SUPERVISOR, CLI, DOCTOR, "services", "examples", "benchmarks"},
}
WEB = {"fastapi", "starlette", "uvicorn"}
# The container is standard library only, but for the page that pytest itself loads.
LOADED_BY_THEIR_OWNER = {"singleton_service._pytest_plugin": "pytest"}
MAY_KNOW_THE_WEB = {"singleton_service.background.fastapi", CLI, "services", "examples", "tests"}


def room_of(module: str) -> str | None:
    """Return the room a dotted name lies in; None if it is none of ours."""
    parts = module.split(".")
    names = (".".join(parts[:end]) for end in range(len(parts), 0, -1))
    return next((name for name in names if name in ALLOWED), None)


def imported_names(source: str, module: str, *, is_package: bool) -> set[str]:
    """Return the dotted names a module imports, wherever in it: functions and type checking included."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.split(".") if is_package else module.split(".")[:-1]
                above = ".".join(parts[: len(parts) - node.level + 1])
                base = f"{above}.{base}".rstrip(".")
            names |= {f"{base}.{alias.name}" for alias in node.names}
    return names


def wrong_arrows(source: str, module: str, *, is_package: bool = False) -> set[str]:
    """Return what *module* imports though its room must not."""
    room = room_of(module)
    assert room is not None
    wrong = set()
    for name in imported_names(source, module, is_package=is_package):
        target, top = room_of(name), name.split(".")[0]
        if target is not None:
            is_wrong = target != room and target not in ALLOWED[room]
        elif top in WEB:
            is_wrong = room not in MAY_KNOW_THE_WEB
        else:
            is_known = top in sys.stdlib_module_names or LOADED_BY_THEIR_OWNER.get(module) == top
            is_wrong = room == "singleton_service" and not is_known
        if is_wrong:
            wrong.add(name)
    return wrong


def modules() -> list[tuple[str, Path]]:
    found = []
    for folder in CODE:
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found.append((".".join(parts[:-1] if parts[-1] == "__init__" else parts), path))
    return found


@pytest.mark.parametrize(("module", "path"), modules(), ids=[name for name, _ in modules()])
def test_imports_run_one_way(module: str, path: Path) -> None:
    wrong = wrong_arrows(path.read_text(encoding="utf-8"), module, is_package=path.name == "__init__.py")

    assert not wrong, f"{module} must not import {sorted(wrong)}"


@pytest.mark.parametrize(
    ("source", "module"),
    [
        ("import redis", "singleton_service._service"),
        ("import singleton_service.background.config", "singleton_service._service"),
        ("from .background import config", "singleton_service._service"),
        (
            "from singleton_service.background.worker import WorkerService",
            "singleton_service.background.scheduler.service",
        ),
        ("from ..scheduler import SchedulerService", "singleton_service.background.worker.service"),
        ("from services.config import ConfigService", "singleton_service.background.engine.engine"),
        ("def f():\n    from ..task_queue import task", "singleton_service.background.engine.engine"),
        ("if TYPE_CHECKING:\n    from ..engine import Engine", "singleton_service.background.config.settings"),
        ("import examples.main", "services.worker"),
        ("import tests.conftest", "benchmarks.throughput"),
        ("from fastapi import FastAPI", "singleton_service.background.worker.service"),
    ],
)
def test_an_arrow_that_turns_round_is_found(source: str, module: str) -> None:
    assert wrong_arrows(source, module)


def test_a_relative_import_within_a_room_is_right() -> None:
    package = "singleton_service.background.worker"

    assert not wrong_arrows(
        "from .service import WorkerService\nfrom ..task_queue import Task", package, is_package=True
    )


SPY = '''
import importlib, json, os, sys, sysconfig, threading

ours, names = sys.argv[1], sys.argv[2:]
PLACES = (os.path.join(ours, "singleton_service"), os.path.join(ours, "services"))
LIBRARIES = sysconfig.get_paths()["purelib"]
seen, spying = [], True

def by_us(*, through_libraries):
    """Whether one of our modules, as it is imported, does this; not an import that it makes."""
    frame = sys._getframe(2)
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith(PLACES):
            return f"{file}:{frame.f_lineno}"
        if file.startswith("<frozen importlib") or (file.startswith(LIBRARIES) and not through_libraries):
            return None
        frame = frame.f_back
    return None

def hook(event, args):
    if not spying:
        return
    if event.startswith(("socket.", "subprocess.", "os.fork", "os.exec", "os.posix_spawn")):
        culprit = by_us(through_libraries=True)
    elif event in ("open", "os.mkdir", "os.listdir", "os.scandir"):
        culprit = by_us(through_libraries=False)
    else:
        return
    if culprit:
        seen.append(f"{event} {args!r} at {culprit}")

start_thread = threading.Thread.start

def noting_start(thread):
    culprit = spying and by_us(through_libraries=True)
    if culprit:
        seen.append(f"thread {thread.name} at {culprit}")
    start_thread(thread)

threading.Thread.start = noting_start

class Environment(type(os.environ)):
    def __getitem__(self, key):
        culprit = spying and by_us(through_libraries=False)
        if culprit:
            seen.append(f"environment variable {key} at {culprit}")
        return super().__getitem__(key)

real = os.environ
os.environ = Environment(real._data, real.encodekey, real.decodekey, real.encodevalue, real.decodevalue)
sys.addaudithook(hook)
for name in names:
    importlib.import_module(name)
spying = False
print(json.dumps({"seen": seen, "threads": [thread.name for thread in threading.enumerate()]}))
'''


def spied_imports(root: Path, names: list[str]) -> dict[str, list[str]]:
    process = subprocess.run(
        [sys.executable, "-c", SPY, str(root), *names],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    answer: dict[str, list[str]] = json.loads(process.stdout)
    return answer


def test_importing_any_module_opens_nothing_and_reads_no_environment_variable() -> None:
    names = [name for name, _ in modules() if name.startswith(("singleton_service", "services"))]

    assert spied_imports(ROOT, names) == {"seen": [], "threads": ["MainThread"]}


@pytest.mark.parametrize(
    "line",
    [
        "import os; os.environ.get('REDIS_URL')",
        "import os; os.getenv('REDIS_URL')",
        "import pathlib; pathlib.Path(__file__).read_text()",
        "import socket; socket.socket().close()",
        "import threading; t = threading.Thread(target=print); t.start(); t.join()",
    ],
)
def test_a_module_that_does_something_when_imported_is_found(line: str, tmp_path: Path) -> None:
    (tmp_path / "services").mkdir()
    (tmp_path / "services" / "busy.py").write_text(line)

    assert spied_imports(tmp_path, ["services.busy"])["seen"]
