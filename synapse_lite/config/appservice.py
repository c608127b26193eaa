"""Options of application services."""

from __future__ import annotations

from synapse_lite.config import _parsers
from synapse_lite.config._options import option, section


@section(title="Application services")
class AppserviceConfig:
    """Bridges and bots with their own namespaces."""

    app_service_config_files: tuple[str, ...] = option(
        default=(),
        doc="The registration files of application services.",
        example=["irc-registration.yaml"],
        parse=_parsers.path,
    )
