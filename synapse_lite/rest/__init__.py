"""Servlets: parse, call one handler, answer. `SERVLETS` is the one list of all."""

from __future__ import annotations

from ..http.endpoint import Servlet
from ..replication import send_event, token_confirmation
from . import admin, client, well_known

SERVLETS: tuple[type[Servlet], ...] = (
    *client.SERVLETS,
    *admin.SERVLETS,
    *well_known.SERVLETS,
    # What workers ask of the master.
    *send_event.SERVLETS,
    *token_confirmation.SERVLETS,
)
