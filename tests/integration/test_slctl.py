"""slctl and real processes on SQLite: started, looked at, stopped; and the quickstart."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request

from twisted.trial import unittest

from synapse_lite.app._pids import is_process_of, read_pid
from synapse_lite.app.slctl._quickstart import (
    FIRST_WORKER_PORT,
    MASTER_PORT,
    PUBLIC_PORT,
    REPLICATION_HTTP_PORT,
    REPLICATION_PORT,
    WORKER_KINDS,
    can_listen,
)
from synapse_lite.app.slctl._system import environment
from synapse_lite.config.generate import WorkerPlan, generate_config, write_files

SLCTL = (sys.executable, "-m", "synapse_lite.app.slctl")
_SECONDS = 60.0
_PORT_SECONDS = 5.0


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on at the moment."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def status_of(url: str) -> int:
    """The status of an answer."""
    with urllib.request.urlopen(url, timeout=5) as response:
        status: int = response.status
        return status


class ProcessesTestCase(unittest.TestCase):
    """A master and two workers as daemons."""

    def setUp(self) -> None:
        self.folder = os.path.abspath(self.mktemp())
        master, replication, replication_http, *workers = free_ports(5)
        self.ports = [master, *workers]
        plans = [
            WorkerPlan(name=kind, app=kind, port=port)
            for kind, port in zip(("client_reader", "event_creator"), workers, strict=True)
        ]
        write_files(
            generate_config(
                "test",
                self.folder,
                http_port=master,
                replication_port=replication,
                replication_http_port=replication_http,
                workers=plans,
            )
        )
        self.config = os.path.join(self.folder, "homeserver.yaml")
        self.addCleanup(self._slctl, "stop")

    def _slctl(self, command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*SLCTL, command, "-c", self.config],
            capture_output=True,
            text=True,
            timeout=120,
            env=environment(),
        )

    def _pids(self) -> dict[str, int]:
        names = ("homeserver", "client_reader", "event_creator")
        pids = {name: read_pid(os.path.join(self.folder, f"{name}.pid")) for name in names}
        return {name: pid for name, pid in pids.items() if pid is not None}

    def _log(self, name: str) -> str:
        with open(os.path.join(self.folder, "logs", f"{name}.log"), encoding="utf-8") as file:
            return file.read()

    def test_the_life_of_daemons(self) -> None:
        started = self._slctl("start")
        self.assertEqual(started.returncode, 0, started.stdout + started.stderr)
        for port in self.ports:
            self.assertEqual(status_of(f"http://127.0.0.1:{port}/health"), 200)
        pids = self._pids()
        self.assertEqual(len(pids), 3)
        self.assertEqual(self._slctl("status").returncode, 0)

        # A log that was moved away is written anew after SIGHUP, and the process goes on.
        os.rename(f"{self.folder}/logs/client_reader.log", f"{self.folder}/logs/old.log")
        os.kill(pids["client_reader"], signal.SIGHUP)
        self._wait_until(lambda: os.path.exists(f"{self.folder}/logs/client_reader.log"))
        self.assertEqual(status_of(f"http://127.0.0.1:{self.ports[1]}/health"), 200)

        # One that was killed is started again; its stale pid file does no harm.
        os.kill(pids["event_creator"], signal.SIGKILL)
        self._wait_until(lambda: not is_process_of(pids["event_creator"], _APP, ()))
        self.assertEqual(self._slctl("status").returncode, 3)
        self.assertEqual(self._slctl("start").returncode, 0)
        self.assertEqual(self._pids()["homeserver"], pids["homeserver"])
        self.assertNotEqual(self._pids()["event_creator"], pids["event_creator"])

        stopped = self._slctl("stop")
        self.assertEqual(stopped.returncode, 0, stopped.stdout + stopped.stderr)
        self.assertNotIn("killed", stopped.stderr)
        self.assertEqual(self._pids(), {})
        for name in ("homeserver", "client_reader", "event_creator"):
            self.assertIn("has stopped", self._log(name))
            self.assertNotIn("Traceback", self._log(name))

    def test_a_start_that_fails_says_why(self) -> None:
        with socket.create_server(("127.0.0.1", self.ports[0])):
            started = self._slctl("start")
        self.assertEqual(started.returncode, 1)
        self.assertIn(f"Port {self.ports[0]} cannot be opened", started.stderr)
        self.assertEqual(self._pids(), {})

    def _wait_until(self, is_so: object) -> None:
        assert callable(is_so)
        deadline = time.monotonic() + _SECONDS
        while not is_so():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)


_APP = "synapse_lite.app.event_creator"


class QuickstartTestCase(unittest.TestCase):
    """`slctl quickstart` as a user runs it."""

    def setUp(self) -> None:
        workers = range(FIRST_WORKER_PORT, FIRST_WORKER_PORT + len(WORKER_KINDS))
        for port in (PUBLIC_PORT, MASTER_PORT, REPLICATION_PORT, REPLICATION_HTTP_PORT, *workers):
            # What a test before this one has killed may still be closing its ports.
            deadline = time.monotonic() + _PORT_SECONDS
            while not can_listen("127.0.0.1", port) and time.monotonic() < deadline:
                time.sleep(0.05)
            if not can_listen("127.0.0.1", port):
                raise unittest.SkipTest(f"Port {port} is in use")
        self.folder = os.path.abspath(self.mktemp())

    def _start(self) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*SLCTL, "quickstart", "--directory", self.folder],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment(),
        )
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        assert process.stdout is not None
        self.addCleanup(process.stdout.close)
        return process

    def _run_until_up(self) -> tuple[subprocess.Popen[str], str]:
        process = self._start()
        assert process.stdout is not None
        output = ""
        for line in process.stdout:
            output += line
            if "Ctrl-C" in line:
                return process, output
        raise AssertionError(output)

    def _left_behind(self) -> list[str]:
        """Command lines of living processes that name the folder."""
        found = []
        for entry in os.listdir("/proc"):
            try:
                with open(f"/proc/{entry}/cmdline", encoding="utf-8") as file:
                    command = file.read()
            except OSError:
                continue
            if self.folder in command:
                found.append(command)
        return found

    def _wait_until_nothing_is_left(self) -> None:
        deadline = time.monotonic() + _SECONDS
        while self._left_behind():
            self.assertLess(time.monotonic(), deadline, str(self._left_behind()))
            time.sleep(0.05)

    def test_up_and_down(self) -> None:
        process, output = self._run_until_up()
        self.assertIn("@admin:localhost", output)
        url = f"http://127.0.0.1:{PUBLIC_PORT}/_matrix/client/versions"
        self.assertEqual(status_of(url), 200)
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(_SECONDS), 0)
        self.assertEqual(self._left_behind(), [])

    def test_nothing_is_left_after_a_kill(self) -> None:
        process, _ = self._run_until_up()
        self.assertGreater(len(self._left_behind()), 1)
        process.kill()
        process.wait(_SECONDS)
        self._wait_until_nothing_is_left()

    def test_stopped_while_it_starts(self) -> None:
        process = self._start()
        assert process.stdout is not None
        self.assertIn("Starting", process.stdout.readline())
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(_SECONDS), 0)
        self.assertEqual(self._left_behind(), [])
