"""Rate limits."""

from __future__ import annotations

from synapse_lite.config import _parsers
from synapse_lite.config._options import group, option, section


@group
class RateLimit:
    """A bucket: so many at once, refilled at a steady rate."""

    per_second: float = option(doc="How many are allowed per second in the long run.")
    burst_count: float = option(doc="How many are allowed at once.")


def limit(per_second: float, burst_count: float) -> RateLimit:
    """A RateLimit, written short."""
    return RateLimit(per_second=per_second, burst_count=burst_count)


@group
class LoginLimits:
    """Limits of log-ins."""

    address: RateLimit = option(default=limit(0.003, 5), doc="For one client address.")
    account: RateLimit = option(default=limit(0.003, 5), doc="For one account.")
    failed_attempts: RateLimit = option(
        default=limit(0.17, 3), doc="Wrong passwords for one account."
    )
    token: RateLimit = option(
        default=limit(0.017, 1), doc="Tokens for one account that log in another client."
    )


@group
class JoinLimits:
    """Limits of joins by one user."""

    local: RateLimit = option(
        default=limit(0.1, 10), doc="Of rooms in which this server already is."
    )
    remote: RateLimit = option(default=limit(0.01, 10), doc="Of rooms joined over federation.")


@group
class InviteLimits:
    """Limits of invites."""

    per_room: RateLimit = option(default=limit(0.3, 10), doc="Into one room.")
    per_user: RateLimit = option(default=limit(0.003, 5), doc="Of one invited user.")
    per_issuer: RateLimit = option(default=limit(0.3, 10), doc="By one inviting user.")


@group
class PresenceLimits:
    """Limits of presence."""

    per_user: RateLimit = option(default=limit(0.1, 1), doc="Updates by one user.")


@group
class FederationLimits:
    """How much one other server may ask for."""

    window_size: int = option(
        default=1000, doc="The window in which requests are counted.", parse=_parsers.duration
    )
    sleep_limit: int = option(
        default=10,
        doc="Requests in a window before more are delayed.",
        parse=_parsers.at_least(0),
    )
    sleep_delay: int = option(
        default=500, doc="By how much they are delayed.", parse=_parsers.duration
    )
    reject_limit: int = option(
        default=50, doc="Waiting requests before more are refused.", parse=_parsers.at_least(1)
    )
    concurrent: int = option(
        default=3, doc="Requests worked on at the same time.", parse=_parsers.at_least(1)
    )


@section(title="Rate limits")
class RatelimitingConfig:
    """How often something may be done. Each limit has `per_second` and `burst_count`."""

    rc_message: RateLimit = option(default=limit(0.2, 10), doc="Events sent by one user.")
    rc_registration: RateLimit = option(
        default=limit(0.17, 3), doc="Registrations from one address."
    )
    rc_registration_token_validity: RateLimit = option(
        default=limit(0.1, 5), doc="Checks of registration tokens from one address."
    )
    rc_login: LoginLimits = option(default=LoginLimits(), doc="Log-ins.")
    rc_refresh: RateLimit = option(
        default=limit(0.1, 20), doc="Refreshes of the access token of one log-in."
    )
    rc_openid: RateLimit = option(
        default=limit(0.1, 20), doc="OpenID tokens that one user asks for."
    )
    rc_admin_redaction: RateLimit | None = option(
        default=None,
        doc="Redactions by one administrator of a room.",
        shown_default="the value of `rc_message`",
        example={"per_second": 1, "burst_count": 50},
    )
    rc_joins: JoinLimits = option(default=JoinLimits(), doc="Joins by one user.")
    rc_joins_per_room: RateLimit = option(default=limit(1, 10), doc="Joins into one room.")
    rc_invites: InviteLimits = option(default=InviteLimits(), doc="Invites.")
    rc_3pid_validation: RateLimit = option(
        default=limit(0.003, 5), doc="Requests to confirm an email address or phone number."
    )
    rc_third_party_invite: RateLimit = option(
        default=limit(0.2, 10), doc="Invites by email address or phone number, by one user."
    )
    rc_media_create: RateLimit = option(
        default=limit(10, 50), doc="Media ids that one user reserves."
    )
    rc_presence: PresenceLimits = option(default=PresenceLimits(), doc="Presence updates.")
    rc_delayed_event_mgmt: RateLimit = option(
        default=limit(1, 5), doc="Changes of delayed events by one user."
    )
    rc_reports: RateLimit = option(default=limit(1, 5), doc="Reports of content by one user.")
    rc_room_creation: RateLimit = option(default=limit(0.016, 10), doc="Rooms created by one user.")
    rc_user_directory: RateLimit = option(
        default=limit(0.016, 200), doc="Searches of the user directory by one user."
    )
    rc_federation: FederationLimits = option(
        default=FederationLimits(), doc="Requests of one other server."
    )

    @property
    def admin_redaction(self) -> RateLimit:
        """`rc_admin_redaction`, or the limit of messages where it is not given."""
        return self.rc_admin_redaction or self.rc_message
