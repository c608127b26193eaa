"""Options of registration and passwords."""

from __future__ import annotations

from collections.abc import Iterator

from synapse_lite.config import _parsers
from synapse_lite.config._options import group, option, section


@section(title="Registration")
class RegistrationConfig:
    """Who may make an account."""

    enable_registration: bool = option(
        default=False,
        doc="Let people register. Needs `registration_requires_token` or "
        "`enable_registration_without_verification`.",
    )
    enable_registration_without_verification: bool = option(
        default=False, doc="Let anybody register, unchecked. An open door for spam."
    )
    registration_requires_token: bool = option(
        default=False, doc="Ask for a registration token, which administrators hand out."
    )
    registration_shared_secret: str | None = option(
        default=None,
        doc="Whoever knows it can make accounts, also administrators, through the admin API.",
        secret=True,
    )
    allow_guest_access: bool = option(default=False, doc="Let guests in without an account.")
    auto_join_rooms: tuple[str, ...] = option(
        default=(),
        doc="Aliases of rooms that new users join.",
        example=["#welcome:example.com"],
        parse=_parsers.room_alias,
    )
    bcrypt_rounds: int = option(
        default=12,
        doc="Cost of a password hash; each step doubles it. 4 to 31.",
        parse=_parsers.between(4, 31),
    )

    def check(self) -> Iterator[tuple[str, str]]:
        checked = self.registration_requires_token or self.enable_registration_without_verification
        if self.enable_registration and not checked:
            yield (
                "enable_registration",
                "anybody could register: set registration_requires_token, or "
                "enable_registration_without_verification if that is what you want",
            )


@group
class PasswordPolicy:
    """What a new password must have."""

    enabled: bool = option(default=False, doc="Hold new passwords against this policy.")
    minimum_length: int = option(
        default=0, doc="Fewest characters.", parse=_parsers.between(0, 512)
    )
    require_digit: bool = option(default=False, doc="At least one digit.")
    require_symbol: bool = option(default=False, doc="At least one symbol.")
    require_lowercase: bool = option(default=False, doc="At least one lower-case letter.")
    require_uppercase: bool = option(default=False, doc="At least one upper-case letter.")


@section(nested="password_config", title="Passwords")
class PasswordConfig:
    """Log-in with passwords."""

    enabled: bool = option(default=True, doc="Let people log in with a password.")
    localdb_enabled: bool = option(
        default=True, doc="Check passwords against this server's own database."
    )
    pepper: str = option(
        default="",
        doc="Secret text added to each password before hashing. Changing it voids all passwords.",
        secret=True,
    )
    policy: PasswordPolicy = option(
        default=PasswordPolicy(),
        doc="What a new password must have.",
        shown_default="no policy",
        example={"enabled": True, "minimum_length": 12},
    )
