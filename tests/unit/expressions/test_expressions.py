from __future__ import annotations

import pickle
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from singleton_service.background.expressions import LONGEST_S, ExpressionError, Interval, Recurrence, parse


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("expression", "text", "count", "unit"),
    [
        ("daily", "daily at 00:00", 1, "days"),
        ("daily at 02:00", "daily at 02:00", 1, "days"),
        ("Daily  at 2:05", "daily at 02:05", 1, "days"),
        ("every day", "daily at 00:00", 1, "days"),
        ("every 1 days at 17:00, 9:00 and 17:00", "daily at 09:00 and 17:00", None, None),
        ("every 2 days at 6:30", "every 2 days at 06:30", 2, "days"),
        ("every week", "every monday at 00:00", 1, "weeks"),
        ("every 2 weeks", "every 2 weeks on monday at 00:00", 2, "weeks"),
        ("every 2 weeks on Friday at 18:30", "every 2 weeks on friday at 18:30", 2, "weeks"),
        ("every 3 weeks on weekdays", "every 3 weeks on weekdays at 00:00", None, None),
        ("every monday at 09:00", "every monday at 09:00", 1, "weeks"),
        ("every Fri,mondays , and wed at 9:00", "every monday, wednesday and friday at 09:00", None, None),
        ("every weekday at 09:00", "every weekday at 09:00", None, None),
        ("every weekday and saturday and sunday at 09:00", "daily at 09:00", 1, "days"),
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
def test_an_expression_has_one_canonical_form(
    expression: str | timedelta, text: str, count: int | None, unit: str | None
) -> None:
    recurrence = parse(expression, "Europe/Berlin")

    assert (recurrence.text, recurrence.count, recurrence.unit) == (text, count, unit)
    assert recurrence.timezone == "Europe/Berlin"
    assert parse(recurrence.text, recurrence.timezone) == recurrence
    assert pickle.loads(pickle.dumps(recurrence)) == recurrence


EVERY_30_MINUTES = "daily at " + " ".join(f"{n // 2}:{n % 2 * 3}0," for n in range(24)) + "12:00"


@pytest.mark.parametrize(
    ("expression", "kind", "part", "says", "neighbour"),
    [
        ("", "Unsupported cron expression", "", "Use 'every 30 seconds'", "every 5 minutes"),
        ("nonsense", "Unsupported cron expression", "nonsense", "Use 'every 30 seconds'", "every 5 minutes"),
        ("weekly", "Unsupported cron expression", "weekly", "Use 'every 30 seconds'", "every week"),
        ("monthly at 2:00", "Unsupported cron expression", "monthly", "Use 'every 30 seconds'", "@monthly"),
        ("evry 90 minuts", "Unsupported cron expression", "evry", "Use 'every 30 seconds'", "every 90 minutes"),
        ("mondays at 9", "Unsupported cron expression", "mondays", "Use", "every mondays at 09:00"),
        ("at 9", "Unsupported cron expression", "at", "Use", "daily at 09:00"),
        ("@dayly", "Invalid cron expression", "@dayly", "The nicknames are @hourly", "@daily"),
        ("@reboot", "Invalid cron expression", "@reboot", "knows no boot", "@daily"),
        ("every", "Invalid cron expression", None, "come a whole number and a unit", "every 5 minutes"),
        ("every 5", "Invalid cron expression", None, "The units are", "every 5 minutes"),
        ("every x minutes", "Invalid cron expression", "x", "a whole number and a unit", "every 5 minutes"),
        ("every five hours", "Invalid cron expression", "five", "a whole number and a unit", "every 5 hours"),
        ("every 1.5 hours", "Invalid cron expression", "1.5", "a whole number and a unit", "every 90 minutes"),
        ("every -5 minutes", "Invalid cron expression", "-5", "a whole number and a unit", "every 5 minutes"),
        ("every \u0665 days", "Invalid cron expression", "\u0665", "a whole number and a unit", "every 120 hours"),
        ("every nan days", "Invalid cron expression", "nan", "a whole number and a unit", "every 5 days"),
        ("every moday", "Invalid cron expression", "moday", "or days of the week", "every monday"),
        ("every 0 minutes", "Invalid cron expression", "0", "at least 1 second", "every 1 minutes"),
        ("every 9999999 hours", "Invalid cron expression", "9999999", "at most 366 days", "every 8784 hours"),
        ("every 53 weeks", "Invalid cron expression", "53", "at most 366 days", "every 52 weeks"),
        ("every 90 minuts", "Unsupported time unit", "minuts", "seconds, minutes, hours", "every 90 minutes"),
        ("every 10 min", "Unsupported time unit", "min", "seconds, minutes, hours", "every 10 minutes"),
        ("every 3 fortnights", "Unsupported time unit", "fortnights", "minutes, hours", "every 3 minutes"),
        ("every 2 months", "Unsupported time unit", "months", "differ in length", "0 0 1 * *"),
        ("every year", "Invalid cron expression", "year", "differ in length", "0 0 1 1 *"),
        ("every 2 mondays", "Unsupported time unit", "mondays", "The units are", "every 2 weeks on mondays"),
        ("every second monday", "Invalid cron expression", "second", "with weeks", "every 2 weeks on monday"),
        ("every monday and firday", "Invalid cron expression", "firday", "days of the week", "every monday and friday"),
        ("every monday and", "Invalid cron expression", None, "days of the week are", "every monday and monday"),
        ("daily at 25:00", "Invalid cron expression", "25:00", "00:00 to 23:59", "daily at 02:00"),
        ("daily at noon", "Invalid cron expression", "noon", "00:00 to 23:59", "daily at 12:00"),
        ("daily at 12am", "Invalid cron expression", "12am", "00:00 to 23:59", "daily at 00:00"),
        ("daily at 9 pm", "Invalid cron expression", "9", "00:00 to 23:59", "daily at 21:00"),
        ("daily at 9:30 pm", "Invalid cron expression", "pm", "00:00 to 23:59", "daily at 21:30"),
        ("daily at", "Invalid cron expression", None, "A time is HH:MM", "daily at 02:00"),
        ("daily 2:30", "Invalid cron expression", "2:30", "Before a time comes 'at'", "daily at 02:30"),
        ("hourly at 09:00", "Invalid cron expression", "at", "Only days and weeks", "hourly"),
        ("every hour sharp", "Invalid cron expression", "sharp", "'every hour' is complete", "every hour"),
        ("daily in Asia/Tokyo", "Invalid cron expression", "in", "an argument of its own", "daily"),
        ("every " + "9" * 5000, "Unsupported cron expression", "…", "at most 300 characters", "every 5 minutes"),
        (EVERY_30_MINUTES, "Invalid cron expression", "12:00", "at most 24 times", EVERY_30_MINUTES[:-6]),
        (timedelta(0), "Invalid cron expression", "", "at least 1 second", "timedelta(seconds=1)"),
        (timedelta(seconds=-5), "Invalid cron expression", "", "at least 1 second", "timedelta(seconds=1)"),
        (timedelta(seconds=1.5), "Invalid cron expression", "", "whole seconds", "timedelta(seconds=2)"),
        (timedelta.max, "Invalid cron expression", "", "at most 366 days", "timedelta(days=366)"),
    ],
)
def test_a_bad_expression_is_refused_with_the_value_and_the_rule(
    expression: str | timedelta, kind: str, part: str | None, says: str, neighbour: str
) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse(expression)
    error = caught.value

    assert (error.kind, error.neighbour) == (kind, neighbour)
    assert says in error.rule
    if part is None:
        assert (error.start, error.end) == (len(error.text), len(error.text) + 1), "it points at what is missing"
    else:
        assert error.text[error.start : error.end] == part
    assert str(error).startswith(f"{kind}: ")


def test_a_refusal_points_at_the_part_that_is_wrong() -> None:
    with pytest.raises(ValueError, match="Unsupported time unit: minuts") as caught:
        parse("every  90\nminuts ")

    assert str(caught.value).splitlines() == [
        "Unsupported time unit: minuts",
        "  every 90 minuts",
        "           ^^^^^^",
        "The units are seconds, minutes, hours, days and weeks. Try: every 90 minutes",
    ]


@pytest.mark.parametrize("expression", [None, 5, 2.5, ["daily"], b"daily"])
def test_what_is_no_text_is_a_type_error(expression: object) -> None:
    with pytest.raises(TypeError, match="of type"):
        parse(expression)


def proposals(error: ExpressionError) -> str | timedelta:
    is_code = error.neighbour.startswith("timedelta")
    return eval(error.neighbour, {"timedelta": timedelta}) if is_code else error.neighbour


WORDS = """every daily hourly at on and , second minutes hours days weeks month monday fri weekday weekend 0 5 -1 1.5
two 02:00 9am 25:00 pm in Europe/Berlin @daily * 1-5 evry minuts 1e9 \u0665 \xdf"""
words = st.sampled_from([*WORDS.split(), "\n"])


def taken(expression: object) -> Recurrence | ExpressionError:
    try:
        return parse(expression)
    except ExpressionError as error:
        return error


@given(st.one_of(st.text(), st.lists(words, max_size=60).map(" ".join), st.timedeltas()))
@example("every 000000005 minutes")
@example("every 5 " + "x " * 500)
@example("every " + "minuts " * 14)
@example("daily at " + ",x" * 140)
@example("every " + ",x" * 140)
@example("every 52 weeks on tue,wed,thu,fri,sat,sun at " + ",".join(f"{n}:00" for n in range(24)))
def test_any_text_gives_a_recurrence_or_an_error_whose_proposal_is_right(expression: str | timedelta) -> None:
    found = taken(expression)
    if isinstance(found, ExpressionError):
        assert all(line.isprintable() for line in str(found).splitlines())
        assert 0 <= found.start <= found.end <= len(found.text) + 1
        assert str(pickle.loads(pickle.dumps(found))) == str(found)
        found = parse(proposals(found))
    if isinstance(found, Interval):
        assert 1000 <= found.interval_ms <= LONGEST_S * 1000
    assert parse(found.text) == found
    assert found.describe()


def test_intervals_are_multiples_of_themselves_since_1970_whatever_the_zone() -> None:
    now_ms = ms("2024-03-10T12:00:00")

    for zone in ("UTC", "Asia/Kolkata", "Australia/Lord_Howe"):
        assert parse("every 7 hours", zone).next_after(now_ms) == (now_ms // 25_200_000 + 1) * 25_200_000


def test_daily_is_midnight_and_daily_at_that_time_by_the_clock_of_the_zone() -> None:
    now_ms = ms("2024-03-10T12:00:00")

    assert parse("daily").next_after(now_ms) == ms("2024-03-11T00:00:00")
    assert parse("daily at 02:00").latest(now_ms) == ms("2024-03-10T02:00:00")
    assert parse("daily at 23:59").latest(now_ms) == ms("2024-03-09T23:59:00")
    assert parse("daily at 02:00", "America/Lima").latest(now_ms) == ms("2024-03-10T07:00:00")
    assert parse("daily", "Asia/Kolkata").next_after(now_ms) == ms("2024-03-10T18:30:00")


def test_days_are_counted_from_the_first_of_1970_and_weeks_from_its_first_monday() -> None:
    since = datetime(1970, 1, 1, tzinfo=UTC)

    assert [f"{run:%a %d}" for run in parse("every 3 days").next_runs(since, 3)] == ["Sun 04", "Wed 07", "Sat 10"]
    assert [f"{run:%a %d}" for run in parse("every 2 weeks").next_runs(since, 2)] == ["Mon 05", "Mon 19"]
    friday = parse("every 2 weeks on friday and monday at 18:30")
    assert [f"{run:%a %d %H:%M}" for run in friday.next_runs(since, 3)] == [
        "Mon 05 18:30",
        "Fri 09 18:30",
        "Mon 19 18:30",
    ]


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("every 30 seconds", "Every 30 seconds"),
        ("daily at 02:00", "Every day at 02:00 (Asia/Tokyo)"),
        ("every monday and friday at 9:00", "Every Monday and Friday at 09:00 (Asia/Tokyo)"),
        ("every 2 weeks on weekdays", "Every 2 weeks on weekdays at 00:00 (Asia/Tokyo)"),
        ("0 9 * * 1", "At 09:00 on Monday (Asia/Tokyo)"),
        ("0 9 */2 * *", "At 09:00 on every second day of the month (Asia/Tokyo)"),
        ("@hourly", "At the start of every hour (Asia/Tokyo)"),
        ("0 0 1,2,3,11,12,13,21,22,23,31 * *", None),
    ],
)
def test_an_expression_says_in_english_when_it_is(expression: str, said: str | None) -> None:
    description = parse(expression, "Asia/Tokyo").describe()

    if said is None:
        assert "the 11th, the 12th, the 13th, the 21st, the 22nd, the 23rd, and the 31st" in description
    else:
        assert description == said


