"""Options of the server as a whole: its name, its addresses, its listeners."""

from __future__ import annotations

from synapse_lite.config import _parsers
from synapse_lite.config._options import option, section
from synapse_lite.config.listeners import Listener, ListenerResource

ROOM_VERSIONS = tuple(str(version) for version in range(1, 13))
"""The room versions of the specification; `events` has a value for each."""

DEFAULT_LISTENERS = (
    Listener(
        port=8008,
        resources=(ListenerResource(names=("client", "federation", "media", "keys", "health")),),
    ),
)


@section(title="Server")
class ServerConfig:
    """The server's name, and how it is reached."""

    server_name: str = option(
        doc="The name at the end of user ids and aliases. It cannot be changed later.",
        example="example.com",
        parse=_parsers.server_name,
    )
    public_baseurl: str | None = option(
        default=None,
        doc="Where clients reach the client-server API. Sent in log-in answers and in "
        "/.well-known/matrix/client.",
        example="https://matrix.example.com",
        parse=_parsers.http_uri,
    )
    serve_server_wellknown: bool = option(
        default=False,
        doc="Answer /.well-known/matrix/server, so that other servers come to port 443.",
    )
    admin_contact: str | None = option(
        default=None,
        doc="How to reach the administrator, shown to users who run into a limit and in "
        "/.well-known/matrix/support.",
        example="mailto:admin@example.com",
    )
    listeners: tuple[Listener, ...] = option(
        default=DEFAULT_LISTENERS,
        doc="The ports of the master. Workers have their own in `worker_listeners`.",
        shown_default="HTTP on port 8008 of the loopback addresses",
        example=[
            {
                "port": 8008,
                "type": "http",
                "bind_addresses": ["127.0.0.1", "::1"],
                "x_forwarded": True,
                "resources": [
                    {"names": ["client", "federation", "media", "health"], "compress": False}
                ],
            },
            {"port": 9092, "type": "replication", "bind_addresses": ["127.0.0.1"]},
            {
                "port": 9093,
                "type": "http",
                "bind_addresses": ["127.0.0.1"],
                "resources": [{"names": ["replication"]}],
            },
        ],
    )
    default_room_version: str = option(
        default="12",
        doc="Version of rooms created without naming one: 1 to 12.",
        parse=_parsers.one_of(*ROOM_VERSIONS),
    )
    allow_public_rooms_over_federation: bool = option(
        default=False, doc="Show the list of public rooms to other servers."
    )
    allow_public_rooms_without_auth: bool = option(
        default=False, doc="Show the list of public rooms to clients that are not logged in."
    )
    require_auth_for_profile_requests: bool = option(
        default=False, doc="Show profiles only to clients that are logged in."
    )
    filter_timeline_limit: int = option(
        default=100,
        doc="Most events in one room's part of an answer, whatever the client's filter asks for.",
        parse=_parsers.at_least(1),
    )
    block_non_admin_invites: bool = option(
        default=False, doc="Let only server administrators invite."
    )
    report_stats: bool = option(
        default=False,
        doc="Accepted because existing configurations carry it. No statistics are ever sent.",
    )
    suppress_key_server_warning: bool = option(
        default=False,
        doc="Do not warn at start that keys are fetched through a trusted key server.",
    )


@section(nested="presence", title="Presence")
class PresenceConfig:
    """Who is online."""

    enabled: bool = option(
        default=True,
        doc="Track and show presence. Turning it off saves work on every process.",
        alias="use_presence",
    )
