"""The frame of the command line: its help, its errors, its exit codes; no server is needed."""

from __future__ import annotations

import importlib
import json
import os
import pickle
import re
import signal
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

from singleton_service.background.cli import command_line
from singleton_service.background.cli.commands import SECTIONS, SERVING, Family, LazyGroup, Verb
from singleton_service.background.cli.foreseen import foreseen
from singleton_service.background.cli.main import root, run
from singleton_service.background.cli.problems import CommandError, ExitCode
from singleton_service.background.config import ConfigError
from singleton_service.background.config.errors import ConfigProblem
from singleton_service.background.engine import EngineError
from singleton_service.background.task_queue import QueueUnavailableError, TaskNotFoundError
from singleton_service.exceptions import ServiceInitializationError

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]
COMMAND = [sys.executable, "-m", "singleton_service"]


def environment(**variables: str) -> dict[str, str]:
    # Unbuffered, Python takes a write that was cut short for a whole one.
    left_out = ("TASKS_", "REDIS_", "PYTHONUNBUFFERED")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
    return {**kept, "PYTHONPATH": str(ROOT), **variables}


def call(*arguments: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=environment(**variables),
        timeout=30,
        check=False,
    )


def verbs() -> Iterator[tuple[str, Verb]]:
    for commands in SECTIONS.values():
        for name, known in commands.items():
            if isinstance(known, Family):
                yield from ((f"{name} {verb}", found) for verb, found in known.verbs.items())
            else:
                yield name, known


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "__init__.py").touch()
    (tmp_path / "app" / "jobs.py").write_text("from singleton_service import BaseService\nclass A(BaseService): ...\n")
    (tmp_path / "app" / "broken.py").write_text("import json\n\njson.loads('{')\n")
    (tmp_path / "app" / "leaning.py").write_text("import a_library_that_is_not_installed\n")
    return tmp_path


def test_the_help_lists_every_command_and_imports_none(tmp_path: Path) -> None:
    source = (
        "import sys; from singleton_service.background.cli import command_line; command_line(['--help']);"
        "print('MODULES', *(name for name in sys.modules if name.startswith('singleton_service.background.cli')"
        " or name in {'redis', 'pydantic', 'rich', 'asyncio', 'logging', 'json'}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", source],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment(),
        timeout=30,
        check=True,
    )

    said, _, modules = done.stdout.partition("MODULES")
    ours = "singleton_service.background.cli"
    assert set(modules.split()) == {ours, f"{ours}.commands", f"{ours}.main", f"{ours}.problems"}
    for commands in SECTIONS.values():
        for name, known in commands.items():
            assert re.search(rf"^  {name} +{re.escape(known.help.split()[0])}", said, re.MULTILINE), name


@pytest.mark.parametrize(("name", "verb"), list(verbs()))
def test_each_line_of_the_help_is_what_the_command_says_itself(name: str, verb: Verb) -> None:
    context = click.Context(root)
    group: click.Command | None = root
    for word in name.split():
        assert isinstance(group, LazyGroup)
        group = group.get_command(context, word)
    assert group is not None
    assert (group.help or "").partition("\n")[0] == verb.help
    # Those that serve print no data.
    assert (name in SERVING) != any("--json" in option.opts for option in group.params)


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_a_call_without_a_command_is_one_for_help(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == ExitCode.OK

    assert capsys.readouterr().out.startswith("Usage: singleton-service [OPTIONS] COMMAND")


def test_a_mistyped_command_is_told_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["grahp"]) == ExitCode.USAGE

    assert capsys.readouterr().err == (
        "Error: there is no command 'grahp': did you mean 'graph'?\n  try: singleton-service graph\n"
    )


def test_a_wrong_call_is_told_in_our_way(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["graph"]) == ExitCode.USAGE

    assert capsys.readouterr().err == (
        "Error: Missing argument 'MODULE[:SERVICE]...'\n  try: singleton-service graph --help\n"
    )


def test_the_version_is_the_installed_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == ExitCode.OK

    assert re.fullmatch(r"singleton-service \d+\.\d+\S*\n", capsys.readouterr().out)


def test_without_click_one_line_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text("raise ModuleNotFoundError('no click here', name='click')")

    done = call("--help", cwd=tmp_path)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == 'singleton-service: the command line needs click: pip install "singleton-service[cli]"\n'


