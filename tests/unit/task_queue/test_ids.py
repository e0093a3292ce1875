"""Ids are unique, survive the way to a string and back, and nothing else is taken for one."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from singleton_service.background.task_queue.ids import check_queue, given_uid, join_id, new_uid, new_uids, split_id

NAME = st.from_regex(r"[A-Za-z0-9_-]{1,128}", fullmatch=True)
QUEUE = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}", fullmatch=True)


def test_a_hundred_thousand_ids_differ() -> None:
    assert len({new_uid(1) for _ in range(100_000)}) == 100_000
    assert len({*new_uids(1, 100_000)}) == 100_000


@pytest.mark.parametrize("priority", range(4))
def test_an_id_of_ours_begins_with_its_priority(priority: int) -> None:
    uid = new_uid(priority)
    assert (int(uid[0], 36) % 4, len(uid)) == (priority, 20)
    assert split_id(join_id("default", uid)) == ("default", uid)


def test_an_id_says_whether_it_was_one_of_many(monkeypatch: pytest.MonkeyPatch) -> None:
    now_ms = 1_700_000_000_000
    monkeypatch.setattr("time.time_ns", lambda: now_ms * 1_000_000)
    first_of_many = [new_uid(1)[0] for _ in range(300)]
    assert (first_of_many[0], first_of_many[-1]) == ("9", "5")
    now_ms += 1024
    assert new_uid(1)[0] == "5", "there were many in the second before"
    now_ms += 2048
    assert new_uid(1)[0] == "9"
    assert new_uids(1, 300)[0][0] == "5", "these are many"
    assert {len(uid) for uid in new_uids(3, 2)} == {20}


def test_ids_of_ours_sort_by_the_time_they_were_made(monkeypatch: pytest.MonkeyPatch) -> None:
    times_ms = [0, 1, 31, 32, 1023, 1024, 2**20, 1_700_000_000_000, 2**45 - 1]
    made = []
    for ms in times_ms:
        monkeypatch.setattr("time.time_ns", lambda ms=ms: ms * 1_000_000)
        made.append(new_uid(1)[1:10])
    assert made == sorted(made)
    assert len(set(made)) == len(made)


@given(queue=QUEUE, name=NAME)
def test_a_callers_own_id_is_found_again_in_any_queue(queue: str, name: str) -> None:
    uid = given_uid(name)
    assert uid == f"={name}"
    assert split_id(join_id(queue, uid)) == (queue, uid)
    assert check_queue(queue) == queue


def test_a_queue_may_have_dots_and_the_last_one_parts() -> None:
    assert split_id("eu.west.=a") == ("eu.west", "=a")


@pytest.mark.parametrize(
    "task_id",
    [
        "",
        ".",
        "default",
        "default.",
        ".=a",
        "default.=",
        "default.=a b",
        "default.=" + "x" * 129,
        "x" * 65 + ".=a",
        "-a.=b",
        "a b.=c",
        "default.c" + "0" * 19,
        "default.1" + "0" * 18,
        "default.1" + "0" * 20,
        "default.1" + "A" * 19,
        "default.=a\n",
        "default\n.=a",
        "défaut.=a",
        None,
        7,
        b"default.=a",
        ["default.=a"],
    ],
)
def test_what_can_be_no_id_is_none(task_id: object) -> None:
    assert split_id(task_id) is None


@given(st.text())
def test_no_text_makes_reading_an_id_fail(text: str) -> None:
    parts = split_id(text)
    assert parts is None or join_id(*parts) == text


@pytest.mark.parametrize("task_id", ["", "a.b", "a b", "x" * 129, "ä", "a\n", "=", None, 7])
def test_an_unusable_id_of_a_caller_is_refused_with_an_example(task_id: object) -> None:
    with pytest.raises(ValueError, match="invoice-2024-0042"):
        given_uid(task_id)


@pytest.mark.parametrize("queue", ["", "-a", ".a", "a b", "x" * 65, "a\n", "a{b}", "ä", None, 7])
def test_an_unusable_queue_is_refused_by_name(queue: object) -> None:
    with pytest.raises(ValueError, match="is not a queue name"):
        check_queue(queue)


def test_a_forked_child_makes_other_ids_than_its_parent() -> None:
    new_uid(1)
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.write(writing, "".join(new_uid(1)[10:] for _ in range(50)).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as told:
        theirs = told.read().decode()
    assert os.waitpid(child, 0)[1] == 0
    ours = [new_uid(1)[10:] for _ in range(50)]

    assert len(theirs) == 500
    assert not {theirs[at : at + 10] for at in range(0, 500, 10)} & {*ours}
