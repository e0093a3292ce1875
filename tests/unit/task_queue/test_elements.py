"""What a handler of batches takes: one payload of its list, at the caller and before it is called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel
from typing_extensions import TypedDict

from singleton_service.background.task_queue.elements import ElementForm, element_form_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any as Whatever


class Model(BaseModel):
    n: int


@dataclass
class Record:
    n: int


class Typed(TypedDict):
    n: int


def models(payloads: list[Model]) -> None: ...
def records(payloads: list[Record], log: str = "") -> None: ...
def typed(payloads: list[Typed]) -> None: ...
def either(payloads: list[Model | Record]) -> None: ...


def plain(payloads) -> None: ...  # type: ignore[no-untyped-def]  # noqa: ANN001 - that is what is tested
def bare(payloads: list) -> None: ...  # type: ignore[type-arg]
def dicts(payloads: list[dict[str, Any]]) -> None: ...
def hidden(payloads: Sequence[dict[str, Whatever]]) -> None: ...
def anything(payloads: Any) -> None: ...


def form_of(function: Callable[..., Any]) -> ElementForm:
    form = element_form_of("job", function)
    assert form is not None
    return form


@pytest.mark.parametrize("function", [models, records, typed, either])
def test_each_payload_is_checked_and_converted_as_an_element(function: Callable[..., Any]) -> None:
    form = form_of(function)
    assert form.dump({"n": "5"}) == {"n": 5}
    with pytest.raises(ValueError, match=r"payload of task 'job' .*n: "):
        form.dump({"n": "five"})
    ((value,), named) = form.load({"n": 5})
    assert (value["n"] if isinstance(value, dict) else value.n, named) == (5, {})
    with pytest.raises(ValueError, match="n: "):
        form.load({})


@pytest.mark.parametrize("function", [plain, bare, dicts, hidden, anything])
def test_dicts_are_taken_as_they_are(function: Callable[..., Any]) -> None:
    form = form_of(function)
    assert form.dump({"n": "five"}) == {"n": "five"}
    assert form.load({"payloads": 1}) == (({"payloads": 1},), {})


def test_a_payload_comes_alone_or_by_the_names_of_its_fields() -> None:
    form = form_of(models)
    assert form.gather((Model(n=1),), {}) == Model(n=1)
    assert form.gather((), {"n": 1}) == {"n": 1}
    assert form_of(dicts).gather((), {"payloads": 1}) == {"payloads": 1}, "a field, whatever the argument is called"
    for args, named in (((1, 2), {}), ((1,), {"n": 1})):
        with pytest.raises(TypeError, match="takes one payload"):
            form.gather(args, named)


def nothing() -> None: ...
def two(payloads: list[Model], more: int) -> None: ...
def by_name(*, payloads: list[Model]) -> None: ...


@pytest.mark.parametrize("function", [nothing, two, by_name])
def test_one_that_does_not_take_one_list_is_refused_at_once(function: Callable[..., Any]) -> None:
    with pytest.raises(TypeError, match=r"task 'job' is done in batches, so its function has to take one argument"):
        element_form_of("job", function)


def numbers(payloads: list[int]) -> None: ...
def one(payload: Model) -> None: ...


@pytest.mark.parametrize(("function", "why"), [(numbers, "not of <class 'int'>"), (one, "list of payloads, such as")])
def test_what_is_no_list_of_records_is_refused_when_it_is_used(function: Callable[..., Any], why: str) -> None:
    with pytest.raises(TypeError, match=why):
        form_of(function).dump({})
