"""Sample handlers, for a first try only: they pretend to work, and say so each time.

Registered when workers are started in a process that has registered nothing of its own.
"""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from singleton_service.background.task_queue.handlers import Handler

if TYPE_CHECKING:
    from singleton_service.background.task_queue.handlers import HandlerRegistry

logger = logging.getLogger("singleton_service.worker")


def send_email(payload: dict[str, Any]) -> dict[str, Any]:
    """Pretend to send an e-mail, for 2 seconds."""
    _pretend("nothing was sent", 2)
    return {"status": "sent", "recipient": payload.get("recipient"), "sent_at": datetime.now(UTC).isoformat()}


def process_image(payload: dict[str, Any]) -> dict[str, Any]:
    """Pretend to process an image, for 5 seconds."""
    _pretend("no image was touched", 5)
    url = payload.get("image_url")
    return {
        "status": "processed",
        "original_url": url,
        "processed_url": f"{url}_processed.jpg",
        "operations_applied": payload.get("operations", []),
    }


def generate_report(payload: dict[str, Any]) -> dict[str, Any]:
    """Pretend to write a report, for 10 seconds."""
    _pretend("nothing was written", 10)
    kind = payload.get("type")
    return {
        "status": "generated",
        "report_type": kind,
        "date_range": payload.get("date_range"),
        "file_path": f"/reports/{kind}_{int(time.time())}.pdf",
    }


def register_samples(handlers: HandlerRegistry) -> None:
    """Register the three sample handlers."""
    for function in (send_email, process_image, generate_report):
        handlers.register(Handler(function.__name__, function, origin="sample"))


def _pretend(what: str, seconds: float) -> None:
    logger.warning("sample handler: %s. Register your own: TaskQueueService.register_handler(name, function)", what)
    time.sleep(seconds)