@pytest.mark.parametrize(
    ("where", "complaint"),
    [
        ("app.jbos", "there is no module 'app.jbos' (looked in FOLDER): did you mean 'app.jobs'?"),
        ("ap.jobs", "there is no module 'ap.jobs' (looked in FOLDER): did you mean 'app.jobs'?"),
        ("elsewhere", "there is no module 'elsewhere' (looked in FOLDER): go where your program runs, or"),
        ("app/jbos.py", "there is no file 'app/jbos.py' in FOLDER"),
        ("../outside.py", "'../outside.py' is not below the working directory FOLDER: go where your program runs"),
        ("two words", "'two words' is no module: name one as 'app.tasks' or 'app/tasks.py'"),
    ],
)
def test_a_module_that_is_not_there_is_one_line(project: Path, where: str, complaint: str) -> None:
    (project.parent / "outside.py").touch()

    done = call("graph", where, cwd=project)

    assert done.returncode == ExitCode.USAGE
    assert done.stderr.startswith(f"Error: {complaint.replace('FOLDER', str(project))}")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("where", ["app.jobs", "app/jobs.py", "app.jobs:A"])
def test_a_module_has_two_names(project: Path, where: str) -> None:
    assert call("graph", where, cwd=project).stdout == "A  [not started]\n"


@pytest.mark.parametrize(
    ("where", "last_line"),
    [
        ("app.broken", "json.decoder.JSONDecodeError: Expecting property name enclosed in double quotes"),
        ("app.leaning", "ModuleNotFoundError: No module named 'a_library_that_is_not_installed'"),
    ],
)
def test_a_module_that_fails_shows_its_own_traceback(project: Path, where: str, last_line: str) -> None:
    done = call("graph", where, cwd=project)

    assert done.returncode == ExitCode.FAILED
    traceback, _, told = done.stderr.partition(f"\nError: module {where!r} can't be imported\n  why: ")
    assert told.startswith(last_line.removeprefix("json.decoder."))
    assert traceback.splitlines()[-1].startswith(last_line)
    assert f'File "{project}/{where.replace(".", "/")}.py"' in traceback
    assert "importlib" not in traceback
    assert "background/cli" not in traceback


def test_a_package_shows_every_module_of_it_that_fails(project: Path) -> None:
    done = call("enqueue", "x", "--module", "app", cwd=project)

    assert (done.returncode, done.stdout) == (ExitCode.FAILED, "")
    for module, said in (("broken", "json.decoder.JSONDecodeError"), ("leaning", "ModuleNotFoundError")):
        assert f"error: discover: module app.{module} can't be used\nTraceback" in done.stderr
        assert f'File "{project}/app/{module}.py"' in done.stderr
        assert f"\n{said}: " in done.stderr
    assert "importlib" not in done.stderr
    *_, what, why, fix = done.stderr.splitlines()
    assert what == "Error: 2 of the modules of 'app' can't be used"
    assert why.startswith("  why: app.broken: JSONDecodeError: ")
    assert fix == "  try: Mend them: the tracebacks above say where."


def test_the_installed_command_is_this_one() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    module, _, name = project["scripts"]["singleton-service"].partition(":")

    assert getattr(importlib.import_module(module), name) is command_line
    assert {"click", "rich"} <= {re.split(r"\W", wanted)[0] for wanted in project["optional-dependencies"]["cli"]}


def test_a_graph_is_json_too(project: Path) -> None:
    done = call("graph", "app.jobs", "--json", cwd=project)

    assert json.loads(done.stdout) == {"services": [{"name": "A", "module": "app.jobs", "level": 0, "requires": []}]}


