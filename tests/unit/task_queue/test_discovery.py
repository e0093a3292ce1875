"""Finding the tasks of a package."""

from __future__ import annotations

import logging
import pickle
import sys
from typing import TYPE_CHECKING, Any

import pytest

from singleton_service.background.task_queue import DiscoveryError, TaskQueueService, discover

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from singleton_service.background.task_queue.handlers import HandlerRegistry

TASK = "from services.task_queue import task\n@task\ndef {name}(payload): ...\n"
CLASS = """
from services.task_queue import TaskHandler
class {name}(TaskHandler):
    @classmethod
    def perform(cls): ...
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, handlers: HandlerRegistry) -> Iterator[Any]:
    """Write modules of a package that is importable during the test."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(files: dict[str, str]) -> None:
        for name, text in files.items():
            path = tmp_path / "shop" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            (path.parent / "__init__.py").touch()
            path.write_text(text, encoding="utf-8")

    yield write
    for name in [name for name in sys.modules if name.partition(".")[0] == "shop"]:
        del sys.modules[name]


def test_all_modules_below_a_package_are_imported(
    write: Any, handlers: HandlerRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    write(
        {
            "mails.py": TASK.format(name="send_email"),
            "reports/nightly.py": CLASS.format(name="Nightly"),
            "reports/deep/er.py": TASK.format(name="deeper"),
            "nothing.py": "",
            "__main__.py": "raise RuntimeError('run, not imported')",
        }
    )
    assert discover("shop") == ["Nightly", "deeper", "send_email"]
    assert set(handlers) == {"Nightly", "deeper", "send_email"}
    assert "discovered 3 tasks in shop: Nightly, deeper, send_email" in caplog.text


def test_a_module_alone_may_be_named_and_what_was_imported_before_counts(write: Any, handlers: HandlerRegistry) -> None:
    write({"mails.py": TASK.format(name="send_email")})
    assert discover("shop.mails") == ["send_email"]
    handlers.clear()
    assert discover("shop") == ["send_email"]
    assert set(handlers) == {"send_email"}
    assert discover("shop") == ["send_email"]


def test_each_module_that_fails_is_told_and_the_others_are_imported(
    write: Any, handlers: HandlerRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    write(
        {
            "a_bad.py": "import no_such_module_anywhere",
            "b_worse.py": "def f(:",
            "c_exits.py": "raise SystemExit(3)",
            "d_package/__init__.py": "1 / 0",
            "good.py": TASK.format(name="send_email"),
        }
    )
    with pytest.raises(DiscoveryError) as caught:
        discover("shop")
    failures = caught.value.failures
    assert list(failures) == ["shop.a_bad", "shop.b_worse", "shop.c_exits", "shop.d_package"]
    assert failures["shop.a_bad"].startswith("ModuleNotFoundError: No module named 'no_such_module_anywhere'")
    assert failures["shop.d_package"] == "ZeroDivisionError: division by zero"
    assert set(handlers) == {"send_email"}
    assert str(caught.value).startswith("4 modules of 'shop' can't be used, the others are registered:\n- shop.a_bad: ")
    assert [record.exc_info is not None for record in caplog.records if "can't be used" in record.message] == [True] * 4
    assert pickle.loads(pickle.dumps(caught.value)).failures == failures


def test_two_tasks_of_one_name_are_an_error(write: Any, handlers: HandlerRegistry) -> None:
    write({"one.py": TASK.format(name="send"), "two.py": "\n" + TASK.format(name="send")})
    with pytest.raises(DiscoveryError, match=r"- shop.two: ValueError: two functions are called task 'send'"):
        discover("shop")
    write({"one.py": TASK.format(name="send"), "two.py": ""})
    for name in ("shop", "shop.one", "shop.two"):
        sys.modules.pop(name, None)
    TaskQueueService.register_handler("send", print)
    with pytest.raises(DiscoveryError, match=r"- shop.one: ValueError: two functions are called task 'send'"):
        discover("shop")


def test_a_package_that_is_not_there_is_told(handlers: HandlerRegistry) -> None:
    with pytest.raises(DiscoveryError, match="no_such_shop: ModuleNotFoundError"):
        discover("no_such_shop")
    with pytest.raises(TypeError, match=r"must be a name such as 'app\.tasks'"):
        discover(sys)  # type: ignore[arg-type]
