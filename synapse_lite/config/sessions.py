"""How long sessions of clients last."""

from __future__ import annotations

from collections.abc import Iterator

from synapse_lite.config import _parsers
from synapse_lite.config._options import option, section


@section(title="Sessions")
class SessionsConfig:
    """How long a log-in and its tokens are good."""

    session_lifetime: int | None = option(
        default=None,
        doc="How long a log-in lasts at most, however often it is refreshed. Later changes do not "
        "concern log-ins that are there.",
        example="30d",
        parse=_parsers.duration,
        shown_default="for ever",
    )
    refreshable_access_token_lifetime: int = option(
        default=5 * 60 * 1000,
        doc="How long an access token is good for clients that refresh their tokens.",
        parse=_parsers.duration,
        shown_default="5m",
    )
    refresh_token_lifetime: int | None = option(
        default=None,
        doc="How long a refresh token is good if it is not used.",
        example="24h",
        parse=_parsers.duration,
        shown_default="for ever",
    )
    nonrefreshable_access_token_lifetime: int | None = option(
        default=None,
        doc="How long an access token is good for clients that do not refresh theirs. They have "
        "to log in again after that.",
        example="24h",
        parse=_parsers.duration,
        shown_default="for ever",
    )

    def check(self) -> Iterator[tuple[str, str]]:
        for name in (
            "session_lifetime",
            "refreshable_access_token_lifetime",
            "refresh_token_lifetime",
            "nonrefreshable_access_token_lifetime",
        ):
            if getattr(self, name) == 0:
                yield name, "must be longer than nothing"


@section(nested="login_via_existing_session", title="Log-in from another device")
class ExistingSessionConfig:
    """Whether a client that is logged in may let another one in, as by a QR code."""

    enabled: bool = option(
        default=False, doc="Hand out tokens that log in another client of the same user."
    )
    require_ui_auth: bool = option(
        default=True, doc="Ask for the password before a token is handed out."
    )
    token_timeout: int = option(
        default=5 * 60 * 1000,
        doc="How long such a token is good.",
        parse=_parsers.duration,
        shown_default="5m",
    )
