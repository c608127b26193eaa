"""What a reverse proxy is told: every path reaches a process that serves it."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from treq.client import HTTPClient
from twisted.internet import reactor as real_reactor
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.task import deferLater
from twisted.trial import unittest
from twisted.web.client import Agent, HTTPConnectionPool
from twisted.web.resource import Resource
from twisted.web.server import Site

from synapse_lite.app._nginx import NginxSettings, make_nginx_folders, render_server, render_whole
from synapse_lite.app._process import Process
from synapse_lite.app._proxy import (
    MASTER_NAME,
    Backend,
    Location,
    ProxyError,
    backend_of,
    locations,
)
from synapse_lite.app.slctl._quickstart import find_nginx
from synapse_lite.app.table import MASTER, WORKERS
from synapse_lite.config import Config, config_from_dict
from synapse_lite.http.endpoint import Auth, Endpoint, Servlet, endpoint, endpoints_of
from synapse_lite.http.request import Request
from synapse_lite.http.resources import resource_of
from synapse_lite.rest.servlets import SERVLETS
from synapse_lite.util.json import JsonDict
from tests.integration.processes import free_ports

reactor: Any = real_reactor

CLIENT = ("/_matrix/client/v3", "/_matrix/client/r0")
LISTENER = {"port": 8008, "type": "http", "resources": [{"names": ["client"]}]}


class _Servlet(Servlet):
    async def answer(self, request: Request, **path: str) -> JsonDict:
        return path


@endpoint("GET", CLIENT, "/rooms/{room}/state/{type}", served_by=("reader",), auth=Auth.NONE)
class _GetState(_Servlet):
    pass


@endpoint("PUT", CLIENT, "/rooms/{r}/state/{t}", served_by=("creator", "reader"), auth=Auth.NONE)
class _SetState(_Servlet):
    pass


@endpoint("GET", CLIENT, "/rooms/{room}/state/special", auth=Auth.NONE)
class _OnlyMaster(_Servlet):
    pass


@endpoint("GET", CLIENT, "/elsewhere", auth=Auth.NONE)
class _Elsewhere(_Servlet):
    pass


@endpoint("GET", CLIENT, "/rooms/{room}/read", served_by=("reader",), auth=Auth.NONE)
class _GetRead(_Servlet):
    pass


@endpoint("POST", CLIENT, "/rooms/{room}/read", served_by=("reader",), auth=Auth.NONE)
class _PostRead(_Servlet):
    pass


class _Echo(Resource):
    """A master that answers with what it was asked."""

    isLeaf = True

    def render(self, request: Any) -> bytes:
        return b"%s %s" % (request.method, request.uri)


def backends(*kinds: str) -> list[Backend]:
    """A master, and a worker of each kind."""
    return [
        Backend(MASTER_NAME, frozenset(), "127.0.0.1:8008", frozenset({"client", "admin"})),
        *(
            Backend(kind, frozenset({kind}), f"127.0.0.1:{9000 + index}", frozenset({"client"}))
            for index, kind in enumerate(kinds)
        ),
    ]


def route(found: Sequence[Location], method: str, path: str) -> str:
    """The kind that a proxy chooses: the first expression that fits, else the master."""
    for location in found:
        if re.match(location.regex, path):
            kinds: Mapping[str, str] = location.kinds
            return kinds.get(method, MASTER_NAME)
    return MASTER_NAME


SAMPLE = (_GetState, _SetState, _OnlyMaster, _Elsewhere, _GetRead, _PostRead)


class LocationsTestCase(unittest.TestCase):
    """Which path goes where."""

    def test_methods_of_one_path_go_to_different_kinds(self) -> None:
        found = locations(SAMPLE, backends("reader", "creator")[1:])
        for prefix in CLIENT:
            path = f"{prefix}/rooms/!a:b/state/m.room.name"
            self.assertEqual(route(found, "GET", path), "reader")
            self.assertEqual(route(found, "PUT", path), "creator")
            self.assertEqual(route(found, "DELETE", path), MASTER_NAME)

    def test_a_literal_path_of_the_master_is_not_taken_by_a_worker(self) -> None:
        found = locations(SAMPLE, backends("reader", "creator")[1:])
        path = f"{CLIENT[0]}/rooms/!a:b/state/special"
        self.assertEqual(route(found, "GET", path), MASTER_NAME)

    def test_the_next_kind_that_is_there(self) -> None:
        found = locations(SAMPLE, backends("reader")[1:])
        path = f"{CLIENT[0]}/rooms/!a:b/state/m.room.name"
        self.assertEqual(route(found, "PUT", path), "reader")

    def test_without_workers_everything_goes_to_the_master(self) -> None:
        self.assertEqual(locations(SAMPLE, []), [])

    def test_longer_paths_do_not_fit(self) -> None:
        found = locations(SAMPLE, backends("reader")[1:])
        path = f"{CLIENT[0]}/rooms/!a:b/state/m.room.name"
        for other in (f"{path}/key", f"/x{path}", path.replace("/v3/", "/v9/")):
            self.assertEqual(route(found, "GET", other), MASTER_NAME, other)

    def test_a_worker_without_the_resource_gets_nothing(self) -> None:
        worker = Backend("reader", frozenset({"reader"}), "127.0.0.1:1", frozenset({"media"}))
        self.assertEqual(locations(SAMPLE, [worker]), [])


class DeclaredEndpointsTestCase(unittest.TestCase):
    """All endpoints that there are."""

    def test_every_path_reaches_a_process_that_serves_it(self) -> None:
        for kinds in _fleets():
            found = locations(SERVLETS, backends(*kinds)[1:])
            for declared, path in _paths():
                for method in declared.methods:
                    kind = route(found, method, path)
                    if kind != MASTER_NAME:
                        self.assertIn(kind, declared.served_by, f"{method} {path}")

    def test_every_path_of_workers_reaches_one_if_all_kinds_are_there(self) -> None:
        found = locations(SERVLETS, backends(*(worker.name for worker in WORKERS))[1:])
        reached = 0
        for declared, path in _paths():
            for method in declared.methods if declared.served_by else ():
                self.assertNotEqual(route(found, method, path), MASTER_NAME, f"{method} {path}")
                reached += 1
        self.assertGreater(reached, 0)

    def test_a_path_of_workers_fits_one_location_of_theirs(self) -> None:
        found = locations(SERVLETS, backends(*(worker.name for worker in WORKERS))[1:])
        for declared, path in _paths():
            fitting = [one for one in found if re.match(one.regex, path)]
            literal = [one for one in fitting if one.template.count("{") == _parameters(declared)]
            if declared.served_by:
                self.assertEqual(len(literal), 1, path)


def _fleets() -> Iterator[tuple[str, ...]]:
    names = [worker.name for worker in WORKERS]
    yield tuple(names)
    for name in names:
        yield (name,)
        yield tuple(other for other in names if other != name)


def _paths() -> Iterator[tuple[Endpoint, str]]:
    """Every declaration with a path for each prefix, its parameters filled in."""
    for servlet in SERVLETS:
        for declared in endpoints_of(servlet):
            for path in declared.paths:
                if resource_of(path) != "replication":
                    yield declared, re.sub(r"\{\w+\}", "!value:example.com", path)


def _parameters(declared: Endpoint) -> int:
    return len(declared.parameters)


class BackendTestCase(unittest.TestCase):
    """How a proxy reaches a process."""

    def _backend(self, **listener: object) -> Backend | None:
        return backend_of(MASTER, _config(listeners=[{**LISTENER, **listener}]))

    def test_addresses(self) -> None:
        for bound, expected in {
            ("127.0.0.1", "::1"): "127.0.0.1:8008",
            ("::1",): "[::1]:8008",
            ("::", "0.0.0.0"): "127.0.0.1:8008",
            ("::",): "[::1]:8008",
            ("10.1.2.3",): "10.1.2.3:8008",
        }.items():
            found = self._backend(bind_addresses=list(bound))
            assert found is not None
            self.assertEqual(found.address, expected)

    def test_a_worker_without_clients(self) -> None:
        metrics = {**LISTENER, "resources": [{"names": ["metrics", "health"]}]}
        config = _config(worker_app=WORKERS[0].app, worker_name="w", worker_listeners=[metrics])
        self.assertIsNone(backend_of(WORKERS[0], config))

    def test_a_master_that_no_client_reaches(self) -> None:
        config = _config(listeners=[{**LISTENER, "resources": [{"names": ["replication"]}]}])
        self.assertRaises(ProxyError, backend_of, MASTER, config)


def _config(**options: object) -> Config:
    return config_from_dict({"server_name": "test", **options})


class NginxTestCase(unittest.TestCase):
    """The text for nginx."""

    def _render(
        self,
        found: Sequence[Backend],
        servlets: Sequence[type[Servlet]] = SAMPLE,
        settings: NginxSettings = NginxSettings(),  # it is frozen
    ) -> str:
        processes = [
            Process("reader", "", MASTER.store, (), sticky=True),
            Process("creator", "", MASTER.store, ()),
            *WORKERS,
        ]
        return render_server(_config(), processes, found, servlets, settings)

    def test_several_of_a_sticky_kind_are_chosen_by_log_in(self) -> None:
        found = backends("reader", "creator")
        other = Backend("reader2", frozenset({"reader"}), "127.0.0.1:9999", frozenset({"client"}))
        block = _block(self._render([*found, other]), "upstream reader {")
        self.assertIn("hash $synapse_lite_login consistent;", block)
        self.assertIn("server 127.0.0.1:9000 fail_timeout=1s;", block)
        self.assertIn("server 127.0.0.1:9999 fail_timeout=1s;", block)
        self.assertNotIn("backup", block)

    async def test_the_master_stands_in_for_several_that_are_all_away(self) -> None:
        master = reactor.listenTCP(0, Site(_Echo()), interface="127.0.0.1")
        self.addCleanup(master.stopListening)
        port, *away = free_ports(4)
        client = frozenset({"client"})
        found = [
            Backend(MASTER_NAME, frozenset(), f"127.0.0.1:{master.getHost().port}", client),
            Backend("reader", frozenset({"reader"}), f"127.0.0.1:{away[0]}", client),
            Backend("reader2", frozenset({"reader"}), f"127.0.0.1:{away[1]}", client),
            Backend("creator", frozenset({"creator"}), f"127.0.0.1:{away[2]}", client),
        ]
        self._start_nginx(port, found)
        self.http = HTTPClient(Agent(reactor, HTTPConnectionPool(reactor, persistent=False)))
        base = f"http://127.0.0.1:{port}{CLIENT[0]}"
        await self._started(f"{base}/elsewhere")
        state = "/rooms/!a:b/state/x?since=1"
        for _ in range(3):
            answer = await self.http.get(f"{base}{state}")
            self.assertEqual(answer.code, 200)
            self.assertEqual(await answer.text(), f"GET {CLIENT[0]}{state}")
        answer = await self.http.put(f"{base}{state}", b"{}")
        self.assertEqual((answer.code, await answer.text()), (200, f"PUT {CLIENT[0]}{state}"))
        # What may have been begun somewhere is not sent again.
        only_readers = "/rooms/!a:b/read"
        answer = await self.http.get(f"{base}{only_readers}")
        self.assertEqual(
            (answer.code, await answer.text()), (200, f"GET {CLIENT[0]}{only_readers}")
        )
        answer = await self.http.post(f"{base}{only_readers}", b"{}")
        self.assertEqual(answer.code, 502)
        await answer.content()

    def _start_nginx(self, port: int, found: Sequence[Backend]) -> None:
        nginx = find_nginx()
        if nginx is None:
            raise unittest.SkipTest("nginx is not installed")
        directory = os.path.abspath(self.mktemp())
        make_nginx_folders(directory)
        settings = NginxSettings(listen=(f"127.0.0.1:{port}",), directory=directory)
        path = os.path.join(directory, "nginx.conf")
        with open(path, "w", encoding="utf-8") as file:
            file.write(render_whole(self._render(found, settings=settings), settings))
        running = subprocess.Popen([nginx, "-p", directory, "-c", path])
        self.addCleanup(running.wait)
        self.addCleanup(running.terminate)

    async def _started(self, url: str) -> None:
        for _ in range(100):
            try:
                answer = await self.http.get(url)
                await answer.content()
                return
            except ConnectionRefusedError:
                await deferLater(reactor, 0.05)
        self.fail("nginx does not start")

    def test_the_master_stands_in_for_a_single_worker(self) -> None:
        block = _block(self._render(backends("creator")), "upstream creator {")
        self.assertIn("server 127.0.0.1:8008 backup fail_timeout=1s;", block)

    def test_no_query_in_the_access_log(self) -> None:
        log_format = self._render(backends()).partition("log_format")[2].partition(";")[0]
        self.assertIn("$uri", log_format)
        self.assertIn("upstream=$proxy_host($upstream_addr)", log_format)
        for variable in ("$request ", "$request_uri", "$args", "$http_authorization"):
            self.assertNotIn(variable, log_format)

    def test_what_is_between_processes_is_not_served(self) -> None:
        block = _block(self._render(backends()), "location ^~ /_synapse/replication {")
        self.assertIn("return 404;", block)

    def test_bodies_of_uploads_fit(self) -> None:
        rendered = self._render(backends())
        size = re.search(r"client_max_body_size (\d+);", rendered)
        assert size is not None
        self.assertGreater(int(size.group(1)), _config().media.max_upload_size)

    def test_nginx_takes_it(self) -> None:
        nginx = find_nginx()
        if nginx is None:
            raise unittest.SkipTest("nginx is not installed")
        directory = os.path.abspath(self.mktemp())
        make_nginx_folders(directory)
        kinds = [worker.name for worker in WORKERS]
        several = [
            Backend(f"{kind}2", frozenset({kind}), f"127.0.0.1:{9100 + index}", frozenset())
            for index, kind in enumerate(kinds)
        ]
        settings = NginxSettings(listen=("127.0.0.1:18999",), directory=directory)
        for found, servlets in (
            (backends(), SERVLETS),
            (backends(*kinds), SERVLETS),
            ([*backends(*kinds), *several], SERVLETS),
            (backends("reader", "creator"), SAMPLE),
        ):
            path = os.path.join(directory, "nginx.conf")
            with open(path, "w", encoding="utf-8") as file:
                file.write(render_whole(self._render(found, servlets), settings))
            done = subprocess.run(
                [nginx, "-t", "-p", directory, "-c", path], capture_output=True, text=True
            )
            self.assertEqual(done.returncode, 0, done.stderr)


def _block(text: str, start: str) -> str:
    return text.partition(start)[2].partition("}")[0]
