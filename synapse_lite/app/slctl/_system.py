"""What slctl does to the operating system, behind an interface that tests replace."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from .._pids import is_process_of, running_pid
from ._fleet import Instance

_HEALTH_SECONDS = 5.0
_ROOT = str(Path(__file__).resolve().parents[3])


class Launch:
    """A start that is under way. `poll` gives the exit code of the foreground process."""

    def poll(self) -> int | None:
        """0 once the daemon is up, another number when it has failed, None meanwhile."""
        raise NotImplementedError

    def output(self) -> str:
        """What was printed so far."""
        raise NotImplementedError

    def abandon(self) -> None:
        """Wait no longer; the daemon goes on alone."""
        raise NotImplementedError


class System:
    """Processes, signals, time."""

    def launch(self, instance: Instance) -> Launch:
        """Begin to start a process as a daemon."""
        raise NotImplementedError

    def running_pid(self, instance: Instance) -> int | None:
        """The pid of the process if it runs. Never that of a stranger."""
        raise NotImplementedError

    def is_running(self, instance: Instance, pid: int) -> bool:
        """Whether that process still lives and still is this one."""
        raise NotImplementedError

    def signal(self, pid: int, number: signal.Signals) -> None:
        """Send a signal; a process that is gone is no error."""
        raise NotImplementedError

    def is_healthy(self, base_url: str) -> bool:
        """Whether /health answers."""
        raise NotImplementedError

    def log_end(self, instance: Instance, lines: int) -> list[str]:
        """The last lines of its log."""
        raise NotImplementedError

    def time(self) -> float:
        """Seconds of a clock that only goes forward."""
        raise NotImplementedError

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        raise NotImplementedError


class _RealLaunch(Launch):
    def __init__(self, instance: Instance) -> None:
        # A file, because the daemon keeps it open for longer than the foreground process lives.
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the launch
        arguments = [sys.executable, "-m", instance.app]
        for file in instance.files:
            arguments += ["-c", file]
        self._process = subprocess.Popen(
            [*arguments, "-D"],
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            cwd=os.path.dirname(instance.files[0]),
            env=environment(),
        )

    def poll(self) -> int | None:
        return self._process.poll()

    def output(self) -> str:
        self._output.seek(0)
        return self._output.read().decode("utf-8", "replace")

    def abandon(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


class RealSystem(System):
    """This machine."""

    def launch(self, instance: Instance) -> Launch:
        return _RealLaunch(instance)

    def running_pid(self, instance: Instance) -> int | None:
        if instance.pid_file is None:
            return None
        return running_pid(instance.pid_file, instance.app, instance.files)

    def is_running(self, instance: Instance, pid: int) -> bool:
        return is_process_of(pid, instance.app, instance.files)

    def signal(self, pid: int, number: signal.Signals) -> None:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return

    def is_healthy(self, base_url: str) -> bool:
        return answers(f"{base_url}/health")

    def log_end(self, instance: Instance, lines: int) -> list[str]:
        found: list[str] = []
        for path in instance.log_files:
            found += end_of_file(path, lines)
        return found

    def time(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


def environment() -> dict[str, str]:
    """The environment of children: with the same synapse_lite, also from a checkout."""
    paths = [_ROOT, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def answers(url: str, timeout: float = _HEALTH_SECONDS) -> bool:
    """Whether something answers 200 there. Proxies of the environment are not used."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=timeout) as response:
            return bool(response.status == 200)
    except (OSError, http.client.HTTPException):
        return False


def end_of_file(path: str, lines: int, maximum: int = 64 * 1024) -> list[str]:
    """The last lines of a file, none if it cannot be read."""
    try:
        with open(path, "rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - maximum))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    return text.splitlines()[-lines:]
