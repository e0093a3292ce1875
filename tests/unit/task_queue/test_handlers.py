"""Which function does which task."""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
from typing import TYPE_CHECKING, Any

import pytest

from singleton_service.background.task_queue import TaskPriority, TaskQueueService, task
from singleton_service.background.task_queue.handlers import Handler
from singleton_service.background.task_queue.policy import Policy

if TYPE_CHECKING:
    from singleton_service.background.task_queue.handlers import HandlerRegistry


def one(payload: dict[str, Any]) -> str:
    """Do the one thing."""
    return f"one {payload}"


def two(payload: dict[str, Any]) -> str:
    return f"two {payload}"


def test_a_function_becomes_a_task_and_stays_a_function(handlers: HandlerRegistry) -> None:
    done = task(one)
    assert done({"a": 1}) == "one {'a': 1}"
    assert (done.name, getattr(done, "__name__", None), done.__doc__) == ("one", "one", "Do the one thing.")
    assert inspect.signature(done) == inspect.signature(one)
    assert repr(done) == "<task 'one'>"
    assert handlers["one"] == Handler("one", one)


def test_a_coroutine_function_becomes_a_task_and_can_be_awaited(handlers: HandlerRegistry) -> None:
    @task
    async def fetch(payload: dict[str, Any]) -> int:
        return len(payload)

    assert asyncio.run(fetch({"a": 1})) == 1


def test_the_policy_is_what_was_said(handlers: HandlerRegistry) -> None:
    task(name="other", max_retries=5, retry_delay_seconds=2, queue="low", priority=TaskPriority.HIGH)(one)
    assert handlers["other"].policy == Policy(
        max_retries=5, retry_delay_seconds=2, queue="low", priority=TaskPriority.HIGH
    )
    assert "one" not in handlers


def test_a_function_may_be_a_task_under_two_names(handlers: HandlerRegistry) -> None:
    both = task(name="second")(task(name="first")(one))
    assert both.name == "second"
    assert set(handlers) == {"first", "second"}
    assert both({}) == "one {}"


def test_two_functions_of_one_name_are_an_error_that_names_both(handlers: HandlerRegistry) -> None:
    task(name="job")(one)
    with pytest.raises(ValueError, match=r"test_handlers.one and .*test_handlers.two; give one .* another name"):
        task(name="job")(two)
    assert handlers["job"].function is one


def test_a_module_that_is_loaded_again_may_say_the_same_again(handlers: HandlerRegistry) -> None:
    for _ in range(2):

        @task
        def again(payload: dict[str, Any]) -> None:
            """Define the function anew, as a reload does."""

    assert handlers["again"].function.__doc__ is not None


@pytest.mark.parametrize(
    ("policy", "error"),
    [
        ({"max_retries": -1}, ValueError),
        ({"max_retries": "3"}, TypeError),
        ({"retry_delay_seconds": -1}, ValueError),
        ({"queue": "a b"}, ValueError),
        ({"priority": 7}, ValueError),
        ({"name": "a\nb"}, ValueError),
        ({"expires_in": 0}, ValueError),
        ({"unique_key": ""}, ValueError),
        ({"unique_key": 7}, TypeError),
        ({"retry_backoff": 0.5}, ValueError),
        ({"retry_backoff": float("nan")}, ValueError),
        ({"retry_backoff": "yes"}, TypeError),
        ({"retry_backoff_max": -1}, ValueError),
        ({"retry_jitter": 1.5}, ValueError),
        ({"retry_on": ValueError()}, TypeError),
        ({"retry_on": [ValueError]}, TypeError),
        ({"give_up_on": (ValueError, int)}, TypeError),
        ({"on_error": "later"}, TypeError),
        ({"execution": "fiber"}, ValueError),
        ({"batch": 1}, ValueError),
        ({"batch": 1001}, ValueError),
        ({"batch": "10"}, TypeError),
        ({"batch": True}, TypeError),
        ({"batch": 10, "wait": -1}, ValueError),
        ({"batch": 10, "wait": 61}, ValueError),
        ({"batch": 10, "wait": float("nan")}, ValueError),
        ({"batch": 10, "wait": "long"}, TypeError),
        ({"batch": 10, "wait": False}, TypeError),
        ({"wait": 1}, ValueError),
        ({"batch": 10, "execution": "process"}, ValueError),
    ],
)
def test_a_policy_no_task_could_follow_is_refused_at_once(
    handlers: HandlerRegistry, policy: dict[str, Any], error: type[Exception]
) -> None:
    decorate: Any = task
    with pytest.raises(error):
        decorate(**policy)(one)
    assert handlers == {}


