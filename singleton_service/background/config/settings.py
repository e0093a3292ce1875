"""Every setting there is: its name, default, range and meaning.

No pydantic here: with it a start would take two thirds as long again. It makes the model that applications get of these
same definitions, in model.py, and has the last word on what is not plain.
"""

import re
from pathlib import Path
from typing import Any, Final, Literal, NoReturn, Self

from singleton_service.background.config.data_dir import default_data_dir
from singleton_service.background.config.redis_url import check_redis_url
from singleton_service.background.config.rules import RuleError
from singleton_service.background.config.setting import Setting, setting

__all__ = ["SETTINGS", "PlainSettings"]

_CENTURY_S: Final = 3_155_760_000
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")


def _usable_url(value: str) -> str | None:
    return check_redis_url(value) if value.strip() else None


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise RuleError(
            "a namespace is 1 to 64 letters, digits, _ . or -, and does not begin with . or -",
            "Choose such a name, like 'shop' or 'shop-staging'.",
        )
    return value


def _absolute(value: Path) -> Path:
    if "\0" in str(value):
        raise RuleError("a path has no zero byte in it", "Write the path of a directory.")
    try:
        return value.expanduser().absolute()
    except RuntimeError:
        raise RuleError("the home directory named by ~ is not known", "Write the path out.") from None


