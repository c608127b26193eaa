"""Options of federation."""

from __future__ import annotations

from collections.abc import Iterator

from synapse_lite.config import _parsers
from synapse_lite.config._options import option, section


@section(title="Federation")
class FederationConfig:
    """With which servers this one speaks."""

    federation_domain_whitelist: tuple[str, ...] | None = option(
        default=None,
        doc="Speak only with these servers. An empty list turns federation off.",
        parse=_parsers.server_name,
        shown_default="all servers",
        example=["lon.example.com", "nyc.example.com"],
    )

    def allows(self, server_name: str) -> bool:
        """Whether this server may speak with another."""
        allowed = self.federation_domain_whitelist
        return allowed is None or server_name in allowed


@section(nested="federation", title="Back-off")
class BackoffConfig:
    """How often servers that do not answer are tried again."""

    client_timeout: int = option(
        default=60 * 1000,
        doc="How long a request may take before it has failed.",
        parse=_parsers.duration,
    )
    destination_min_retry_interval: int = option(
        default=10 * 60 * 1000,
        doc="Pause after the first failure.",
        parse=_parsers.duration,
    )
    destination_retry_multiplier: float = option(
        default=2.0, doc="By how much the pause grows with each further failure."
    )
    destination_max_retry_interval: int = option(
        default=7 * 24 * 60 * 60 * 1000,
        doc="The longest pause.",
        parse=_parsers.duration,
    )

    def check(self) -> Iterator[tuple[str, str]]:
        if self.destination_retry_multiplier < 1:
            yield "federation.destination_retry_multiplier", "must be 1 or more"
        if self.destination_max_retry_interval < self.destination_min_retry_interval:
            yield (
                "federation.destination_max_retry_interval",
                "must not be shorter than federation.destination_min_retry_interval",
            )
