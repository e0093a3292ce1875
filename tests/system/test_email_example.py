"""E-mail as background jobs, against the SMTP server that the example brings along, and the page about it."""

from __future__ import annotations

import re
import signal
from typing import TYPE_CHECKING

from tests.system.place import EXAMPLES, read_line

if TYPE_CHECKING:
    from tests.system.place import Place

PAGE = (EXAMPLES.parent / "docs/howto/send-email.md").read_text(encoding="utf-8")


def without_port(printed: str) -> str:
    return re.sub(r"127\.0\.0\.1:\d+", "HERE", printed)


def test_each_letter_is_sent_tried_again_or_given_up_as_the_page_says(place: Place) -> None:
    (shown,) = re.findall(r"^```console\n\$ python examples/email_jobs.py\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)

    status, printed = place.run_example("email_jobs.py")

    assert (status, without_port(printed)) == (0, without_port(shown))


def test_the_page_shows_the_example_as_it_is() -> None:
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)

    example = (EXAMPLES / "email_jobs.py").read_text(encoding="utf-8")
    assert [block for block in blocks if block not in example] == []
    assert len(blocks) >= 4


LOOK = """
from services.task_queue import TaskQueueService
for task in TaskQueueService.list_tasks(name="send_email").tasks:
    print(task.payload["recipient"], task.status.value)
"""


def test_ctrl_c_ends_it_and_keeps_what_was_not_sent(place: Place) -> None:
    program = place.start_example("email_jobs.py")
    read_line(program, "^ada   delivered")
    program.send_signal(signal.SIGINT)
    printed, _ = program.communicate(timeout=40)

    assert program.returncode == 130, printed
    assert printed == "\nInterrupted. What was not sent yet stays in the queue, for the next run.\n"
    kept = dict(line.split() for line in place.start("-c", LOOK).communicate(timeout=30)[0].splitlines())
    assert kept["ada@example.com"] == "completed"
    assert kept["busy@example.com"] in {"pending", "retrying", "completed"}
    assert kept["gone@example.com"] in {"pending", "failed"}
