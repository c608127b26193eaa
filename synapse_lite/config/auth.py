"""Secrets with which this server signs what it hands out."""

from __future__ import annotations

from synapse_lite.config._options import option, section


@section(title="Secrets")
class AuthConfig:
    """Secrets with which this server signs what it hands out. The same in every process."""

    macaroon_secret_key: str | None = option(
        default=None,
        doc="Signs short-lived tokens, such as those that log in another device.",
        secret=True,
    )
    form_secret: str | None = option(
        default=None,
        doc="Protects forms on web pages against forged requests.",
        secret=True,
    )
