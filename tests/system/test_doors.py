"""The doors, as an application meets them: our wheel installed, and a project of its own around it."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path
from typing import Any

import pytest

from services.config import ConfigService
from services.scheduler import SchedulerService
from services.task_queue import TaskQueueService
from services.worker import WorkerService

pytestmark = pytest.mark.xdist_group("wheel")  # which is built once
ROOT = Path(__file__).parents[2]
THE_FOUR = [ConfigService, TaskQueueService, WorkerService, SchedulerService]

# Enqueues, works and stops through whatever names the imports above it bound.
DOES_A_TASK = """
import json

def double(payload):
    return payload["number"] * 2

TaskQueueService.register_handler("double", double)
WorkerService.start_workers(num_workers=1)
task_id = TaskQueueService.enqueue_task("double", {"number": 21})
result = TaskQueueService.get_result(task_id, timeout=30)
SchedulerService.start_scheduler()
SchedulerService.stop_scheduler()
WorkerService.stop_workers()
print(json.dumps({"result": result, "module": TaskQueueService.__module__, "more": more}))
"""
THROUGH_THE_DOORS = """
from services.scheduler import SchedulerService
from services.task_queue import TaskQueueService
from services.worker import WorkerService
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    built = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def run_project(project: Path, installed: Path, files: dict[str, str]) -> dict[str, Any]:
    """Write a project's files and run its app.py with our wheel, and nothing of this checkout, on the path."""
    for name, text in files.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text)
    libraries = sysconfig.get_paths()["purelib"]
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("TASKS_") and name != "REDIS_URL"},
        "PYTHONPATH": os.pathsep.join([str(installed), libraries]),
        "TASKS_DATA_DIR": str(project / "data"),
    }
    # -S leaves out .pth files, by which an editable install would bring this checkout back in.
    process = subprocess.run(
        [sys.executable, "-S", "app.py"],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    answer: dict[str, Any] = json.loads(process.stdout.splitlines()[-1])
    return answer


def test_a_project_without_services_of_its_own_uses_ours(tmp_path: Path, installed: Path) -> None:
    files = {"app.py": THROUGH_THE_DOORS + "import services.config, services.fastapi; more = None\n" + DOES_A_TASK}

    answer = run_project(tmp_path, installed, files)

    assert answer == {"result": 42, "module": "singleton_service.background.task_queue.service", "more": None}


def test_a_projects_services_lie_beside_ours(tmp_path: Path, installed: Path) -> None:
    files = {
        "services/email.py": "from services.task_queue import TaskQueueService\nWHOSE = 'theirs'\n",
        "app.py": THROUGH_THE_DOORS + "from services.email import WHOSE as more\n" + DOES_A_TASK,
    }

    assert run_project(tmp_path, installed, files)["more"] == "theirs"


def test_a_projects_own_services_config_changes_nothing_for_ours(tmp_path: Path, installed: Path) -> None:
    files = {
        "services/config.py": "WHOSE = 'theirs'\n",
        "app.py": THROUGH_THE_DOORS + "from services.config import WHOSE as more\n" + DOES_A_TASK,
    }

    answer = run_project(tmp_path, installed, files)

    assert (answer["result"], answer["more"]) == (42, "theirs")


def test_a_services_package_that_hides_ours_leaves_the_names_under_background(tmp_path: Path, installed: Path) -> None:
    hidden = """
from singleton_service.background.scheduler import SchedulerService
from singleton_service.background.task_queue import TaskQueueService
from singleton_service.background.worker import WorkerService
try:
    import services.task_queue
except ModuleNotFoundError:
    more = "hidden"
"""
    files = {"services/__init__.py": "", "app.py": hidden + DOES_A_TASK}

    answer = run_project(tmp_path, installed, files)

    assert (answer["result"], answer["more"]) == (42, "hidden")


def test_the_wheel_holds_all_code_scripts_and_type_markers_and_nothing_else(wheel: Path) -> None:
    packed = set(zipfile.ZipFile(wheel).namelist())
    wanted = {
        path.relative_to(ROOT).as_posix()
        for folder in ("singleton_service", "services")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in {".py", ".lua"} or path.name == "py.typed"
    }

    assert any(name.endswith(".lua") for name in wanted)
    assert {name for name in packed if ".dist-info/" not in name} == wanted
    assert any(name.endswith("/licenses/LICENSE") for name in packed)


@pytest.mark.parametrize("service", THE_FOUR)
def test_every_public_callable_of_a_service_is_a_classmethod(service: type) -> None:
    public = {name: inspect.getattr_static(service, name) for name in dir(service) if not name.startswith("_")}
    callables = {name: found for name, found in public.items() if callable(getattr(service, name))}

    assert {name for name, found in callables.items() if not isinstance(found, classmethod)} == set()
    assert {"initialize", "ping"} < set(callables)


@pytest.mark.parametrize("service", THE_FOUR)
def test_no_service_can_be_instantiated(service: type) -> None:
    with pytest.raises(RuntimeError, match=f"{service.__name__} is a service"):
        service()


@pytest.mark.parametrize("door", ["config", "fastapi", "scheduler", "task_queue", "worker"])
def test_a_door_lists_what_it_offers(door: str) -> None:
    page = __import__(f"services.{door}", fromlist=["__all__"])

    assert sorted(page.__all__) == page.__all__
    assert {name for name in vars(page) if not name.startswith("_")} == set(page.__all__)
