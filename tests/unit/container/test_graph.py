"""Pictures of services: order, levels, edges; text, Mermaid, DOT; live state."""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from singleton_service import BaseService, graph, requires, start
from singleton_service.exceptions import CircularDependencyError

if TYPE_CHECKING:
    from .conftest import Workshop

pytestmark = pytest.mark.timeout(30)
ROOT = Path(__file__).parents[3]


def test_order_edges_and_levels(workshop: Workshop) -> None:
    config = workshop.service("Config")
    queue = workshop.service("Queue", config)
    worker, scheduler = workshop.service("Worker", queue, config), workshop.service("Scheduler", queue)
    picture = graph(worker, scheduler)
    assert picture.order == [config, queue, worker, scheduler]
    assert picture.levels == [[config], [queue], [worker, scheduler]]
    assert picture.edges == [(queue, config), (worker, queue), (worker, config), (scheduler, queue)]


def test_text_is_an_indented_tree(workshop: Workshop) -> None:
    config = workshop.service("Config")
    queue = workshop.service("Queue", config)
    worker, scheduler = workshop.service("Worker", queue, config), workshop.service("Scheduler", queue)
    assert str(graph(worker, scheduler)).splitlines() == [
        "Worker  [not started]",
        "├── Queue  [not started]",
        "│   └── Config  [not started]",
        "└── Config  [not started]",
        "Scheduler  [not started]",
        "└── Queue  (see above)",
    ]


def test_mermaid_and_dot_name_services_and_arrows(workshop: Workshop) -> None:
    config = workshop.service("Config")
    queue = workshop.service("Queue", config)
    assert graph(queue).mermaid().splitlines() == [
        "flowchart TD",
        '    n0["Config<br/>not started"]',
        '    n1["Queue<br/>not started"]',
        "    n1 --> n0",
    ]
    assert graph(queue).dot().splitlines() == [
        "digraph services {",
        "    node [shape=box];",
        '    n0 [label="Config\\nnot started"];',
        '    n1 [label="Queue\\nnot started"];',
        "    n1 -> n0;",
        "}",
    ]


def test_a_started_service_shows_since_when_and_what_it_uses(workshop: Workshop) -> None:
    extra = workshop.service("Extra")
    service = workshop.service("Service", initialize=extra.call)
    start(service)
    picture = graph(service)
    assert "Service  [started " in picture.text()
    assert "└── (undeclared) Extra  [started " in picture.text()
    assert "n1 -.-> n0" in picture.mermaid()
    assert "n1 -> n0 [style=dashed];" in picture.dot()
    assert picture.nodes[0].started_at is not None
    assert picture.nodes[0].start_seconds is not None


def test_a_service_being_started_shows_that(workshop: Workshop) -> None:
    seen: list[str] = []
    service = workshop.service("Service", initialize=lambda: seen.append(str(graph(service))))
    start(service)
    assert seen == ["Service  [starting]"]


def test_without_arguments_every_service_is_drawn(workshop: Workshop) -> None:
    service = workshop.service("Service")
    assert service in graph().order
    assert BaseService not in graph().order


def test_a_ring_cannot_be_drawn_but_is_told(workshop: Workshop) -> None:
    a = workshop.service("A")
    b = workshop.service("B", a)
    requires(b)(a)
    with pytest.raises(CircularDependencyError, match="A -> B -> A"):
        graph(a)
    a._dependencies = set()  # so that graph() without arguments works for other tests


def test_a_chain_of_thousands_is_drawn_without_recursion() -> None:
    last: type[BaseService] | None = None
    for number in range(3000):
        made = type(f"S{number}", (BaseService,), {})
        last = requires(last)(made) if last is not None else made
    assert last is not None
    assert len(graph(last).text().splitlines()) == 3000
    del last, made
    gc.collect()  # three thousand classes would slow down whoever looks through all services


def draw(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "singleton_service", "graph", *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"},
        timeout=20,
        check=False,
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    package = tmp_path / "app"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "tasks.py").write_text(
        "from singleton_service import BaseService, requires\n"
        "class Config(BaseService): ...\n"
        "@requires(Config)\n"
        "class Queue(BaseService): ...\n"
    )
    return tmp_path


def test_the_command_prints_the_services_of_a_module(project: Path) -> None:
    done = draw("app.tasks", cwd=project)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["Queue  [not started]", "└── Config  [not started]"]
    assert draw("app.tasks:Queue", "--format", "mermaid", cwd=project).stdout.startswith("flowchart TD")
    assert draw("app.tasks", "--format", "dot", cwd=project).stdout.startswith("digraph services {")


@pytest.mark.parametrize(
    ("where", "complaint"),
    [
        ("app.nothing", "there is no module 'app.nothing'"),
        ("app", "has no service classes"),
        ("app.tasks:Missing", "app.tasks:Missing is not a service class"),
    ],
)
def test_the_command_says_in_one_line_what_it_cannot_draw(project: Path, where: str, complaint: str) -> None:
    done = draw(where, cwd=project)
    assert done.returncode in {1, 2}
    assert complaint in done.stderr
    assert len(done.stderr.splitlines()) == 1
