"""Options of TLS, for our listeners and for what we ask of other servers."""

from __future__ import annotations

from collections.abc import Iterator

from synapse_lite.config import _parsers
from synapse_lite.config._options import option, section
from synapse_lite.config._problems import BadValueError, Source


def _tls_version(value: object, source: Source) -> str:
    # YAML reads an unquoted 1.2 as a number, and existing files are full of them.
    if str(value) not in ("1.2", "1.3"):
        raise BadValueError("1.2 or 1.3")
    return str(value)


@section(title="TLS")
class TlsConfig:
    """Certificates of listeners with `tls: true`, and how those of other servers are checked."""

    tls_certificate_path: str | None = option(
        default=None,
        doc="The certificate chain in PEM form.",
        parse=_parsers.path,
        example="/etc/ssl/matrix/fullchain.pem",
    )
    tls_private_key_path: str | None = option(
        default=None,
        doc="The private key in PEM form.",
        parse=_parsers.path,
        example="/etc/ssl/matrix/privkey.pem",
    )
    federation_verify_certificates: bool = option(
        default=True, doc="Check the certificates of other servers. Turn off only in test networks."
    )
    federation_custom_ca_list: tuple[str, ...] = option(
        default=(),
        doc="Certificate authorities (PEM files) for federation, in place of the system's.",
        parse=_parsers.path,
        example=["ca.pem"],
    )
    federation_client_minimum_tls_version: str = option(
        default="1.2",
        doc="The oldest TLS version that we speak to other servers: 1.2 or 1.3.",
        parse=_tls_version,
    )

    def check(self) -> Iterator[tuple[str, str]]:
        if (self.tls_certificate_path is None) != (self.tls_private_key_path is None):
            missing = (
                "tls_certificate_path"
                if self.tls_certificate_path is None
                else "tls_private_key_path"
            )
            yield missing, "is required: certificate and private key are given together"