def test_a_reader_that_has_seen_enough_is_no_error(project: Path) -> None:
    (project / "many.py").write_text(
        "from singleton_service import BaseService\n"
        "for number in range(3000):\n    globals()[f'S{number}'] = type(f'S{number:060}', (BaseService,), {})\n"
    )
    ends = project / "ends"

    done = subprocess.run(
        ["bash", "-c", f'"$@" | head -n 1; echo ${{PIPESTATUS[0]}} > {ends}', "bash", *COMMAND, "graph", "many"],
        capture_output=True,
        text=True,
        cwd=project,
        env=environment(),
        timeout=30,
        check=False,
    )

    assert (len(done.stdout.splitlines()), done.stderr) == (1, "")
    assert int(ends.read_text()) == ExitCode.PIPE_CLOSED


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        (
            '"$@" graph app.jobs > /dev/full',
            1,
            "Error: what was to be printed can't be written\n  why: No space left on",
        ),
        ('"$@" graph app.jobs >&-', 0, ""),
        ('"$@" graph app.jobs <&- 2>&- >&-', 0, ""),
        ('PYTHONIOENCODING=ascii "$@" graph app.tree; exit $?', 0, ""),
        ('mkdir gone; cd gone; rmdir ../gone; "$@" config show', 1, "Error: the working directory is gone\n"),
    ],
)
def test_wherever_its_output_goes_there_is_no_traceback(project: Path, line: str, code: int, said: str) -> None:
    (project / "app" / "tree.py").write_text(
        "from singleton_service import BaseService, requires\nclass A(BaseService): ...\n"
        "@requires(A)\nclass Ä(BaseService): ...\n"
    )
    done = subprocess.run(
        ["bash", "-c", line, "bash", *COMMAND],
        capture_output=True,
        text=True,
        cwd=project,
        env=environment(),
        timeout=30,
        check=False,
    )

    assert done.returncode == code, done.stderr
    assert done.stderr.startswith(said)
    assert "Traceback" not in done.stderr
    assert not done.stdout or done.stdout == "\\xc4  [not started]\n\\u2514\\u2500\\u2500 A  [not started]\n"


def test_ctrl_c_ends_it_without_a_traceback(project: Path) -> None:
    (project / "slow.py").write_text("import sys, time\nprint('here', flush=True)\ntime.sleep(60)\n")
    process = subprocess.Popen(
        [*COMMAND, "graph", "slow"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=project,
        env=environment(),
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "here\n"

    process.send_signal(signal.SIGINT)

    assert process.communicate(timeout=30)[1] == "\n"
    assert process.returncode == ExitCode.INTERRUPTED


def test_shells_can_complete_it(tmp_path: Path) -> None:
    done = call(cwd=tmp_path, _SINGLETON_SERVICE_COMPLETE="bash_source")

    assert done.returncode == ExitCode.OK
    assert "complete -o nosort -F _singleton_service_completion singleton-service" in done.stdout


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (
            QueueUnavailableError("redis://:secret@db:6379/0", "connection refused"),
            ExitCode.UNREACHABLE,
            ("redis://:***@db:6379/0 is not available", "connection refused", "Check that it runs"),
        ),
        (
            QueueUnavailableError("redis://db:6379/0", "Authentication required"),
            ExitCode.UNREACHABLE,
            ("redis://db:6379/0 is not available", "Authentication required", "redis://USER:PASSWORD@HOST:6379/0"),
        ),
        (
            EngineError("the data directory belongs to another user", "/data", "Set TASKS_DATA_DIR.", "one\ntwo"),
            ExitCode.UNREACHABLE,
            ("belongs to another user", "/data: two", "Set TASKS_DATA_DIR."),
        ),
        (
            ConfigError((ConfigProblem("TASKS_X", "9", "must be less", "Change it."),)),
            ExitCode.USAGE,
            ("the setting TASKS_X='9' can't be used", "must be less", "Change it."),
        ),
        (TaskNotFoundError("default.1"), ExitCode.NOT_FOUND, ("no task 'default.1'", "kept for its time", "list")),
    ],
)
def test_foreseen_errors_say_what_why_and_what_to_try(
    error: Exception, code: ExitCode, told: tuple[str, str, str]
) -> None:
    start = ServiceInitializationError("TaskQueueService", (), "it failed")
    start.__cause__ = error
    for raised in (error, start):
        found = foreseen(raised)
        assert found is not None
        assert found.code == code
        for part, words in zip((found.what, found.why, found.fix), told, strict=True):
            assert words in part
            assert "\n" not in part
            assert "secret" not in part


def test_an_error_that_nobody_thought_of_keeps_its_traceback() -> None:
    assert foreseen(ZeroDivisionError()) is None


def test_an_error_of_a_command_survives_pickling() -> None:
    error = CommandError("what", "why", "fix", code=ExitCode.NOT_FOUND, detail="more")

    copy = pickle.loads(pickle.dumps(error))

    assert (copy.what, copy.why, copy.fix, copy.code, copy.detail) == ("what", "why", "fix", 4, "more")
    assert str(copy) == "what. why. fix"
