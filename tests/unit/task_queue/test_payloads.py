"""Payloads with types: what a caller may pass, what is stored, what the handler gets."""

import functools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Union
from unittest.mock import Mock
from uuid import UUID

import pytest
from pydantic import BaseModel, ConfigDict, Field, computed_field, field_validator
from typing_extensions import TypedDict

from singleton_service.background.task_queue.checks import encode_payload
from singleton_service.background.task_queue.payloads import Form, form_of


class Colour(Enum):
    RED = "red"


class Mail(BaseModel):
    recipient: str
    subject: str = "Hi"
    sent_on: date | None = None

    @field_validator("recipient")
    @classmethod
    def is_an_address(cls, recipient: str) -> str:
        if "@" not in recipient:
            raise ValueError("there is no @ in it")
        return recipient


class Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")
    day: date
    to: str = Field(alias="recipient")

    @computed_field  # type: ignore[prop-decorator]
    @property
    def shown(self) -> str:
        return str(self.day)


@dataclass
class Point:
    x: int
    y: Decimal = Decimal("0.1")


class Row(TypedDict, total=False):
    id: UUID
    took: timedelta


class Unknown:
    pass


def typed(function: Callable[..., Any]) -> Form:
    form = form_of("job", function)
    assert form is not None
    return form


def travelled(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """What the handler returns for what the caller passed, over JSON and back."""
    form = typed(function)
    stored = json.loads(encode_payload(form.dump(form.gather(args, kwargs)), 10_000))
    given, named = form.load(stored)
    return function(*given, **named)


# Handlers that take any dict


class Handlers:
    @classmethod
    def method(cls, payload: dict[str, Any]) -> None: ...

    def __call__(self, payload: dict) -> None: ...  # type: ignore[type-arg]


def no_hints(payload, retries=3):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    return payload


def one_without_hint(x):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    return x


def text(payload: "dict[str, Any]") -> None: ...
def mapping(payload: Mapping[str, object], *, limit: int = 3) -> None: ...
def anything(payload: Any) -> None: ...


@pytest.mark.parametrize(
    "function",
    [
        no_hints,
        one_without_hint,
        text,
        mapping,
        anything,
        Handlers.method,
        Handlers(),
        functools.partial(lambda extra, payload: None, "bound"),
        lambda *args: None,
        lambda p: None,
        print,
        Mock(),
    ],
)
def test_a_handler_that_takes_a_dict_is_left_alone(function: Callable[..., Any]) -> None:
    assert form_of("job", function) is None


# Handlers that take one record


def take_mail(payload: Mail) -> Mail:
    return payload


def take_point(point: "Point") -> Point:
    return point


def take_row(row: Annotated[Row, "a row"]) -> Row:
    return row


def take_either(payload: Union[Mail, Point]) -> Any:  # noqa: UP007 - it is written so, too
    return payload


def take_numbers(payload: dict[str, int]) -> dict[str, int]:
    return payload


@pytest.mark.parametrize(
    ("function", "value"),
    [
        (take_mail, Mail(recipient="a@b", sent_on=date(2026, 1, 2))),
        (take_point, Point(3, Decimal("0.30"))),
        (take_row, {"id": UUID(int=7), "took": timedelta(hours=1)}),
        (take_either, Point(1)),
        (take_either, Mail(recipient="a@b")),
        (take_numbers, {"a": 1}),
    ],
)
def test_a_record_arrives_as_it_was_sent(function: Callable[..., Any], value: Any) -> None:
    assert travelled(function, value) == value


def test_a_record_may_be_given_by_its_fields_or_under_its_name() -> None:
    assert travelled(take_mail, recipient="a@b") == Mail(recipient="a@b")
    assert travelled(take_mail, payload=Mail(recipient="a@b")) == Mail(recipient="a@b")
    assert travelled(take_mail, {"recipient": "a@b"}) == Mail(recipient="a@b")
    assert travelled(take_point, x=1, y="2.5") == Point(1, Decimal("2.5"))
    assert travelled(take_numbers, payload={"a": 1}) == {"a": 1}


def test_a_strict_model_with_an_alias_and_a_computed_field_comes_back() -> None:
    def take(payload: Strict) -> Strict:
        return payload

    value = Strict(day=date(2026, 1, 2), recipient="a@b")
    assert travelled(take, value) == value


# Handlers that take arguments by name


def perform(day: date, /, colour: Colour, *, price: Decimal = Decimal(1), at: "datetime | None" = None) -> Any:
    return day, colour, price, at


def test_arguments_arrive_as_they_were_sent() -> None:
    day, at = date(2026, 1, 2), datetime(2026, 1, 2, 3, 4, 5).astimezone()
    assert travelled(perform, day, Colour.RED, price=Decimal("1.10"), at=at) == (day, Colour.RED, Decimal("1.10"), at)
    assert travelled(perform, day, colour="red") == (day, Colour.RED, Decimal(1), None), (
        "the defaults are the handler's"
    )
    assert travelled(perform, day="2026-01-02", colour=Colour.RED)[0] == day


def test_a_handler_may_take_nothing_or_whatever_is_given() -> None:
    assert travelled(lambda: "done") == "done"
    assert travelled(lambda **fields: fields, a=1, b=[2]) == {"a": 1, "b": [2]}
    assert travelled(lambda a, b=2: (a, b), 1) == (1, 2)


def test_what_is_said_in_annotations_holds() -> None:
    def resize(width: Annotated[int, Field(gt=0)]) -> int:
        return width

    assert travelled(resize, width=3) == 3
    with pytest.raises(ValueError, match=r"width: Input should be greater than 0 \(it is 0\)"):
        travelled(resize, width=0)


@pytest.mark.parametrize(
    ("kwargs", "says"),
    [
        ({"recipient": 1}, r"task 'job' .* recipient: Input should be a valid string \(it is 1\)"),
        ({"recipient": "b"}, r"recipient: Value error, there is no @ in it \(it is 'b'\)"),
        ({}, "recipient: it is missing"),
        ({"recipient": "a@b", "sent_on": "soon"}, r"sent_on: .*\(it is 'soon'\)"),
    ],
)
def test_a_bad_field_is_named_with_its_rule(kwargs: dict[str, Any], says: str) -> None:
    form = typed(take_mail)
    with pytest.raises(ValueError, match=says):
        form.dump(form.gather((), kwargs))
    with pytest.raises(ValueError, match=says):
        form.load(kwargs)


def test_a_bad_argument_is_named_with_its_rule() -> None:
    form = typed(perform)
    with pytest.raises(
        ValueError, match=r"day: it is missing; colour: Input should be 'red' .*; size: there is no such"
    ):
        form.dump({"colour": "blue", "size": 3})


def test_too_much_is_refused_as_a_function_would() -> None:
    form = typed(perform)
    with pytest.raises(TypeError, match="takes 2 arguments by position, 3 are given"):
        form.gather((1, 2, 3), {})
    with pytest.raises(TypeError, match="two values for 'colour'"):
        form.gather((1, 2), {"colour": 2})
    with pytest.raises(TypeError, match="takes one payload"):
        typed(take_mail).gather((1, 2), {})


def test_a_long_value_and_many_problems_are_cut_short() -> None:
    form = typed(take_numbers)
    with pytest.raises(ValueError, match="and 990 more") as caught:
        form.dump({f"n{n}": "x" * 1000 for n in range(1000)})
    assert len(str(caught.value)) < 3000


def test_a_model_that_was_changed_into_something_else_is_refused() -> None:
    mail = Mail(recipient="a@b")
    mail.sent_on = "soon"  # type: ignore[assignment]
    with pytest.raises(ValueError, match="has no JSON"):
        typed(take_mail).dump(mail)


def test_nothing_is_evaluated_before_it_is_needed() -> None:
    def early(later: "Later") -> Any:  # type: ignore[name-defined]  # noqa: F821
        return later

    form = typed(early)
    globals()["Later"] = Point
    try:
        assert form.load({"x": 1}) == ((Point(1),), {})
    finally:
        del globals()["Later"]


def test_a_handler_whose_types_cant_be_used_says_so() -> None:
    def nowhere(mail: "Nowhere") -> None: ...  # type: ignore[name-defined]  # noqa: F821
    def odd(thing: Unknown) -> None: ...

    for function in (nowhere, odd):
        with pytest.raises(
            TypeError, match=r"task 'job' can't tell what its handler takes: .* not under TYPE_CHECKING"
        ):
            typed(function).load({})


def test_a_dict_that_only_type_checkers_can_name_is_a_dict() -> None:
    def take(payload: "dict[str, Json]") -> Any:  # type: ignore[name-defined]  # noqa: F821
        return payload

    assert typed(take).load({"a": [1]}) == (({"a": [1]},), {})
    assert typed(take).dump({"a": [1]}) == {"a": [1]}
