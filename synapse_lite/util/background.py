"""Starting coroutines outside of a request.

Nothing else starts one: a bare `ensureDeferred` would lose the failure of what it runs.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import Any, ParamSpec, TypeVar, cast

from twisted.internet.defer import CancelledError, Deferred

logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")


async def _awaited(awaitable: Awaitable[T]) -> T:
    return await awaitable


def start(awaitable: Awaitable[T]) -> Deferred[T]:
    """Run an awaitable up to where it first waits. The caller must look after its failure."""
    return Deferred.fromCoroutine(_awaited(awaitable))


def name_of(fn: Callable[..., Any]) -> str:
    """What to call a function in the log."""
    return getattr(fn, "__qualname__", None) or repr(fn)


async def run_logged(
    name: str, fn: Callable[P, Awaitable[T] | T], *args: P.args, **kwargs: P.kwargs
) -> T | None:
    """Call a function, sync or async; log its failure instead of raising it.

    None after a failure. Cancellation is no failure.
    """
    try:
        result = fn(*args, **kwargs)
        if inspect.isawaitable(result):
            return await cast(Awaitable[T], result)
        return result
    except CancelledError:
        logger.debug("%s was cancelled", name)
    except Exception:
        logger.exception("%s failed", name)
    return None


def run_in_background(
    fn: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs
) -> Deferred[T | None]:
    """Start `fn(*args, **kwargs)` and go on without waiting for it.

    Its failure is logged with its traceback. The Deferred fires with the result, or with None
    after a failure; it never fails, and cancelling it cancels the work.
    """
    return Deferred.fromCoroutine(run_logged(name_of(fn), fn, *args, **kwargs))
