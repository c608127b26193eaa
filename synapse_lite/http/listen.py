"""Opens and closes the ports of `listeners`."""

from __future__ import annotations

import errno
import logging
from typing import Any

import attrs
from twisted.internet.defer import maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IOpenSSLContextFactory, IProtocolFactory
from zope.interface import implementer

from ..config.listeners import Listener
from ..config.tls import TlsConfig
from ..util.clock import Clock
from .site import Site

try:
    from OpenSSL import SSL
except ImportError:  # a process that speaks no TLS leaves it out, see `app._launch`
    SSL = None  # type: ignore[assignment]

logger = logging.getLogger(__name__)

# Forward secrecy and authenticated encryption only; TLS 1.3 has its own, all of which are fit.
_CIPHERS = b"ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL:!PSK"

_BACKLOG = 1024
_DRAIN_STEP_SECONDS = 0.05


@implementer(IOpenSSLContextFactory)
class Certificates:
    """The certificate and key of TLS listeners; new connections get what was read last."""

    def __init__(self, config: TlsConfig) -> None:
        """Nothing is read before `load`."""
        self._certificate_path = config.tls_certificate_path
        self._key_path = config.tls_private_key_path
        self._context: SSL.Context | None = None

    def load(self) -> None:
        """Read both files. Raises OSError or OpenSSL.SSL.Error, and then changes nothing."""
        if self._certificate_path is None or self._key_path is None:
            raise OSError(errno.ENOENT, "No certificate is configured")
        with open(self._certificate_path, "rb"), open(self._key_path, "rb"):
            # OpenSSL's own errors do not say which file cannot be read; these do.
            pass
        context = SSL.Context(SSL.TLS_SERVER_METHOD)
        context.set_min_proto_version(SSL.TLS1_2_VERSION)
        context.set_options(
            SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION | SSL.OP_CIPHER_SERVER_PREFERENCE
        )
        context.set_cipher_list(_CIPHERS)
        context.use_certificate_chain_file(self._certificate_path)
        context.use_privatekey_file(self._key_path)
        context.check_privatekey()
        self._context = context

    def reload(self) -> None:
        """Read them again, as on SIGHUP; if they are unusable, go on with the old ones."""
        try:
            self.load()
        except (OSError, SSL.Error) as error:
            logger.error("The TLS certificate was not reloaded: %s", error)
        else:
            logger.info("The TLS certificate was reloaded")

    def getContext(self) -> SSL.Context:
        """The context of the next connection."""
        if self._context is None:
            self.load()
        assert self._context is not None
        return self._context


@attrs.frozen(eq=False)
class OpenListener:
    """A listener whose ports are open. `factory` is a `Site` for those that speak HTTP."""

    listener: Listener
    factory: IProtocolFactory
    ports: tuple[IListeningPort, ...]

    async def close_ports(self) -> None:
        """Accept no more connections."""
        for port in self.ports:
            await maybeDeferred(port.stopListening)


def open_listener(
    reactor: Any,
    listener: Listener,
    factory: IProtocolFactory,
    certificates: Certificates | None = None,
) -> OpenListener:
    """Listen on every address of a listener.

    An address that this machine does not have is passed over, as long as one is left; so is
    `0.0.0.0` where `::` takes IPv4 as well. Raises CannotListenError, with all ports closed.
    """
    ports: list[IListeningPort] = []
    bound: set[str] = set()
    # "::" comes first, because whether "0.0.0.0" may fail depends on it.
    for address in sorted(listener.bind_addresses, key=lambda item: item != "::"):
        try:
            ports.append(_listen(reactor, listener, address, factory, certificates))
            bound.add(address)
        except CannotListenError as error:
            if not _may_be_missing(error, address, bound):
                _abandon(ports)
                raise
            logger.warning("Not listening on %s port %d: %s", address, listener.port, error)
            last_error = error
    if not ports:
        raise last_error
    logger.info("Listening on port %d (%s)", listener.port, ", ".join(sorted(bound)))
    return OpenListener(listener, factory, tuple(ports))


def _listen(
    reactor: Any,
    listener: Listener,
    address: str,
    factory: IProtocolFactory,
    certificates: Certificates | None,
) -> IListeningPort:
    port: IListeningPort
    if not listener.tls:
        port = reactor.listenTCP(listener.port, factory, backlog=_BACKLOG, interface=address)
        return port
    if certificates is None:
        raise ValueError(f"The listener on port {listener.port} needs certificates")
    port = reactor.listenSSL(
        listener.port, factory, certificates, backlog=_BACKLOG, interface=address
    )
    return port


def _may_be_missing(error: CannotListenError, address: str, bound: set[str]) -> bool:
    code = getattr(error.socketError, "errno", None)
    if code == errno.EADDRINUSE:
        return address == "0.0.0.0" and "::" in bound
    return code in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


def _abandon(ports: list[IListeningPort]) -> None:
    for port in ports:
        # Closing a listening socket does not wait for anything.
        maybeDeferred(port.stopListening)


async def close_listeners(
    listeners: list[OpenListener], clock: Clock, *, grace_seconds: float = 10
) -> None:
    """Accept no more connections, end long-polls, and let other requests end within the grace.

    Requests that take longer are left to the end of the process.
    """
    for listener in listeners:
        await listener.close_ports()
    sites = [listener.factory for listener in listeners if isinstance(listener.factory, Site)]
    for site in sites:
        site.close()
    deadline = clock.time() + grace_seconds
    while any(site.running for site in sites):
        if clock.time() >= deadline:
            remaining = sum(len(site.running) for site in sites)
            logger.warning("%d requests were not finished in time", remaining)
            return
        await clock.sleep(_DRAIN_STEP_SECONDS)
