"""The admin API, at the paths that existing admin tools use."""

from __future__ import annotations

from ...http.endpoint import Servlet

SERVLETS: tuple[type[Servlet], ...] = ()
