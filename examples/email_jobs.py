"""E-mail as background jobs: payloads with types, and errors that are worth another try or not.

    python examples/email_jobs.py

Four letters go to a real SMTP server, which this program brings along. One is addressed so badly that it never gets
into the queue; the others the server takes at once, takes at the third try, and will never take.
"""

from __future__ import annotations

import logging
import smtplib
import sys
from email.message import EmailMessage
from typing import Annotated

from pydantic import BaseModel, Field

from post_office import PostOffice
from services.task_queue import (
    PermanentError,
    Retry,
    TaskFailedError,
    TaskHandle,
    TaskQueueError,
    TaskQueueService,
    current_task,
    task,
)
from services.worker import WorkerService
from singleton_service import stop
from singleton_service.exceptions import ServiceError


class Letter(BaseModel):
    """What `send_email` takes. It is checked where the letter is enqueued, and again before it is sent."""

    recipient: Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$")]
    subject: Annotated[str, Field(min_length=1)]
    text: str = ""


@task(queue="mail", max_retries=5, retry_delay_seconds=0.2, retry_backoff=True, timeout=30)
def send_email(letter: Letter) -> dict[str, object]:
    """Hand a letter to the SMTP server, and take its word for whether another try makes sense.

    Other errors, such as a server that does not answer, are tried again as the task's policy says.
    """
    message = EmailMessage()
    message["From"] = "shop@example.com"
    message["To"] = letter.recipient
    message["Subject"] = letter.subject
    running = current_task()
    if running:
        # The same at each attempt: mailboxes show a letter that came twice once.
        message["Message-ID"] = f"<{running.id}@example.com>"
    message.set_content(letter.text)
    host, port = PostOffice.address()
    try:
        with smtplib.SMTP(host, port, timeout=10) as smtp:
            smtp.send_message(message)
    except smtplib.SMTPRecipientsRefused as refusal:
        code, words = refusal.recipients[letter.recipient]
        answer = f"{code} {words.decode()}"
        if code >= 500:
            raise PermanentError(answer) from refusal
        raise Retry(reason=answer) from refusal
    return {"to": letter.recipient, "attempts": running.attempt if running else 1}


def main() -> int:
    """Send the letters; return the exit status."""
    # Each failed attempt is logged as it happens. Here they are shown at the end, letter by letter.
    logging.getLogger("singleton_service").setLevel(logging.CRITICAL)
    try:
        print("The post office is open on {}:{}.".format(*PostOffice.address()))
        WorkerService.start_workers(num_workers=2, queues="mail")
        refuse_to_enqueue("ada at example.com")
        letters = {name: send_email.enqueue(welcome(f"{name}@example.com")) for name in ("ada", "busy", "gone")}
        for name, handle in letters.items():
            show(name, handle)
        for message in PostOffice.delivered():
            print(f"In the mailbox of {message['To']}: {message['Subject']}")
    except (TaskQueueError, ServiceError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted. What was not sent yet stays in the queue, for the next run.", file=sys.stderr)
        return 130
    finally:
        stop()
    return 0


def welcome(recipient: str) -> Letter:
    """Write a letter."""
    return Letter(recipient=recipient, subject="Welcome!", text="It is good to have you with us.")


def refuse_to_enqueue(recipient: str) -> None:
    """Show that a bad address comes back to whoever wrote it, and nowhere near the queue."""
    try:
        TaskQueueService.enqueue_task("send_email", {"recipient": recipient, "subject": "Welcome!"})
    except ValueError as error:
        print(f"Not enqueued: {error}")


def show(name: str, handle: TaskHandle) -> None:
    """Wait for a letter's end, and tell what each attempt to send it came to."""
    try:
        handle.get(timeout=30)
        end = "delivered"
    except TaskFailedError:
        end = "given up, that answer is for good"
    sent = TaskQueueService.get_task_status(handle.id)
    answers = [failed.message.removeprefix("Task execution failed: ") for failed in sent.errors] if sent else []
    for attempt, answer in enumerate(answers, 1):
        print(f"{name:5} attempt {attempt}: {answer}")
    print(f"{name:5} {end}")


if __name__ == "__main__":
    sys.exit(main())
