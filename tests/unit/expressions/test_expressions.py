from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from singleton_service.background.expressions import LONGEST_S, Interval, parse

DAY_MS = 24 * 3600 * 1000


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("expression", "text", "count", "unit"),
    [
        ("daily", "daily at 00:00", 1, "days"),
        ("daily at 02:00", "daily at 02:00", 1, "days"),
        ("Daily  at 2:05", "daily at 02:05", 1, "days"),
        ("hourly", "every hour", 1, "hours"),
        ("every hour", "every hour", 1, "hours"),
        ("every minute", "every minute", 1, "minutes"),
        ("every 1 minute", "every minute", 1, "minutes"),
        ("every 5 minutes", "every 5 minutes", 5, "minutes"),
        (" EVERY\t2 Hours ", "every 2 hours", 2, "hours"),
        ("every 2 seconds", "every 2 seconds", 2, "seconds"),
        ("every second", "every second", 1, "seconds"),
        (timedelta(minutes=5), "every 5 minutes", 5, "minutes"),
        (timedelta(days=2), "every 48 hours", 48, "hours"),
        (timedelta(seconds=90), "every 90 seconds", 90, "seconds"),
    ],
)
def test_an_expression_has_one_canonical_form(expression: str | timedelta, text: str, count: int, unit: str) -> None:
    recurrence = parse(expression)

    assert (recurrence.text, recurrence.count, recurrence.unit) == (text, count, unit)
    assert parse(recurrence.text) == recurrence


@pytest.mark.parametrize(
    ("expression", "phrase", "rule"),
    [
        ("weekly", "Unsupported cron expression: weekly", "every 5 minutes"),
        ("", "Unsupported cron expression: ", "every 5 minutes"),
        ("@daily", "Unsupported cron expression: @daily", "every 5 minutes"),
        ("every monday at 09:00", "Unsupported cron expression: every monday at 09:00", "every 5 minutes"),
        ("every 5", "Invalid cron expression: every 5", "a number and a unit"),
        ("every", "Invalid cron expression: every", "a number and a unit"),
        ("every x minutes", "Invalid cron expression: every x minutes", "whole number"),
        ("every 1.5 hours", "Invalid cron expression: every 1.5 hours", "whole number"),
        ("every -5 minutes", "Invalid cron expression: every -5 minutes", "whole number"),
        ("every \u0665 minutes", "Invalid cron expression: every \u0665 minutes", "whole number"),
        ("every 0 minutes", "Invalid cron expression: every 0 minutes", "at least 1 second"),
        ("every 99999999 hours", "Invalid cron expression: every 99999999 hours", "at most 366 days"),
        ("every " + "9" * 5000 + " hours", "Unsupported cron expression: every 999", "every 5 minutes"),
        ("every 3 fortnights", "Unsupported time unit: fortnights", "seconds, minutes and hours"),
        ("daily at 25:00", "Invalid cron expression: daily at 25:00", "00:00 to 23:59"),
        ("daily at noon", "Invalid cron expression: daily at noon", "00:00 to 23:59"),
        (timedelta(0), "Invalid cron expression: datetime.timedelta(0)", "at least 1 second"),
        (timedelta(seconds=-5), "Invalid cron expression", "at least 1 second"),
        (timedelta(seconds=1.5), "Invalid cron expression", "whole seconds"),
        (timedelta.max, "Invalid cron expression", "whole seconds"),
    ],
)
def test_a_bad_expression_is_refused_with_the_value_and_the_rule(
    expression: str | timedelta, phrase: str, rule: str
) -> None:
    with pytest.raises(ValueError, match=r"expression|time unit") as caught:
        parse(expression)
    assert str(caught.value).startswith(phrase)
    assert rule in str(caught.value)
    assert "'" in str(caught.value) or "timedelta" in str(caught.value), "it names a way out"


@pytest.mark.parametrize("expression", [None, 5, 2.5, ["daily"], b"daily"])
def test_what_is_no_text_is_a_type_error(expression: object) -> None:
    with pytest.raises(TypeError, match="of type"):
        parse(expression)


words = st.sampled_from(["every", "daily", "at", "hourly", "minutes", "hours", "0", "5", "-1", "02:00", "1e9", "\n"])


@given(st.one_of(st.text(), st.lists(words).map(" ".join), st.timedeltas()))
@example("every 000000005 minutes")
def test_any_text_gives_a_recurrence_or_a_value_error(expression: str | timedelta) -> None:
    try:
        recurrence = parse(expression)
    except ValueError:
        return
    if isinstance(recurrence, Interval):
        assert 1000 <= recurrence.interval_ms <= LONGEST_S * 1000
        assert 0 <= recurrence.offset_ms < recurrence.interval_ms
    assert parse(recurrence.text) == recurrence


@given(st.text())
def test_a_refusal_can_be_printed_whatever_was_given(text: str) -> None:
    with pytest.raises(ValueError, match="Unsupported") as caught:
        parse("never " + text)
    assert str(caught.value).isprintable()


def test_daily_is_midnight_utc_and_daily_at_that_time_utc() -> None:
    now_ms = ms("2024-03-10T12:00:00")

    assert parse("daily").next_after(now_ms) == ms("2024-03-11T00:00:00")
    assert parse("daily at 02:00").latest(now_ms) == ms("2024-03-10T02:00:00")
    assert parse("daily at 23:59").latest(now_ms) == ms("2024-03-09T23:59:00")


def test_an_instant_is_its_own_latest_and_not_its_own_next() -> None:
    recurrence = parse("every 5 minutes")
    instant = ms("2024-03-10T12:05:00")

    assert recurrence.latest(instant) == instant
    assert recurrence.next_after(instant) == ms("2024-03-10T12:10:00")
    assert recurrence.next_after(instant - 1) == instant


intervals = st.one_of(
    st.builds(lambda n, unit: f"every {n} {unit}", st.integers(1, 8000), st.sampled_from(["seconds", "minutes"])),
    st.builds(lambda at: f"daily at {at:%H:%M}", st.times()),
).map(parse)


@given(intervals, st.integers(-(10**13), 10**14))
def test_instants_are_the_same_whoever_computes_them_and_from_when(recurrence: Interval, now_ms: int) -> None:
    latest, following = recurrence.latest(now_ms), recurrence.next_after(now_ms)

    assert latest <= now_ms < following
    assert following - latest == recurrence.interval_ms
    assert (latest - recurrence.offset_ms) % recurrence.interval_ms == 0
    assert recurrence.next_after(latest) == following
