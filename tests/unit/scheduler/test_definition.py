from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from singleton_service.background.expressions import parse
from singleton_service.background.scheduler.definition import (
    Definition,
    check_schedule_id,
    fire_task_id,
    sorted_json,
)
from singleton_service.background.task_queue.ids import given_uid

REPORT = Definition("report", b'{"a":1}', parse("daily"), "default")


def test_the_default_id_is_the_name_and_eight_hex_digits() -> None:
    assert re.fullmatch(r"report-[0-9a-f]{8}", REPORT.default_id)


def test_the_default_id_never_changes_between_versions() -> None:
    assert REPORT.default_id == "report-62594f0e"


@pytest.mark.parametrize(
    "other",
    [
        replace(REPORT, name="report2"),
        replace(REPORT, payload_json=b'{"a":2}'),
        replace(REPORT, recurrence=parse("hourly")),
        replace(REPORT, queue="low"),
    ],
)
def test_another_definition_has_another_default_id(other: Definition) -> None:
    assert other.default_id != REPORT.default_id


def test_the_order_of_keys_means_nothing() -> None:
    assert sorted_json(b'{"b":{"y":1,"x":2},"a":3}') == sorted_json(b'{"a":3,"b":{"x":2,"y":1}}')


def test_each_fire_has_a_payload_of_its_own() -> None:
    REPORT.payload["a"] = 2

    assert REPORT.payload == {"a": 1}


@given(st.text(), st.integers(0, 10**15))
def test_any_schedule_id_gives_a_task_id_the_queue_takes(schedule_id: str, instant_ms: int) -> None:
    assert given_uid(fire_task_id(schedule_id, instant_ms))


def test_task_ids_differ_by_schedule_and_by_instant() -> None:
    ids = {fire_task_id(schedule, instant) for schedule in ("a", "b", "a-1") for instant in (1, 11, 1000)}

    assert len(ids) == 9


@pytest.mark.parametrize("bad", ["", "x" * 251, "a\nb"])
def test_an_unusable_id_is_refused(bad: str) -> None:
    with pytest.raises(ValueError, match="is not usable"):
        check_schedule_id(bad)


def test_an_id_that_is_no_text_is_refused() -> None:
    with pytest.raises(TypeError, match="must be text"):
        check_schedule_id(7)
