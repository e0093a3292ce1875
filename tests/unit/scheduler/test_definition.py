from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from singleton_service.background.expressions import parse
from singleton_service.background.scheduler.definition import (
    Definition,
    check_bounds,
    check_jitter,
    check_max_runs,
    check_missed,
    check_overlap,
    check_own_id,
    check_schedule_id,
    decode,
    fire_task_id,
    jitter_ms,
    overlap_key,
    sorted_json,
)
from singleton_service.background.task_queue.checks import check_key
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
        replace(REPORT, recurrence=parse("daily", "Europe/Berlin")),
    ],
)
def test_another_definition_has_another_default_id(other: Definition) -> None:
    assert other.default_id != REPORT.default_id


def test_the_order_of_keys_means_nothing() -> None:
    assert sorted_json(b'{"b":{"y":1,"x":2},"a":3}') == sorted_json(b'{"a":3,"b":{"x":2,"y":1}}')


def test_a_fire_is_given_its_instant_by_the_clock_of_the_zone() -> None:
    nightly = replace(REPORT, recurrence=parse("daily", "Asia/Tokyo"), moments=(("at", "datetime"), ("day", "date")))

    instant_ms = round(datetime(2026, 1, 31, 15, 0, tzinfo=UTC).timestamp() * 1000)
    assert nightly.payload_at(instant_ms) == {"a": 1, "day": "2026-02-01", "at": "2026-02-01T00:00:00+09:00"}


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


@pytest.mark.parametrize("reserved", ["handler.report", "default.cleanup"])
def test_ids_of_what_is_declared_in_code_are_not_given_out(reserved: str) -> None:
    with pytest.raises(ValueError, match="declared in code"):
        check_own_id(reserved)


@pytest.mark.parametrize(
    "definition",
    [
        REPORT,
        replace(REPORT, queue=None),
        replace(REPORT, recurrence=parse("0 9 * * MON", "Europe/Berlin")),
        replace(REPORT, recurrence=parse(timedelta(days=2))),
        replace(REPORT, payload_json=sorted_json('{"b":{"y":1,"x":"ä"},"a":[1.5,null]}'.encode())),
        replace(
            REPORT,
            start_ms=1,
            until_ms=2**41,
            max_runs=3,
            missed="all",
            overlap="queue",
            jitter_ms=500,
            moments=(("at", "datetime"), ("day", "date")),
        ),
    ],
)
def test_a_definition_is_read_as_it_was_written(definition: Definition) -> None:
    assert decode(definition.encode()) == definition
    assert decode(definition.encode()).encode() == definition.encode(), "equal ones are equal bytes, everywhere"


@pytest.mark.parametrize(
    "blob", [b'{"v":2}', b"{}", b'{"v":1,"name":"x"}', REPORT.encode().replace(b"daily", b"weekly")]
)
def test_a_definition_that_is_none_or_of_a_newer_version_is_refused(blob: bytes) -> None:
    with pytest.raises(ValueError, match=r"newer version|no schedule|expression"):
        decode(blob)


@given(st.text(), st.integers(0, 10**15), st.integers(0, 10**8))
def test_jitter_is_the_same_in_every_process_and_within_its_bound(schedule_id: str, instant: int, most: int) -> None:
    chance = jitter_ms(schedule_id, instant, most)

    assert 0 <= chance <= most
    assert chance == jitter_ms(schedule_id, instant, most)
    assert check_key("unique_key", overlap_key(schedule_id))


def test_jitter_spreads() -> None:
    assert len({jitter_ms("a", instant, 100_000) for instant in range(100)}) > 90


@pytest.mark.parametrize(
    ("check", "values", "error"),
    [
        (check_missed, ("two",), ValueError),
        (check_overlap, (None,), ValueError),
        (check_jitter, (-1,), ValueError),
        (check_jitter, (float("nan"),), ValueError),
        (check_jitter, (86_401,), ValueError),
        (check_jitter, ("1",), TypeError),
        (check_jitter, (True,), TypeError),
        (check_max_runs, (0,), ValueError),
        (check_max_runs, (1.5,), TypeError),
        (check_bounds, ("now", None), TypeError),
        (check_bounds, (datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)), ValueError),
    ],
)
def test_an_option_that_cannot_be_is_refused_with_its_name(
    check: Any, values: tuple[Any, ...], error: type[Exception]
) -> None:
    with pytest.raises(error, match=r"missed|overlap|jitter_seconds|max_runs|start_at"):
        check(*values)


def test_bounds_are_local_time_unless_they_say_otherwise() -> None:
    at = datetime(2026, 1, 1, 12, 0, 0)  # noqa: DTZ001 - what a naive one means is asked here
    assert check_bounds(at, None) == (round(at.timestamp() * 1000), None)
    assert check_bounds(None, datetime(1970, 1, 2, tzinfo=UTC)) == (None, 86_400_000)
