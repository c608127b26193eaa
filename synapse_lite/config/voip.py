"""Options of calls between two users."""

from __future__ import annotations

from collections.abc import Iterator

from synapse_lite.config import _parsers
from synapse_lite.config._options import option, section


@section("turn_", title="TURN")
class TurnConfig:
    """The TURN server through which calls find their way out of private networks."""

    uris: tuple[str, ...] = option(
        default=(),
        doc="The addresses of the TURN server. Without any, clients are told of none.",
        example=["turn:turn.example.com?transport=udp", "turn:turn.example.com?transport=tcp"],
    )
    shared_secret: str | None = option(
        default=None,
        doc="What this server and the TURN server both know; each user gets a name and a password "
        "made with it (`static-auth-secret` of coturn).",
        secret=True,
    )
    username: str | None = option(
        default=None,
        doc="A name that all users share, where there is no shared secret.",
        example="matrix",
    )
    password: str | None = option(
        default=None, doc="The password that goes with that name.", secret=True
    )
    user_lifetime: int = option(
        default=60 * 60 * 1000,
        doc="How long what a user is given is good.",
        parse=_parsers.duration,
        shown_default="1h",
    )
    allow_guests: bool = option(default=True, doc="Let guests use the TURN server too.")

    def check(self) -> Iterator[tuple[str, str]]:
        if (self.username is None) != (self.password is None):
            yield "turn_username", "needs turn_password, and the other way round"
