"""The fixture task_queue in suites of users: what it leaves alone, what it refuses, what it costs, what is left."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.users_pytest import Suite

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def suite() -> Iterator[Suite]:
    # A short path: sockets take 100 bytes.
    with tempfile.TemporaryDirectory(prefix="kit-") as directory:
        yield Suite(Path(directory))


def test_handlers_of_a_test_go_with_it_and_those_of_modules_stay(suite: Suite) -> None:
    suite.write(
        "jobs.py",
        """
        from services.task_queue import task

        @task
        def of_a_module() -> str:
            return "module"
        """,
    )
    suite.write(
        "test_handlers.py",
        """
        import pytest
        from services.task_queue import TaskHandler, TaskQueueService, task

        handlers = TaskQueueService._task_handlers

        @task
        def of_this_module() -> str:
            return "here"

        @pytest.mark.parametrize("turn", [1, 2])
        def test_imported_and_defined(task_queue, turn) -> None:
            import jobs

            assert set(handlers) == {"of_a_module", "of_this_module"} if turn == 2 else {"of_this_module"}

            @task
            def of_a_test() -> None: ...

            class OfATest(TaskHandler):
                @classmethod
                def perform(cls) -> None: ...

            TaskQueueService.register_handler("len", len)
            TaskQueueService.register_handler("of_this_module", lambda payload: "another")
            handle = of_this_module.enqueue()
            task_queue.drain()
            assert handle.result == "another"

        def test_gone(task_queue) -> None:
            assert set(handlers) == {"of_a_module", "of_this_module"}
            handle = of_this_module.enqueue()
            task_queue.drain()
            assert handle.result == "here"
        """,
    )
    suite.assert_passes(3)


def test_no_test_reaches_the_server_of_the_application(suite: Suite) -> None:
    suite.write(".env", "REDIS_URL=redis://production.invalid:6379/0\nTASKS_NAMESPACE=production\n")
    suite.variables = {"TASKS_DATA_DIR": "/nonexistent"}
    suite.write(
        "test_server.py",
        """
        import os, subprocess, sys
        from services.config import ConfigService, Settings
        from services.task_queue import TaskQueueService
        from singleton_service import BaseService, guarded, stop
        import pytest

        def url() -> str:
            assert TaskQueueService.enqueue_task("job").startswith("default.")
            return TaskQueueService.server_url()

        def test_by_the_environment(task_queue, monkeypatch) -> None:
            assert url().startswith("unix:")
            monkeypatch.setenv("REDIS_URL", "redis://production.invalid:6379/0")
            stop()
            assert url().startswith("unix:")
            assert len(TaskQueueService.list_tasks().tasks) == 2

        def test_by_settings_of_its_own(task_queue, services) -> None:
            class Config(BaseService):
                @classmethod
                @guarded
                def get_config(cls) -> Settings:
                    return Settings(redis_url="redis://production.invalid:6379/0", max_backlog=7)

            services.override(ConfigService, Config)
            assert url().startswith("unix:")
            assert TaskQueueService._open_client().limits.max_backlog == 7

        def test_by_processes_it_starts(task_queue) -> None:
            program = "from services.task_queue import TaskQueueService as q; print(q.enqueue_task('theirs'))"
            printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
            assert TaskQueueService.get_task_status(printed.stdout.strip()).name == "theirs"

        def test_afterwards_all_is_as_it_was() -> None:
            assert "REDIS_URL" not in os.environ
            assert "TASKS_NAMESPACE" not in os.environ
            assert ConfigService.get_config().namespace == "production"
        """,
    )
    suite.assert_passes(4)


def test_a_queue_that_was_started_before_is_refused_with_the_way_out(suite: Suite) -> None:
    suite.write(
        "test_order.py",
        """
        import pytest
        from services.task_queue import TaskQueueService

        @pytest.fixture
        def client():
            TaskQueueService.server_url()

        def test_in_the_wrong_order(client, task_queue) -> None: ...
        """,
    )
    suite.variables = {"TASKS_DATA_DIR": str(suite.folder / "data")}
    printed = suite.run()
    assert "TaskQueueService was started before the fixture task_queue" in printed
    assert "def client(task_queue): ..." in printed


def test_what_a_test_leaves_half_done_is_not_the_next_ones(suite: Suite) -> None:
    suite.write(
        "test_leftovers.py",
        """
        import threading
        import pytest
        from services.scheduler import SchedulerService
        from services.task_queue import TaskQueueService
        from services.worker import WorkerService

        KEYS = []

        def threads() -> list[str]:
            # The container's own, for hooks of services, ends a moment after them.
            return [each.name for each in threading.enumerate() if each.name != "singleton-service-shutdown"]

        @pytest.fixture(autouse=True)
        def nothing_is_left(_task_queue_server):
            yield
            KEYS.append(_task_queue_server._call(b"DBSIZE"))

        @pytest.mark.parametrize("turn", range(2))
        def test_it_stops_in_the_middle(task_queue, turn) -> None:
            assert KEYS == [0] * turn
            assert threads() == ["MainThread"]
            assert TaskQueueService.get_queue_stats()["tasks_queued"] == 0
            TaskQueueService.register_handler("wait", lambda payload: task_queue.clock.move(days=3))
            for delay_s in (0, 60, 86_400):
                TaskQueueService.enqueue_task("wait", {}, delay_seconds=delay_s)
            task_queue.drain()
            TaskQueueService.stop_accepting_tasks()
            WorkerService.start_workers(2)
            SchedulerService.start_scheduler()
            TaskQueueService.get_next_task(timeout=0, queues="other")

        @pytest.mark.shares_services
        def test_it_shares_services(task_queue) -> None:
            assert threads() == ["MainThread"]
            TaskQueueService.enqueue_task("wait")

        def test_the_last_one(task_queue) -> None:
            assert KEYS == [0] * 3
        """,
    )
    suite.assert_passes(4)


def test_with_xdist_each_process_has_a_server_and_nothing_is_left_of_any(suite: Suite) -> None:
    suite.write(
        "test_many.py",
        """
        import pytest
        from services.task_queue import task

        @task
        def double(n: int) -> int:
            return 2 * n

        @pytest.mark.parametrize("n", range(12))
        def test_one(task_queue, n) -> None:
            handle = double.enqueue(n=n)
            assert len(task_queue.drain()) == 1
            assert handle.result == 2 * n
        """,
    )
    suite.assert_passes(12, "-p", "xdist", "-n", "3")


def test_suites_that_do_not_use_it_import_nothing_of_the_queue(suite: Suite) -> None:
    suite.write(
        "conftest.py",
        """
        import sys

        def pytest_sessionfinish():
            ours = [name for name in sys.modules if name.startswith("singleton_service.background")]
            assert set(ours) <= {"singleton_service.background", "singleton_service.background._pytest_plugin"}
            assert not {"redis", "pydantic", "schedule"} & set(sys.modules)
            print("nothing of it")
        """,
    )
    suite.write("test_plain.py", "def test_plain() -> None: ...\n")
    printed = suite.run("-s")
    assert "nothing of it" in printed, printed


def test_a_fixture_of_the_users_may_name_another_server(suite: Suite, redis_url: str) -> None:
    suite.variables = {"TEST_REDIS_URL": redis_url}
    suite.write(
        "conftest.py",
        """
        import os
        import pytest

        @pytest.fixture(scope="session")
        def task_queue_redis_url():
            return os.environ["TEST_REDIS_URL"]
        """,
    )
    suite.write(
        "test_there.py",
        """
        import os
        from services.task_queue import TaskQueueService

        def test_there(task_queue) -> None:
            assert TaskQueueService.server_url() == os.environ["TEST_REDIS_URL"]
            TaskQueueService.register_handler("job", lambda payload: "done")
            TaskQueueService.enqueue_task("job")
            task_queue.clock.move(days=1)
            assert [attempt.task.result for attempt in task_queue.drain()] == ["done"]
        """,
    )
    suite.assert_passes(1)

    suite.variables = {"TEST_REDIS_URL": "redis//typo"}
    assert "redis://localhost:6379/0" in suite.run()
