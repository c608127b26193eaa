"""Which kind of process a configuration is for."""

from __future__ import annotations

from ..config import Config
from ._files import StartError
from ._process import Process
from .kinds.generic_worker import choose
from .table import MASTER, WORKERS

APP_PACKAGE = "synapse_lite.app"
GENERIC_WORKER_APP = f"{APP_PACKAGE}.generic_worker"


def process_for(config: Config) -> Process:
    """The process that a configuration starts. Raises StartError."""
    app = config.worker.app
    if app is None:
        return MASTER
    if app == GENERIC_WORKER_APP:
        return choose(config)
    for worker in WORKERS:
        if worker.app == app:
            return worker
    known = ", ".join(sorted([GENERIC_WORKER_APP, *(worker.app for worker in WORKERS)]))
    raise StartError(f"worker_app: there is no {app}; there are {known}")