class PlainSettings:
    """The settings of one process: those that are given, and the defaults of the others. Frozen.

    What is given is not checked here: `load_settings` does that.
    """

    redis_url: str | None = setting(
        None,
        check=_usable_url,
        meaning="Address of the Redis or Valkey server to use. Unset: an embedded server, shared by "
        "all programs with the same data directory.",
    )
    namespace: str = setting(
        "tasks",
        check=_name,
        meaning="First part of every key, so that two projects on one server keep apart.",
    )
    data_dir: Path | None = setting(
        None,
        check=_absolute,
        meaning="Directory of the embedded server's data. Unset: a private one for this project, "
        "in `$XDG_DATA_HOME/singleton-service`.",
    )
    embedded_fsync: Literal["always", "no", "everysec"] = setting(
        "no",
        meaning="When the embedded server forces its file to disk. With `no` and `always` it writes "
        "before it answers, so its own death loses nothing; only `always` survives a power cut.",
    )
    durability: Literal["memory", "disk", "replica"] = setting(
        "memory",
        meaning="How safe a task is before its enqueue returns: with the server, on its disk, or with replicas. "
        "With `disk` the embedded server forces its file to disk, too.",
    )
    durability_replicas: int = setting(
        1,
        at_least=1,
        at_most=100,
        meaning="How many replicas must have a task that is enqueued with durability `replica`.",
    )
    durability_timeout_seconds: float = setting(
        5,
        at_least=0.01,
        at_most=300,
        meaning="How long an enqueue waits for the disk or the replicas to confirm.",
    )
    lease_seconds: float = setting(
        5,
        at_least=2,
        at_most=300,
        meaning="How long a worker may be silent before its tasks go to another.",
    )
    unknown_task_seconds: float = setting(
        600,
        at_least=0,
        at_most=_CENTURY_S,
        meaning="How long a task waits for a worker that knows its handler before it fails.",
    )
    max_payload_bytes: int = setting(
        1_048_576,
        at_least=1,
        at_most=536_870_912,
        meaning="Largest payload of a task, as JSON.",
    )
    max_backlog: int = setting(
        0,
        at_least=0,
        at_most=1_000_000_000,
        meaning="How many tasks that have not started a queue may hold before it refuses more; 0: any number.",
    )
    result_ttl_seconds: float = setting(
        86_400,
        at_least=0,
        at_most=_CENTURY_S,
        meaning="How long the results of finished tasks are kept.",
    )
    max_results: int = setting(
        100_000,
        at_least=0,
        at_most=1_000_000_000,
        meaning="How many results a queue keeps; the oldest go first.",
    )
    failed_ttl_seconds: float = setting(
        2_592_000,
        at_least=0,
        at_most=_CENTURY_S,
        meaning="How long failed tasks are kept to be looked at and retried.",
    )
    max_failed: int = setting(
        100_000,
        at_least=0,
        at_most=1_000_000_000,
        meaning="How many failed tasks a queue keeps; the oldest go first.",
    )
    retry_base_seconds: float = setting(
        60,
        at_least=0,
        at_most=_CENTURY_S,
        meaning="The n-th retry waits this times 2 to the power n, where the task says nothing else.",
    )
    retry_cap_seconds: float = setting(
        3600,
        at_least=0,
        at_most=_CENTURY_S,
        meaning="Longest wait before a retry, where the task says nothing else.",
    )
    interrupt_grace_seconds: float = setting(
        5,
        at_least=0,
        at_most=_CENTURY_S,
        meaning="How long a handler may take to end once it is interrupted, by its time limit or a cancel. "
        "Then its process is killed, or it is given up: another thread takes its place, and what comes of it is "
        "refused.",
    )
    service_check_seconds: float = setting(
        5,
        at_least=0.1,
        at_most=3600,
        meaning="How often a worker asks the services that its handlers require whether they still answer. "
        "After a failed attempt it asks at once.",
    )
    shutdown_seconds: float = setting(
        30,
        at_least=0,
        at_most=_CENTURY_S,
        meaning="How long running tasks have to end when their worker is told to stop, unless the call that stops "
        "it says otherwise. Then they are cut off, and run again elsewhere.",
    )
    async_concurrency: int = setting(
        100,
        at_least=1,
        at_most=10_000,
        meaning="How many coroutines run at once in a worker process, beside its threads.",
    )
    processes: int = setting(
        0,
        at_least=0,
        at_most=1000,
        meaning='How many processes a worker process has at most for tasks with `execution="process"`, each with '
        "one task at a time; they start when they are needed. 0: as many as there are processors.",
    )
    blocked_loop_seconds: float = setting(
        1,
        at_least=0.01,
        at_most=_CENTURY_S,
        meaning="A coroutine that holds up the event loop for longer is reported, with the line where it stands.",
    )
    stall_seconds: float = setting(
        30,
        at_least=0,
        at_most=_CENTURY_S,
        meaning="How long a worker's fetch loop may stand still before its health is told as not live. After twice "
        "that a process that is there for its workers alone ends itself, with status 70. 0: for ever.",
    )
    health_file: Path | None = setting(
        None,
        check=_absolute,
        meaning="A file that workers write every second while their fetch loop goes round; how old it is tells "
        "whether it does. Unset: none.",
    )
    health_port: int | None = setting(
        None,
        at_least=0,
        at_most=65_535,
        meaning="Where workers answer GET `/health/live` and `/health/ready`; 0: any free port. Unset: nowhere.",
    )
    health_host: str = setting(
        "127.0.0.1",
        meaning="The address at which `TASKS_HEALTH_PORT` is answered; `0.0.0.0`: all of this machine's.",
    )
    sample_handlers: bool = setting(
        True,
        meaning="Whether workers of a process that registered nothing bring sample handlers.",
    )
    scheduler_cleanup: bool = setting(
        True,
        meaning="Whether a started scheduler cleans up finished tasks daily at 02:00.",
    )
    scheduler_health_check: bool = setting(
        True,
        meaning="Whether a started scheduler enqueues a `health_check` task every 5 minutes.",
    )

    def __init__(self, **given: Any) -> None:
        vars(self).update(given)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        """Refuse it, as the model does."""
        raise AttributeError(f"settings are frozen: {name} can't be set to {value!r}")

    @classmethod
    def of(cls, settings: object) -> Self:
        """Return the values of *settings*, a model or what stands in for one; what that has not is at its default."""
        return cls(**{name: getattr(settings, name) for name in SETTINGS if hasattr(settings, name)})

    def but(self, **given: Any) -> Self:
        """Return the same, but for what is given here."""
        return type(self)(**vars(self) | given)

    def resolved_data_dir(self) -> Path:
        """Return `data_dir`, or the one of the project around the working directory.

        Raises:
            RuntimeError: `data_dir` is unset and this user has no home directory.
        """
        return self.data_dir if self.data_dir is not None else default_data_dir(Path.cwd())


SETTINGS: Final = {name: each for name, each in vars(PlainSettings).items() if isinstance(each, Setting)}
"""Each setting by its name, in the order of the reference."""
