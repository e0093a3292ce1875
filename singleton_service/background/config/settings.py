"""Every setting there is: its name, default, range and meaning."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from singleton_service.background.config.data_dir import default_data_dir
from singleton_service.background.config.masking import mask_url
from singleton_service.background.config.redis_url import check_redis_url
from singleton_service.background.config.rules import RuleError
from singleton_service.background.config.variables import read_variables, variable_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic.fields import FieldInfo

__all__ = ["Settings"]

_CENTURY_S: Final = 3_155_760_000
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")


class _Environment(PydanticBaseSettingsSource):
    """The environment and `.env`, under the names that `variable_name` gives."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002  the base class's signature
        variable = read_variables().get(variable_name(field_name))
        return (variable.value if variable else None), field_name, False

    def __call__(self) -> dict[str, Any]:
        variables = read_variables()
        names = {field: variable_name(field) for field in self.settings_cls.model_fields}
        return {field: variables[name].value for field, name in names.items() if name in variables}


class Settings(BaseSettings):
    """The settings of one process, read once from keyword arguments, the environment and `.env`.

    Frozen. `repr` and `str` mask passwords; `redis_url` itself is the real one.

    Raises:
        pydantic.ValidationError: A value breaks its rule; `load_settings` puts it in words.
    """

    model_config = SettingsConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=False)

    redis_url: str | None = Field(
        default=None,
        description="Address of the Redis or Valkey server to use. Unset: an embedded server, shared by "
        "all programs with the same data directory.",
    )
    namespace: str = Field(
        default="tasks",
        description="First part of every key, so that two projects on one server keep apart.",
    )
    data_dir: Path | None = Field(
        default=None,
        description="Directory of the embedded server's data. Unset: a private one for this project, "
        "in `$XDG_DATA_HOME/singleton-service`.",
    )
    embedded_fsync: Literal["always", "no", "everysec"] = Field(
        default="no",
        description="When the embedded server forces its file to disk. With `no` and `always` it writes "
        "before it answers, so its own death loses nothing; only `always` survives a power cut.",
    )
    durability: Literal["memory", "disk", "replica"] = Field(
        default="memory",
        description="How safe a task is before its enqueue returns: with the server, on its disk, or with replicas. "
        "With `disk` the embedded server forces its file to disk, too.",
    )
    durability_replicas: int = Field(
        default=1,
        ge=1,
        le=100,
        description="How many replicas must have a task that is enqueued with durability `replica`.",
    )
    durability_timeout_seconds: float = Field(
        default=5,
        ge=0.01,
        le=300,
        allow_inf_nan=False,
        description="How long an enqueue waits for the disk or the replicas to confirm.",
    )
    lease_seconds: float = Field(
        default=5,
        ge=2,
        le=300,
        allow_inf_nan=False,
        description="How long a worker may be silent before its tasks go to another.",
    )
    unknown_task_seconds: float = Field(
        default=600,
        ge=0,
        le=_CENTURY_S,
        allow_inf_nan=False,
        description="How long a task waits for a worker that knows its handler before it fails.",
    )
    max_payload_bytes: int = Field(
        default=1_048_576,
        ge=1,
        le=536_870_912,
        description="Largest payload of a task, as JSON.",
    )
    max_backlog: int = Field(
        default=0,
        ge=0,
        le=1_000_000_000,
        description="How many tasks that have not started a queue may hold before it refuses more; 0: any number.",
    )
    result_ttl_seconds: float = Field(
        default=86_400,
        ge=0,
        le=_CENTURY_S,
        allow_inf_nan=False,
        description="How long the results of finished tasks are kept.",
    )
    max_results: int = Field(
        default=100_000,
        ge=0,
        le=1_000_000_000,
        description="How many results a queue keeps; the oldest go first.",
    )
    failed_ttl_seconds: float = Field(
        default=2_592_000,
        ge=0,
        le=_CENTURY_S,
        allow_inf_nan=False,
        description="How long failed tasks are kept to be looked at and retried.",
    )
    max_failed: int = Field(
        default=100_000,
        ge=0,
        le=1_000_000_000,
        description="How many failed tasks a queue keeps; the oldest go first.",
    )
    retry_base_seconds: float = Field(
        default=60,
        ge=0,
        le=_CENTURY_S,
        allow_inf_nan=False,
        description="The n-th retry waits this times 2 to the power n, where the task says nothing else.",
    )
    retry_cap_seconds: float = Field(
        default=3600,
        ge=0,
        le=_CENTURY_S,
        allow_inf_nan=False,
        description="Longest wait before a retry, where the task says nothing else.",
    )
    interrupt_grace_seconds: float = Field(
        default=5,
        ge=0,
        le=_CENTURY_S,
        allow_inf_nan=False,
        description="How long a handler may take to end once it is interrupted, by its time limit or a cancel. "
        "Then its process is killed, or it is given up: another thread takes its place, and what comes of it is "
        "refused.",
    )
    service_check_seconds: float = Field(
        default=5,
        ge=0.1,
        le=3600,
        allow_inf_nan=False,
        description="How often a worker asks the services that its handlers require whether they still answer. "
        "After a failed attempt it asks at once.",
    )
    shutdown_seconds: float = Field(
        default=30,
        ge=0,
        le=_CENTURY_S,
        allow_inf_nan=False,
        description="How long running tasks have to end when their worker is told to stop, unless the call that stops "
        "it says otherwise. Then they are cut off, and run again elsewhere.",
    )
    async_concurrency: int = Field(
        default=100,
        ge=1,
        le=10_000,
        description="How many coroutines run at once in a worker process, beside its threads.",
    )
    processes: int = Field(
        default=0,
        ge=0,
        le=1000,
        description='How many processes a worker process has at most for tasks with `execution="process"`, each with '
        "one task at a time; they start when they are needed. 0: as many as there are processors.",
    )
    blocked_loop_seconds: float = Field(
        default=1,
        ge=0.01,
        le=_CENTURY_S,
        allow_inf_nan=False,
        description="A coroutine that holds up the event loop for longer is reported, with the line where it stands.",
    )
    stall_seconds: float = Field(
        default=30,
        ge=0,
        le=_CENTURY_S,
        allow_inf_nan=False,
        description="How long a worker's fetch loop may stand still before its health is told as not live. After twice "
        "that a process that is there for its workers alone ends itself, with status 70. 0: for ever.",
    )
    health_file: Path | None = Field(
        default=None,
        description="A file that workers write every second while their fetch loop goes round; how old it is tells "
        "whether it does. Unset: none.",
    )
    health_port: int | None = Field(
        default=None,
        ge=0,
        le=65_535,
        description="Where workers answer GET `/health/live` and `/health/ready`; 0: any free port. Unset: nowhere.",
    )
    health_host: str = Field(
        default="127.0.0.1",
        description="The address at which `TASKS_HEALTH_PORT` is answered; `0.0.0.0`: all of this machine's.",
    )
    sample_handlers: bool = Field(
        default=True,
        description="Whether workers of a process that registered nothing bring sample handlers.",
    )
    scheduler_cleanup: bool = Field(
        default=True,
        description="Whether a started scheduler cleans up finished tasks daily at 02:00.",
    )
    scheduler_health_check: bool = Field(
        default=True,
        description="Whether a started scheduler enqueues a `health_check` task every 5 minutes.",
    )

    @field_validator("redis_url")
    @classmethod
    def _redis_url_can_be_used(cls, value: str | None) -> str | None:
        return None if value is None or not value.strip() else check_redis_url(value)

    @field_validator("namespace")
    @classmethod
    def _namespace_is_a_name(cls, value: str) -> str:
        if not _NAME.fullmatch(value):
            raise RuleError(
                "a namespace is 1 to 64 letters, digits, _ . or -, and does not begin with . or -",
                "Choose such a name, like 'shop' or 'shop-staging'.",
            )
        return value

    @field_validator("data_dir", "health_file")
    @classmethod
    def _path_is_absolute(cls, value: Path | None) -> Path | None:
        if value is None:
            return None
        if "\0" in str(value):
            raise RuleError("a path has no zero byte in it", "Write the path of a directory.")
        try:
            return value.expanduser().absolute()
        except RuntimeError:
            raise RuleError("the home directory named by ~ is not known", "Write the path out.") from None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003  replaced by our own reader, which knows origins
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  the same
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003  not offered
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read arguments first, then the environment, then `.env`."""
        return init_settings, _Environment(settings_cls)

    def resolved_data_dir(self) -> Path:
        """Return `data_dir`, or the one of the project around the working directory.

        Raises:
            RuntimeError: `data_dir` is unset and this user has no home directory.
        """
        return self.data_dir if self.data_dir is not None else default_data_dir(Path.cwd())

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        for name, value in super().__repr_args__():
            yield name, mask_url(value) if name == "redis_url" and value else value
