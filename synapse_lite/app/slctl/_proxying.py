"""The proxy configuration of the processes that configuration files describe."""

from __future__ import annotations

from ...rest.servlets import SERVLETS
from .._nginx import NginxSettings, render_server
from .._proxy import backend_of
from ..table import WORKERS
from ._fleet import Fleet


def render_fleet(fleet: Fleet, settings: NginxSettings) -> str:
    """What nginx needs inside `http { … }` for the master and workers of a fleet.

    Raises ProxyError.
    """
    assert fleet.master is not None
    found = (backend_of(instance.process, instance.config) for instance in fleet.all)
    return render_server(
        fleet.master.config,
        WORKERS,
        [backend for backend in found if backend is not None],
        SERVLETS,
        settings,
    )
