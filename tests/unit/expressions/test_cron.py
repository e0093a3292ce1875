from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from singleton_service.background.expressions import Cron, ExpressionError, Recurrence, parse


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def instants(expression: str, since: str, count: int) -> list[str]:
    recurrence, at = parse(expression), ms(since)
    found = []
    for _ in range(count):
        at = recurrence.next_after(at)
        found.append(f"{datetime.fromtimestamp(at / 1000, UTC):%a %Y-%m-%d %H:%M:%S}")
    return found


@pytest.mark.parametrize(
    ("expression", "following"),
    [
        ("0 2 * * *", ["Mon 2024-03-11 02:00:00", "Tue 2024-03-12 02:00:00"]),
        ("*/15 * * * *", ["Sun 2024-03-10 12:15:00", "Sun 2024-03-10 12:30:00"]),
        ("0 9 * * 1", ["Mon 2024-03-11 09:00:00", "Mon 2024-03-18 09:00:00"]),
        ("0 0 1 * *", ["Mon 2024-04-01 00:00:00", "Wed 2024-05-01 00:00:00"]),
        ("30 8,20 * * mon-fri", ["Mon 2024-03-11 08:30:00", "Mon 2024-03-11 20:30:00"]),
        ("0 0 L * *", ["Sun 2024-03-31 00:00:00", "Tue 2024-04-30 00:00:00"]),
        ("0 0 29 2 *", ["Tue 2028-02-29 00:00:00", "Sun 2032-02-29 00:00:00"]),
        # By Debian's rule either will do, if neither begins with a star.
        ("0 0 13 * FRI", ["Wed 2024-03-13 00:00:00", "Fri 2024-03-15 00:00:00"]),
    ],
)
def test_cron_fires_when_its_five_fields_say(expression: str, following: list[str]) -> None:
    assert instants(expression, "2024-03-10T12:00:00", 2) == following


def test_spaces_and_capitals_mean_nothing() -> None:
    recurrence = parse(" 0 9\t* jan  mon ")

    assert recurrence == parse("0 9 * JAN MON")
    assert (recurrence.text, recurrence.count, recurrence.unit) == ("0 9 * JAN MON", None, None)


@pytest.mark.parametrize(
    ("nickname", "fields"),
    [
        ("@hourly", "0 * * * *"),
        ("@Daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@weekly", "0 0 * * 0"),
        ("@monthly", "0 0 1 * *"),
        ("@yearly", "0 0 1 1 *"),
        ("@annually", "0 0 1 1 *"),
    ],
)
def test_a_nickname_is_short_for_five_fields(nickname: str, fields: str) -> None:
    assert parse(nickname) == parse(fields)


