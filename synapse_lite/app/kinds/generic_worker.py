"""The generic_worker: several kinds of worker in one process, as `worker_roles` says."""

from __future__ import annotations

from ...config import Config
from .._files import StartError
from .._process import Process, combine
from ..table import WORKERS


def choose(config: Config) -> Process:
    """The combination of the roles that the configuration names. Raises StartError."""
    roles = config.worker.roles
    known = {worker.name: worker for worker in WORKERS}
    unknown = [role for role in roles if role not in known]
    if unknown or not roles:
        raise StartError(
            f"worker_roles: expected at least one of {', '.join(sorted(known))}"
            + (f", found {unknown[0]}" if unknown else "")
        )
    return combine(
        "generic_worker",
        "Is several kinds of worker at once.",
        tuple(known[role] for role in dict.fromkeys(roles)),
    )
