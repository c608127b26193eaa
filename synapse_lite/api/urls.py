"""Prefixes of the paths of each API; endpoints name one of these tuples.

Clients keep using every prefix that an endpoint ever had, so all are mounted.
"""

from __future__ import annotations

CLIENT = (
    "/_matrix/client/v3",
    "/_matrix/client/r0",
    "/_matrix/client/api/v1",
    "/_matrix/client/unstable",
)
"""Endpoints that have existed since the first versions."""

CLIENT_V1 = ("/_matrix/client/v1",)
"""Endpoints that came with Matrix 1.x."""

CLIENT_ROOT = ("/_matrix/client",)
"""Only `/versions`."""

ADMIN_V1 = ("/_synapse/admin/v1",)
ADMIN_V2 = ("/_synapse/admin/v2",)
WELL_KNOWN = ("/.well-known/matrix",)
FEDERATION_V1 = ("/_matrix/federation/v1",)
FEDERATION_V2 = ("/_matrix/federation/v2",)
SERVER_KEYS = ("/_matrix/key/v2",)
REPLICATION = ("/_synapse/replication",)
ROOT = ("",)
"""Endpoints outside any API, such as `/health`."""