@pytest.mark.parametrize(
    ("expression", "part", "says", "neighbour"),
    [
        ("0 2 * *", None, "It has 4 fields, cron has five (minute hour day-of-month month day-of-week)", "0 2 * * *"),
        ("*", None, "It has 1 field, cron has five", "0 2 * * *"),
        ("5 minutes", None, "It has 2 fields, cron has five", "every 5 minutes"),
        ("02:00", None, "It has 1 field, cron has five", "daily at 02:00"),
        ("0 0 2 * * *", "0", "It has 6 fields, cron has five", "0 2 * * *"),
        ("0 9 * * 1-5 Asia/Tokyo", "Asia/Tokyo", "It has 6 fields, cron has five", "0 9 * * 1-5"),
        ("0 9 * * 8 2026 x", "2026 x", "It has 7 fields, cron has five", "0 2 * * *"),
        ("60 2 * * *", "60", "The minute '60' can't be used: it is 0 to 59,", "0 2 * * *"),
        ("*/7 61 * * *", "61", "The hour '61' can't be used: it is 0 to 23,", "*/7 2 * * *"),
        ("0 24 1 * *", "24", "The hour '24' can't be used: it is 0 to 23,", "0 2 1 * *"),
        ("0 22-2 * * *", "22-2", "The hour '22-2' can't be used", "0 22-23,0-2 * * *"),
        ("0 0 32 * *", "32", "The day-of-month '32' can't be used: it is 1 to 31, L for the last,", "0 0 1 * *"),
        ("0 0 ? * MON", "?", "The day-of-month '?' can't be used", "0 0 * * MON"),
        ("0 0 * 13 *", "13", "The month '13' can't be used: it is 1 to 12 or JAN to DEC,", "0 0 * 1 *"),
        ("0 0 * mon *", "mon", "The month 'mon' can't be used", "0 0 * 1 *"),
        ("0 0 * january *", "january", "The month 'january' can't be used", "0 0 * JAN *"),
        ("0 0 * * 8", "8", "The day-of-week '8' can't be used: it is 0 to 7 or SUN to SAT,", "0 0 * * MON"),
        ("0 0 * * fri-mon", "fri-mon", "The day-of-week 'fri-mon' can't", "0 0 * * FRI-SAT,SUN-MON"),
        ("5-1 * * * *", "5-1", "The minute '5-1' can't be used", "5-59,0-1 * * * *"),
        ("*/0 * * * *", "*/0", "The minute '*/0' can't be used", "0 * * * *"),
        ("1,61,3 25 * * 8", "61", "The minute '61' can't be used", "1,0,3 2 * * MON"),
        ("1,,2 * * * *", ",", "The minute '' can't be used", "1,0,2 * * * *"),
        ("0 0 30 2 *", "30 2 *", "These days never come in these months", "0 0 1 2 *"),
        ("0 0 */10 2 MON#5", "*/10 2 MON#5", "so it would never fire", "0 0 1 2 *"),
        ("0 0 30 2 8", "8", "The day-of-week '8' can't be used", "0 0 30 2 MON"),
    ],
)
def test_a_bad_field_is_named_with_its_rule_and_a_neighbour_that_is_right(
    expression: str, part: str | None, says: str, neighbour: str
) -> None:
    with pytest.raises(ExpressionError, match="Invalid cron expression") as refused:
        parse(expression)
    error = refused.value

    assert error.neighbour == neighbour
    assert says in error.rule
    assert error.text[error.start : error.end] == ("" if part is None else part)
    assert error.end > error.start, "there is something to point at"
    assert parse(error.neighbour)


fields = st.one_of(
    st.sampled_from(
        ["*", "*/2", "1", "1-5", "0,30", "L", "LW", "5L", "MON", "1#2", "JAN-MAR", "59", "31", "*/99", "1/3"]
    ),
    st.text("0123456789*/-,#LWMON?", min_size=1, max_size=6),
)


@given(st.lists(fields, min_size=5, max_size=5))
@example(["0", "0", "*", "2", "MON#5"])
def test_any_five_fields_give_a_recurrence_that_fires_or_propose_one(words: list[str]) -> None:
    try:
        recurrence = parse(f"0 {' '.join(words[1:])}")
    except ExpressionError as error:
        recurrence = parse(error.neighbour)
    assert isinstance(recurrence, Cron)
    assert parse(recurrence.text) == recurrence
    assert recurrence.describe()
    assert recurrence.next_after(ms("2024-03-10T12:00:00")) > ms("2024-03-10T12:00:00")


crons = st.sampled_from(["* * * * *", "0 2 * * *", "*/15 * * * *", "0 9 * * 1", "0 0 1 * *", "0 0 29 2 *"]).map(parse)


@given(crons, st.integers(0, 4 * 10**12))
@example(parse("0 2 * * *"), ms("2024-03-10T02:00:00"))
@example(parse("0 2 * * *"), ms("2024-03-10T02:00:00") - 1)
def test_an_instant_is_its_own_latest_and_the_next_of_the_moment_before(recurrence: Recurrence, now_ms: int) -> None:
    latest, following = recurrence.latest(now_ms), recurrence.next_after(now_ms)

    assert latest <= now_ms < following
    assert recurrence.latest(latest) == latest
    assert recurrence.next_after(latest - 1) == latest
    assert recurrence.next_after(latest) == following
    assert recurrence.latest(following - 1) == latest