def test_a_handler_runs_where_its_kind_of_function_belongs(handlers: HandlerRegistry) -> None:
    async def coroutine(payload: dict[str, Any]) -> None:
        """Await nothing."""

    def plainly(payload: dict[str, Any]) -> Any:
        return coroutine(payload)

    class Callable:
        async def __call__(self, payload: dict[str, Any]) -> None:
            """Await nothing."""

    assert Handler("x", one).kind == "thread"
    assert Handler("x", plainly).kind == "thread", "whatever it returns"
    assert Handler("x", coroutine).kind == "async"
    assert Handler("x", functools.partial(coroutine)).kind == "async"
    assert Handler("x", Callable()).kind == "async"
    assert Handler("x", one, Policy(execution="async")).kind == "async"
    with pytest.raises(ValueError, match=r"task 'coroutine' can't have execution='thread': .* asyncio\.run"):
        task(execution="thread")(coroutine)
    assert handlers == {}


def test_an_unknown_option_is_refused_with_the_nearest_known_one(handlers: HandlerRegistry) -> None:
    with pytest.raises(TypeError, match=r"no option 'retry_delay': did you mean 'retry_delay_seconds'"):
        task(retry_delay=5)(one)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match=r"no option 'colour': there are queue, priority"):
        TaskQueueService.register_handler("job", one, colour="red")  # type: ignore[call-arg]
    assert handlers == {}


def test_a_priority_given_as_a_number_is_one() -> None:
    assert Policy(priority=2).priority is TaskPriority.HIGH  # type: ignore[arg-type]


def test_the_last_registration_wins_with_a_warning(handlers: HandlerRegistry, caplog: pytest.LogCaptureFixture) -> None:
    TaskQueueService.register_handler("job", one)
    TaskQueueService.register_handler("job", one, max_retries=1)
    assert caplog.records == [], "the same function again is no surprise"
    TaskQueueService.register_handler("job", two)
    assert handlers["job"].function is two
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "'job' has a new handler" in record.getMessage()


def test_registering_starts_nothing(handlers: HandlerRegistry) -> None:
    TaskQueueService.register_handler("job", one)
    assert TaskQueueService._client is None


@pytest.mark.parametrize("handler", [None, "one", 7, {"a": one}])
def test_what_cant_be_called_is_refused(handlers: HandlerRegistry, handler: Any) -> None:
    with pytest.raises(TypeError, match="can't be called: pass a function"):
        TaskQueueService.register_handler("job", handler)
    assert handlers == {}


def test_the_first_real_handler_removes_the_samples(handlers: HandlerRegistry) -> None:
    handlers.register(Handler("health_check", two, origin="built-in"))
    for name in ("send_email", "process_image"):
        handlers.register(Handler(name, two, origin="sample"))
    assert handlers.is_bare
    TaskQueueService.register_handler("job", one)
    assert set(handlers) == {"health_check", "job"}
    assert not handlers.is_bare


def test_a_real_handler_may_have_the_name_of_a_sample(
    handlers: HandlerRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    handlers.register(Handler("send_email", two, origin="sample"))
    TaskQueueService.register_handler("send_email", one)
    assert handlers == {"send_email": Handler("send_email", one)}
    handlers.register(Handler("report", two, origin="sample"))
    task(name="report")(one)
    assert handlers["report"].function is one
    assert caplog.records == []
