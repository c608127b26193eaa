"""What a process does with the operating system: keys, pid files, limits, daemon mode, systemd."""

from __future__ import annotations

import gc
import logging
import os
import resource
import socket
import sys
from collections.abc import Collection

from ..config import Config
from ..crypto.signing import (
    KeyFormatError,
    SigningKey,
    generate_signing_key,
    read_signing_keys,
    write_signing_key,
)
from ..util.random import random_string

logger = logging.getLogger(__name__)

_FORBIDDEN_MODES = 0o027


class StartError(Exception):
    """The process cannot start; the message is for the operator."""


def load_signing_key(config: Config, *, create: bool) -> SigningKey:
    """The signing key of the server, made if the file is missing and `create` is set.

    Raises StartError.
    """
    if config.keys.signing_key is not None:
        return _first_key(config.keys.signing_key, "signing_key")
    path = config.keys.signing_key_path
    if create and not os.path.exists(path):
        _create_signing_key(path)
    try:
        with open(path, encoding="ascii") as file:
            return _first_key(file.read(), path)
    except (OSError, UnicodeDecodeError) as error:
        raise StartError(f"signing_key_path: {path} cannot be read: {error}") from error


def _first_key(text: str, where: str) -> SigningKey:
    try:
        keys = read_signing_keys(text)
    except KeyFormatError as error:
        raise StartError(f"{where}: {error}") from error
    if not keys:
        raise StartError(f"{where}: holds no signing key")
    return keys[0]


def _create_signing_key(path: str) -> None:
    """Write a new key, all of it or nothing, readable only by its owner."""
    key = generate_signing_key(f"a_{random_string(4)}")
    partial = f"{path}.{os.getpid()}"
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(write_signing_key(key))
        file.flush()
        os.fsync(file.fileno())
    os.rename(partial, path)


def daemonize() -> int:
    """Go to the background. Returns, in the background process, a pipe that reports readiness.

    The foreground process exits 0 once the background one has written to the pipe, or 1 if that
    ended first, so that whoever starts it learns how it went.
    """
    reader, writer = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    if os.fork():
        os.close(writer)
        # What reports a failure is standard error, which the background process still has.
        os._exit(0 if os.read(reader, 1) else 1)
    os.close(reader)
    os.setsid()
    if os.fork():
        os._exit(0)
    return writer


def leave_terminal() -> None:
    """Let go of the terminal, once nothing needs to be printed there any more."""
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.close(null)


def apply_limits(config: Config, cpu_affinity: Collection[int] | None) -> None:
    """Open files, processors, garbage collection, modes of new files (nothing for others)."""
    os.umask(os.umask(_FORBIDDEN_MODES) | _FORBIDDEN_MODES)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = config.daemon.soft_file_limit or hard
    if wanted != soft:
        wanted = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    if cpu_affinity:
        os.sched_setaffinity(0, cpu_affinity)
    if config.daemon.gc_thresholds is not None:
        gc.set_threshold(*config.daemon.gc_thresholds)


def notify_systemd(message: str) -> None:
    """Tell systemd, if it runs us and wants to know (`sd_notify`)."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as connection:
            connection.connect(address)
            connection.sendall(message.encode())
    except OSError as error:
        logger.warning("systemd could not be told %s: %s", message, error)