def test_runs_between_two_times_are_found_one_by_one_as_they_are_asked_for() -> None:
    nine = parse("every weekday at 09:00", "Europe/Berlin")
    friday, monday = datetime(2024, 3, 8, 8, tzinfo=UTC), datetime(2024, 3, 11, 8, tzinfo=UTC)

    assert list(nine.runs_between(friday, monday)) == [monday], "after the first, and up to the second"
    assert list(nine.runs_between(monday, friday)) == []
    far = datetime(2500, 1, 1, tzinfo=UTC)
    assert next(parse("every second").runs_between(friday, far)) == friday + timedelta(seconds=1)
    assert nine.latest_at_or_before(monday) == monday
    assert nine.latest_at_or_before(monday - timedelta(microseconds=1)) == friday
    assert nine.next_runs(friday, 1)[0].tzinfo is UTC


@pytest.mark.parametrize("expression", ["0 0 29 2 *", "*/7 2 29 2 *", "every 366 days", timedelta(days=366)])
@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Tokyo"])
def test_runs_end_with_the_calendar(expression: str | timedelta, zone: str) -> None:
    runs = parse(expression, zone).next_runs(datetime(9991, 1, 1, tzinfo=UTC), 100)

    assert 2 <= len(runs) < 100
    assert runs[-1].year >= 9996


def test_a_naive_time_is_local_time() -> None:
    hourly, now = parse("hourly"), datetime(2024, 3, 8, 8, 30, tzinfo=UTC)
    naive = now.astimezone().replace(tzinfo=None)

    assert hourly.latest_at_or_before(naive) == datetime(2024, 3, 8, 8, tzinfo=UTC)


expressions = st.one_of(
    st.builds(lambda n, unit: f"every {n} {unit}", st.integers(1, 8000), st.sampled_from(["seconds", "minutes"])),
    st.builds(lambda n, at: f"every {n} days at {at:%H:%M}", st.integers(1, 366), st.times()),
    st.builds(lambda n, at: f"every {n} weeks on fri and tue at {at:%H:%M}", st.integers(1, 52), st.times()),
)


@given(expressions.map(parse), st.integers(-(10**13), 10**14))
def test_an_instant_is_its_own_latest_and_not_its_own_next(recurrence: Interval, now_ms: int) -> None:
    latest, following = recurrence.latest(now_ms), recurrence.next_after(now_ms)

    assert latest <= now_ms < following
    assert recurrence.latest(latest) == latest
    assert recurrence.next_after(latest) == following
    assert recurrence.next_after(latest - 1) == latest
    assert recurrence.latest(following - 1) == latest
