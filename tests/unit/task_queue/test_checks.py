"""What arguments may be, at the very edge of it."""

from __future__ import annotations

import math
from collections import OrderedDict
from datetime import UTC, datetime, timedelta, timezone
from types import MappingProxyType
from typing import Any

import pytest

from singleton_service.background.task_queue import checks
from singleton_service.background.task_queue.records import TaskPriority


@pytest.mark.parametrize("name", ["a", "send_email", "app.tasks.send", "Größe prüfen", "x" * 200, "🙂"])
def test_a_name_is_any_printable_text(name: str) -> None:
    assert checks.check_name(name) == name


@pytest.mark.parametrize("name", ["", " ", "a ", " a", "a\nb", "a\tb", "x" * 201, "a\0", "\u200b"])
def test_an_unusable_name_is_refused_with_an_example(name: str) -> None:
    with pytest.raises(ValueError, match="'send_email'"):
        checks.check_name(name)


def test_a_refusal_shows_only_the_beginning_of_a_long_name() -> None:
    with pytest.raises(ValueError, match="5000 characters") as caught:
        checks.check_name("x" * 5000)
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize("name", [None, 7, b"a", ["a"]])
def test_a_name_that_is_no_string_is_refused_by_type(name: object) -> None:
    with pytest.raises(TypeError, match="must be a string"):
        checks.check_name(name)


@pytest.mark.parametrize("payload", [{"b": 1, "a": 2}, OrderedDict(b=1, a=2), MappingProxyType({"b": 1, "a": 2})])
def test_a_payload_is_any_mapping_and_keeps_its_order(payload: Any) -> None:
    assert checks.encode_payload(payload, 100) == b'{"b":1,"a":2}'


def test_no_payload_is_an_empty_one() -> None:
    assert checks.encode_payload(None, 0) == b"{}"


def test_a_payload_may_be_exactly_as_large_as_allowed() -> None:
    payload = {"x": "ü"}
    assert len(checks.encode_payload(payload, 10)) == 10, "bytes, not characters"
    with pytest.raises(ValueError, match="10 bytes as JSON, at most 9 are allowed"):
        checks.encode_payload(payload, 9)


@pytest.mark.parametrize(
    ("payload", "error", "says"),
    [
        ([], TypeError, "put the value under a key"),
        ("text", TypeError, "of type str"),
        ({1: 2}, TypeError, "use '1'"),
        ({None: 2}, TypeError, "the key None"),
        ({"x": {1, 2}}, TypeError, "set is not JSON"),
        ({"x": b"bytes"}, TypeError, "Pass plain values"),
        ({"x": datetime(2024, 1, 1, tzinfo=UTC)}, TypeError, "isoformat"),
        ({"x": math.nan}, ValueError, "NaN"),
        ({"x": [1, -math.inf]}, ValueError, "infinities"),
    ],
)
def test_what_is_no_json_object_is_refused_with_a_way_out(payload: object, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        checks.encode_payload(payload, 1000)


@pytest.mark.parametrize(
    ("payload", "says"),
    [
        ({5: 1}, "payload has the key 5, of type int: JSON keys are strings, use '5'"),
        ({"a": {None: 1}}, r"payload\['a'\] has the key None, None"),
        ({"rows": [1, {"x": ({}, {2.5: 0})}]}, r"payload\['rows'\]\[1\]\['x'\]\[1\] has the key 2\.5"),
        ({"a": {"b": OrderedDict({True: 1})}}, r"payload\['a'\]\['b'\] has the key True, of type bool"),
    ],
)
def test_a_key_that_json_would_turn_into_a_word_is_refused_with_its_place(payload: Any, says: str) -> None:
    with pytest.raises(TypeError, match=says):
        checks.encode_payload(payload, 1000)


def test_what_is_shared_or_deep_is_no_circle() -> None:
    shared = {"a": [1]}
    payload: dict[str, Any] = {"one": shared, "two": shared}
    for _ in range(200):
        payload = {"d": [payload]}
    assert checks.encode_payload(payload, 10_000).count(b'"a":[1]') == 2


def test_a_bottomless_payload_is_refused() -> None:
    deep: dict[str, Any] = {}
    for _ in range(100_000):
        deep = {"d": deep}
    with pytest.raises(ValueError, match="payload is not JSON"):
        checks.encode_payload(deep, 10**9)


@pytest.mark.parametrize("value", [0, 1, 1_000_000])
def test_retries_are_any_number_up_to_a_million(value: int) -> None:
    assert checks.check_max_retries(value) == value


@pytest.mark.parametrize(("value", "error"), [(-1, ValueError), (1_000_001, ValueError), (True, TypeError)])
def test_other_retries_are_refused(value: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="max_retries"):
        checks.check_max_retries(value)


@pytest.mark.parametrize("value", [1.0, "3", None])
def test_retries_that_are_no_integer_are_refused_by_type(value: object) -> None:
    with pytest.raises(TypeError, match="must be an integer"):
        checks.check_max_retries(value)


@pytest.mark.parametrize("value", [0, 0.0, 0.001, 5, checks.MAX_DELAY_SECONDS])
def test_a_delay_is_any_time_up_to_a_century(value: float) -> None:
    assert checks.check_delay("delay_seconds", value) == value


@pytest.mark.parametrize("value", [-0.001, math.nan, math.inf, -math.inf, checks.MAX_DELAY_SECONDS + 1, 10**400])
def test_a_delay_that_time_cant_be_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match=r"delay_seconds .* is out of range"):
        checks.check_delay("delay_seconds", value)


@pytest.mark.parametrize("value", [None, "5", True, timedelta(seconds=5)])
def test_a_delay_that_is_no_number_is_refused_by_type(value: object) -> None:
    with pytest.raises(TypeError, match="number of seconds"):
        checks.check_delay("delay_seconds", value)


@pytest.mark.parametrize("value", [*TaskPriority, 0, 3])
def test_a_priority_is_one_of_four_by_name_or_number(value: int) -> None:
    assert checks.check_priority(value) is TaskPriority(value)


@pytest.mark.parametrize("value", [-1, 4, True, "HIGH", 1.0, None, []])
def test_another_priority_is_refused_with_the_four(value: object) -> None:
    with pytest.raises(ValueError, match=r"TaskPriority.LOW \(0\)"):
        checks.check_priority(value)


def test_an_eta_is_the_same_moment_in_every_zone() -> None:
    utc = datetime(2030, 1, 1, 12, tzinfo=UTC)
    east = utc.astimezone(timezone(timedelta(hours=9)))
    naive = utc.astimezone().replace(tzinfo=None)
    assert checks.check_eta(utc) == checks.check_eta(east) == checks.check_eta(naive) == 1_893_499_200_000


def test_an_eta_before_1970_is_long_due() -> None:
    assert checks.check_eta(datetime(1901, 1, 1, tzinfo=UTC)) == 0


@pytest.mark.parametrize(
    "eta",
    [
        datetime.max.replace(tzinfo=UTC),
        datetime(9999, 12, 31, 23, tzinfo=timezone(-timedelta(hours=5))),
    ],
)
def test_an_eta_that_no_reader_could_show_is_refused(eta: datetime) -> None:
    # It would go in, and then every listing of the queue would fail at it.
    with pytest.raises(ValueError, match="out of range"):
        checks.check_eta(eta)


@pytest.mark.parametrize("eta", ["tomorrow", 1_700_000_000, None])
def test_an_eta_that_is_no_datetime_is_refused_with_the_alternative(eta: object) -> None:
    with pytest.raises(TypeError, match="use delay_seconds"):
        checks.check_eta(eta)
