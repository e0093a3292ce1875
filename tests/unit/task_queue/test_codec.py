"""What is written is read back, by this version and past what it does not know."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from singleton_service.background.task_queue import codec
from singleton_service.background.task_queue.ids import new_uid
from singleton_service.background.task_queue.lease import Lease
from singleton_service.background.task_queue.records import TaskPriority, TaskStatus

# Lone surrogates included: people read them from file names.
TEXT = st.text(st.characters(codec=None))
# What check_name lets through.
NAME = st.text(st.characters(codec="utf-8"), min_size=1).filter(str.isprintable)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=15,
)
NOW = datetime(2024, 5, 6, 7, 8, 9, 123000, UTC)
NOW_MS = 1_714_979_289_123
FENCE = NOW_MS * 1000


def lease_of(body: bytes, retries: int = 0) -> Lease:
    return Lease("default", "=x", FENCE, "host:1:ab", b"%d|host:1:ab" % FENCE, body, retries, 0)


def read(state: bytes, blob: bytes, detail: bytes = b"", past: bytes = b"", failures: bytes = b"") -> Any:
    return codec.decode_task("default", "=x", [state, blob, detail, past, failures, b"", b""])


@given(name=NAME, payload=st.dictionaries(TEXT, JSON, max_size=5), priority=st.sampled_from(TaskPriority))
def test_a_body_comes_back_as_it_went_in(name: str, payload: dict[str, Any], priority: TaskPriority) -> None:
    body = codec.encode_body(name, codec.to_json(payload), priority, NOW_MS, 3)
    assert codec.is_readable(body)
    assert body[:2] == b"1%d" % priority, "where Lua reads it"
    task = read(b"ready", body)
    assert (task.name, task.payload, task.priority) == (name, payload, priority)
    assert (task.status, task.created_at, task.max_retries) == (TaskStatus.PENDING, NOW, 3)
    assert (task.schedule_id, task.scheduled_for) == (None, None)


def test_a_uid_of_our_own_tells_when_the_task_was_made() -> None:
    before_ms = time.time_ns() // 1_000_000
    uid = new_uid(2)
    body = codec.encode_body("x", b"{}", 2, None, 3)
    assert body == b"1203|x\n{}"
    task = codec.decode_task("default", uid, [b"ready", body, b"", b"", b"", b"", b""])
    assert task is not None
    assert before_ms <= task.created_at.timestamp() * 1000 <= time.time_ns() / 1_000_000


def test_a_body_says_which_fire_of_which_schedule_it_is() -> None:
    body = codec.encode_body("x", b"{}", 1, NOW_MS, 3, schedule_id='nightly "a"', scheduled_for_ms=NOW_MS)
    task = read(b"ready", body)
    assert (task.schedule_id, task.scheduled_for) == ('nightly "a"', NOW)


@given(JSON)
def test_json_is_compact_and_on_one_line(value: Any) -> None:
    encoded = codec.to_json(value)
    assert json.loads(encoded) == value
    assert b"\n" not in encoded


@pytest.mark.parametrize(("value", "error"), [(float("nan"), ValueError), (object(), TypeError), ({1: {2}}, TypeError)])
def test_what_is_not_json_is_refused(value: object, error: type[Exception]) -> None:
    with pytest.raises(error):
        codec.to_json(value)


@pytest.mark.parametrize(
    "written", [b'{"a": [1, "\xc3\xa9"]}', b" 1 \n", b'"\xed\xa0\x80"', b"[1]x", b"", b"\xff", b"{'a': 1}"]
)
def test_json_is_read_as_the_standard_library_reads_it(written: bytes) -> None:
    try:
        expected = json.loads(written)
    except ValueError as error:
        with pytest.raises(type(error)):
            codec.from_json(written)
    else:
        assert codec.from_json(written) == expected


@given(
    payload=st.dictionaries(TEXT, JSON, max_size=3),
    result=JSON,
    messages=st.lists(TEXT, max_size=3),
    retries=st.integers(0, 1000),
)
def test_a_finished_record_comes_back_whole(
    payload: dict[str, Any], result: Any, messages: list[str], retries: int
) -> None:
    body = codec.encode_body("x", codec.to_json(payload), 2, NOW_MS, 3)
    failures = b"\n".join(codec.encode_error(NOW, "E", message, None) for message in messages)
    # As record_of in lua/include/records.lua puts it together.
    errors = b"%b\n" % failures if failures else b""
    head = b"c%d+%d" % (retries, len(failures)) if failures else b"c%d" % retries
    record = b"%b|%x|5|1|%b\n%b%b" % (head, FENCE, codec.to_json(result), errors, body)
    task = read(b"finished", record, b"host:1:ab")
    assert (task.payload, task.result, task.retry_count) == (payload, result, retries)
    assert (task.status, task.worker_id) == (TaskStatus.COMPLETED, "host:1:ab")
    assert (task.started_at, task.completed_at) == (NOW, NOW + timedelta(milliseconds=5))
    assert [error.message for error in task.errors] == messages
    assert task.error_message is None


BODY = codec.encode_body("x", b"{}", 1, NOW_MS, 3)
ERROR = codec.encode_error(NOW, "ValueError", "no", "Traceback ...")


def test_an_unknown_task_is_none() -> None:
    assert read(b"unknown", b"") is None


def test_a_running_task_shows_who_has_it_since_when() -> None:
    task = read(b"running", BODY, b"%d|host:1:ab" % FENCE, b"2|1|5", ERROR)
    assert (task.status, task.worker_id, task.started_at) == (TaskStatus.RUNNING, "host:1:ab", NOW)
    assert (task.retry_count, task.error_message) == (2, "no")


def test_a_retrying_task_shows_when_it_is_due() -> None:
    task = read(b"due", BODY, b"%d" % NOW_MS, b"1|0|%d" % FENCE, ERROR)
    assert (task.status, task.eta, task.started_at) == (TaskStatus.RETRYING, NOW, NOW)


def test_a_delayed_task_is_pending() -> None:
    task = read(b"due", BODY, b"%d" % NOW_MS)
    assert (task.status, task.eta, task.started_at) == (TaskStatus.PENDING, NOW, None)


def test_a_task_that_only_crashed_is_pending_and_not_retrying() -> None:
    task = read(b"ready", BODY, past=b"0|1|%d" % FENCE)
    assert (task.status, task.retry_count, task.started_at) == (TaskStatus.PENDING, 0, NOW)


def test_a_held_task_shows_its_reason_to_the_last_bar() -> None:
    task = read(b"held", BODY, b"%d|a|b" % NOW_MS)
    assert (task.status, task.held_reason) == (TaskStatus.PENDING, "a|b")


def test_a_dead_task_shows_every_attempt() -> None:
    task = read(b"dead", BODY, b"%d" % NOW_MS, b"1|0|%d" % FENCE, ERROR + b"\n" + ERROR)
    assert (task.status, task.completed_at) == (TaskStatus.FAILED, NOW)
    assert [(error.when, error.type, error.message, error.traceback) for error in task.errors] == [
        (NOW, "ValueError", "no", "Traceback ...")
    ] * 2


def test_a_task_of_a_newer_version_is_shown_and_not_read() -> None:
    body = b"92{newer than json}"
    assert not codec.is_readable(body)
    task = read(b"ready", body)
    assert (task.name, task.priority) == ("(written by a newer version)", TaskPriority.HIGH)


def test_a_leased_task_is_running_since_its_fence() -> None:
    task = codec.leased_task(lease_of(BODY, retries=2))
    assert (task.id, task.status, task.started_at) == ("default.=x", TaskStatus.RUNNING, NOW)
    assert (task.retry_count, task.worker_id) == (2, "host:1:ab")


def test_what_is_left_out_of_many_errors_is_said() -> None:
    task = read(b"dead", BODY, b"%d" % NOW_MS, b"9|0|%d" % FENCE, ERROR + b"\n12\n" + ERROR)
    assert (len(task.errors), task.errors_left_out, task.error_message) == (2, 12, "no")


def test_a_long_message_is_cut_and_says_so() -> None:
    error = json.loads(codec.encode_error(NOW, "K" * 300, "m" * 10_000, None))
    assert error["m"] == "m" * 8192 + " [... 1,808 more characters]"
    assert error["t"] == "K" * 200


@given(message=TEXT, trace=st.none() | TEXT)
def test_an_error_is_one_line_and_comes_back(message: str, trace: str | None) -> None:
    line = codec.encode_error(NOW, "Kind", message, trace)
    assert b"\n" not in line
    (error,) = read(b"ready", BODY, failures=line).errors
    assert (error.when, error.type, error.message, error.traceback) == (NOW, "Kind", message, trace)


@pytest.mark.parametrize("length", [0, 1, codec.MAX_TRACEBACK_CHARS])
def test_a_traceback_is_kept_whole_up_to_its_limit(length: int) -> None:
    trace = "x" * length
    assert json.loads(codec.encode_error(NOW, "E", "m", trace))["tb"] == trace


@pytest.mark.parametrize("length", [codec.MAX_TRACEBACK_CHARS + 1, 1_000_000])
def test_of_a_longer_one_the_middle_goes(length: int) -> None:
    trace = "first" + "x" * (length - 9) + "last"
    kept = json.loads(codec.encode_error(NOW, "E", "m", trace))["tb"]
    assert len(kept) == codec.MAX_TRACEBACK_CHARS
    assert kept.startswith("firstx")
    assert kept.endswith("xlast")
    assert "[...]" in kept


@given(st.floats(0, 100), st.text())
def test_progress_comes_back_as_it_went_in(percent: float, message: str) -> None:
    note = b"|".join([b"1700000000123456", *codec.encode_progress(percent, message)])
    progress = codec.decode_progress(note)
    assert (progress.percent, progress.message) == (percent, message.encode("utf-8", "replace").decode())
    assert progress.updated_at == datetime(2023, 11, 14, 22, 13, 20, 123456, UTC)
