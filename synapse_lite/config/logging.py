"""Options of logging."""

from __future__ import annotations

from synapse_lite.config import _parsers
from synapse_lite.config._options import option, section


@section(title="Logging")
class LoggingConfig:
    """Where log lines go. Without a file they go to standard error."""

    log_config: str | None = option(
        default=None,
        doc="A YAML file in the form of Python's logging.config.dictConfig. SIGHUP reopens the "
        "files that it names.",
        example="log.yaml",
        parse=_parsers.path,
    )
