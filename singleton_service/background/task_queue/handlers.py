"""Which function does which task: the registry of this process."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from .checks import check_name
from .payloads import Form, form_of
from .policy import Policy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@dataclass(frozen=True, slots=True)
class Handler:
    """A function that does the tasks of one name."""

    name: str
    function: Callable[..., Any]
    policy: Policy = field(default_factory=Policy)
    origin: Literal["application", "sample", "built-in"] = "application"
    form: Form | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """See how the function takes its payload; None is as a dict."""
        object.__setattr__(self, "form", form_of(self.name, self.function) if callable(self.function) else None)

    def gather(self, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """Return the payload that a call of the function with these arguments means, not yet checked.

        Raises:
            TypeError: it does not take these arguments.
        """
        if self.form is not None:
            return self.form.gather(args, kwargs)
        if args:
            raise TypeError(f"task {self.name!r} takes a dict: pass what is in it by name, such as recipient='a@b.c'")
        return kwargs


class HandlerRegistry(dict[str, Handler]):
    """Handlers by task name. The last registration wins; the first real one removes the samples."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()

    def register(self, handler: Handler) -> None:
        """Add a handler."""
        check_name(handler.name)
        if not callable(handler.function):
            raise TypeError(
                f"handler for task {handler.name!r} is {handler.function!r}, which can't be called: "
                "pass a function that takes the payload"
            )
        with self._lock:
            if handler.origin == "application":
                for name in [name for name, known in self.items() if known.origin == "sample"]:
                    del self[name]
            self[handler.name] = handler

    @property
    def is_bare(self) -> bool:
        """Whether the application has registered nothing of its own."""
        return not any(handler.origin == "application" for handler in self.values())


registry = HandlerRegistry()
"""The handlers of this process."""
