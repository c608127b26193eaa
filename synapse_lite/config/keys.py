"""Options of signing keys: ours, our old ones, and who may vouch for those of others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from synapse_lite.config import _parsers
from synapse_lite.config._options import group, option, section


@group
class OldSigningKey:
    """A key that signs nothing any more."""

    key: str = option(doc="The public key in unpadded base64.")
    expired_ts: int = option(doc="When it stopped signing, in ms since the epoch.")


@group
class TrustedKeyServer:
    """A server that is asked for the keys of others."""

    server_name: str = option(doc="Its name.", parse=_parsers.server_name, example="matrix.org")
    verify_keys: Mapping[str, str] = option(
        default={}, doc="Its own keys: key id to public key in unpadded base64."
    )
    accept_keys_insecurely: bool = option(
        default=False, doc="Take answers that only TLS protects, when `verify_keys` is empty."
    )


@section(title="Keys")
class KeysConfig:
    """Signing keys."""

    signing_key_path: str = option(
        default="signing.key",
        doc="The file with the server's signing key: `ed25519 <key id> <unpadded base64 seed>`.",
        parse=_parsers.path,
    )
    signing_key: str | None = option(
        default=None,
        doc="The signing key itself, in the form of the file. Takes the place of "
        "`signing_key_path`.",
        secret=True,
        from_file=False,
    )
    old_signing_keys: Mapping[str, OldSigningKey] = option(
        default={},
        doc="Keys that signed older events, published so that others can still verify those.",
        example={"ed25519:old": {"key": "base64string", "expired_ts": 1576767829750}},
    )
    key_refresh_interval: int = option(
        default=24 * 60 * 60 * 1000,
        doc="For how long others may keep our published keys before they ask again.",
        parse=_parsers.duration,
    )
    trusted_key_servers: tuple[TrustedKeyServer, ...] = option(
        default=(),
        doc="Servers to ask for the keys of servers that do not answer themselves. None is asked "
        "by default.",
        example=[{"server_name": "matrix.org"}],
    )

    def check(self) -> Iterator[tuple[str, str]]:
        if self.signing_key is not None and len(self.signing_key.split()) != 3:
            yield "signing_key", "must be `ed25519 <key id> <unpadded base64 seed>`"
