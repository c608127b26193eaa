"""The client-server API: one module for each family of endpoints."""

from __future__ import annotations

from ...http.endpoint import Servlet

# One line for each module: `*module.SERVLETS`.
SERVLETS: tuple[type[Servlet], ...] = ()
