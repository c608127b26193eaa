"""A site with a few endpoints, for the tests of this package."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from twisted.internet.task import Clock as FakeReactor

from synapse_lite.api.errors import (
    GuestAccessForbiddenError,
    MissingTokenError,
    UnknownTokenError,
)
from synapse_lite.config import config_from_dict
from synapse_lite.config.listeners import Listener, ListenerResource
from synapse_lite.crypto.signing import SigningKey
from synapse_lite.http.answering import TranslateError
from synapse_lite.http.authenticator import Authenticator, ServerAuthenticator
from synapse_lite.http.endpoint import Request, Servlet
from synapse_lite.http.site import Site, build_site
from synapse_lite.server import Homeserver
from synapse_lite.types.requester import Requester
from synapse_lite.util.clock import Clock

TOKENS = {
    "user-token": Requester("@user:test"),
    "other-token": Requester("@other:test"),
    "guest-token": Requester("@guest:test", is_guest=True),
    "admin-token": Requester("@admin:test", is_admin=True),
    "bridge-token": Requester("@bridge:test", app_service_id="bridge"),
}


class FakeAuthenticator(Authenticator):
    """Knows `TOKENS`."""

    def __init__(self, hs: Homeserver) -> None:
        pass

    async def authenticate(
        self, request: Request, *, allow_guest: bool, required: bool
    ) -> Requester | None:
        token = request.access_token
        if token is None:
            if required:
                raise MissingTokenError("Missing access token")
            return None
        requester = TOKENS.get(token)
        if requester is None:
            raise UnknownTokenError
        if requester.is_guest and not allow_guest:
            raise GuestAccessForbiddenError("Guests may not do this")
        return requester

    def is_rate_limited(self, requester: Requester) -> bool:
        return requester.app_service_id is None


class FakeServerAuthenticator(ServerAuthenticator):
    """Lets everybody be `remote.test`."""

    def __init__(self, hs: Homeserver) -> None:
        pass

    async def server(self, request: Request) -> str:
        return "remote.test"


def make_hs(reactor: FakeReactor, **config: Any) -> Homeserver:
    """A homeserver that knows who has which token."""
    return Homeserver(
        config_from_dict({"server_name": "test", **config}),
        Clock(reactor),
        reactor,
        signing_key=SigningKey("a_1", bytes(32)),
        process_name="master",
        instance_name="master",
        bindings={
            Authenticator: FakeAuthenticator,
            ServerAuthenticator: FakeServerAuthenticator,
        },
    )


def make_site(
    *servlets: type[Servlet],
    reactor: FakeReactor | None = None,
    resources: tuple[str, ...] = ("client", "federation", "replication", "metrics"),
    compress: bool = False,
    x_forwarded: bool = False,
    kinds: Collection[str] | None = None,
    translate_error: TranslateError | None = None,
    **config: Any,
) -> Site:
    """A site that serves the servlets under every resource named."""
    listener = Listener(
        port=8008,
        x_forwarded=x_forwarded,
        resources=(ListenerResource(names=resources, compress=compress),),
    )
    return build_site(
        make_hs(reactor or FakeReactor(), **config),
        listener,
        servlets,
        kinds=kinds,
        translate_error=translate_error,
    )
