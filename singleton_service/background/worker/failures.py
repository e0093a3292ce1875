"""What becomes of a task whose attempt failed: again, and when, or never."""

from __future__ import annotations

import inspect
import logging
import random
from typing import TYPE_CHECKING, Any

from singleton_service.background.task_queue.checks import check_delay
from singleton_service.background.task_queue.codec import leased_task
from singleton_service.background.task_queue.outcomes import PermanentError, Retry, TaskResult
from singleton_service.background.task_queue.retry import retry_delay_s

if TYPE_CHECKING:
    from singleton_service.background.task_queue.lease import Lease
    from singleton_service.background.task_queue.policy import OnError, Policy

    from .loop import HandlerLoop

logger = logging.getLogger("singleton_service.worker")


def is_outcome(result: Any) -> bool:
    """Whether what a handler returned may be a failure, or wraps its result: all but the very most are just results."""
    return isinstance(result, TaskResult) or (type(result) is dict and len(result) == 2)


def returned_failure(result: Any) -> TaskResult | None:
    """Return the failure that a handler returned, if that is what *result* is."""
    if isinstance(result, TaskResult):
        return None if result.success else result
    # The word of an earlier system for it: these two keys and no others, so that no real result is taken for one.
    if type(result) is dict and len(result) == 2 and isinstance(retry := result.get("retry"), bool):
        error = result.get("error")
        if isinstance(error, str) and error:
            return TaskResult(success=False, error=error, retryable=retry)
    return None


class Judge:
    """Decides by the policies of the handlers. Never raises: whatever a user's hook does, the failure is kept."""

    def __init__(self, loop: HandlerLoop, retry_base_s: float, retry_cap_s: float) -> None:
        self._loop = loop
        self._base_s = retry_base_s
        self._cap_s = retry_cap_s

    def wait_s(self, lease: Lease, policy: Policy, error: BaseException, max_retries: int) -> float | None:
        """Return the seconds until the next attempt; None when the task has failed for good."""
        retry = lease.retry_count + 1
        wish = self._wish(lease, policy, error)
        if retry > max_retries or wish is False:
            return None
        if wish is not True:
            return wish
        chance = random.random()  # noqa: S311 - spreading load, not keeping secrets
        return retry_delay_s(policy, retry, base_s=self._base_s, cap_s=self._cap_s, chance=chance)

    def _wish(self, lease: Lease, policy: Policy, error: BaseException) -> bool | float:
        # The handler's own word comes first, then the hook's, then the rules.
        if isinstance(error, PermanentError):
            return False
        if isinstance(error, Retry):
            return True if error.delay_seconds is None else error.delay_seconds
        wish = None if policy.on_error is None else self._asked(policy.on_error, lease, error)
        return policy.allows(error) if wish is None else wish

    def _asked(self, on_error: OnError, lease: Lease, error: BaseException) -> bool | float | None:
        try:
            wish = on_error(leased_task(lease), error)
            if inspect.isawaitable(wish):
                wish = self._loop.run(wish)
            return wish if wish is None or isinstance(wish, bool) else check_delay("on_error's answer", wish)
        except BaseException:
            # SystemExit and the like, too, as from a handler.
            logger.exception("on_error of task %s failed; the rest of its policy decides", lease.id)
            return None
