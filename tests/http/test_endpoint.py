"""Tests of the declaration of endpoints."""

from __future__ import annotations

import re

from twisted.trial.unittest import TestCase

from synapse_lite.api.urls import CLIENT_V1, WELL_KNOWN
from synapse_lite.http.endpoint import Auth, Request, Servlet, endpoint, endpoints_of
from synapse_lite.http.resources import resource_of, resources_of
from synapse_lite.types.requester import Requester
from synapse_lite.util.json import JsonDict

PREFIXES = ("/_matrix/client/v3", "/_matrix/client/r0")


@endpoint("GET", PREFIXES, "/rooms/{room_id}/state/{event_type}", trailing_slash=True)
@endpoint("GET PUT", PREFIXES, "/rooms/{room_id}/state/{event_type}/{state_key}")
class State(Servlet):
    async def answer(
        self,
        request: Request,
        requester: Requester,
        room_id: str,
        event_type: str,
        state_key: str = "",
    ) -> JsonDict:
        return {}


class EndpointTests(TestCase):
    def test_stacked_declarations_in_order(self) -> None:
        short, long = endpoints_of(State)
        self.assertEqual(short.parameters, ("room_id", "event_type"))
        self.assertEqual(long.methods, ("GET", "PUT"))
        self.assertEqual(short.label, "State")
        self.assertEqual(
            long.paths[1], "/_matrix/client/r0/rooms/{room_id}/state/{event_type}/{state_key}"
        )

    def test_regex(self) -> None:
        short, long = endpoints_of(State)
        matching = "/_matrix/client/r0/rooms/!a:b/state/m.room.topic"
        self.assertTrue(re.search(short.regex, matching))
        self.assertTrue(re.search(short.regex, matching + "/"))
        self.assertFalse(re.search(short.regex, matching + "/x"))
        self.assertFalse(re.search(short.regex, "/x" + matching))
        self.assertTrue(re.search(long.regex, matching + "/x"))
        self.assertFalse(re.search(long.regex, matching + "/x/"))

    def test_regex_escapes_literals(self) -> None:
        @endpoint("GET", WELL_KNOWN, "/client", auth=Auth.NONE)
        class Client(Servlet):
            async def answer(self, request: Request) -> JsonDict:
                return {}

        regex = endpoints_of(Client)[0].regex
        self.assertEqual(regex, r"^/\.well-known/matrix/client$")

    def test_wrong_declarations_fail_at_once(self) -> None:
        class Plain(Servlet):
            async def get(self, request: Request, requester: Requester, room_id: str) -> JsonDict:
                return {}

        for methods, template, auth in (
            ("GET", "/rooms", Auth.USER),
            ("GET", "/rooms/{other}", Auth.USER),
            ("GET", "/rooms/{room_id}", Auth.NONE),
            ("PUT", "/rooms/{room_id}", Auth.USER),
            ("FETCH", "/rooms/{room_id}", Auth.USER),
            ("", "/rooms/{room_id}", Auth.USER),
            ("GET", "/rooms/{room_id}/{room_id}", Auth.USER),
        ):
            declare = endpoint(methods, CLIENT_V1, template, auth=auth)
            self.assertRaises(TypeError, declare, Plain)
        self.assertRaises(TypeError, endpoints_of, Plain)

    def test_declarations_are_not_inherited(self) -> None:
        class Child(State):
            pass

        self.assertRaises(TypeError, endpoints_of, Child)


class ResourceTests(TestCase):
    def test_longest_prefix_decides(self) -> None:
        for path, resource in {
            "/_matrix/client/versions": "client",
            "/_matrix/client/v1/media/download/{server}/{id}": "media",
            "/_matrix/client/v1/mediaother": "client",
            "/.well-known/matrix/server": "client",
            "/_matrix/federation/v1/send/{txn}": "federation",
            "/_matrix/key/v2/server": "keys",
            "/_synapse/admin/v1/x": "admin",
            "/_synapse/replication/send_event": "replication",
            "/health": "health",
        }.items():
            self.assertEqual(resource_of(path), resource)

    def test_unknown_prefix(self) -> None:
        self.assertRaises(ValueError, resource_of, "/elsewhere")

    def test_of_endpoint(self) -> None:
        self.assertEqual(resources_of(endpoints_of(State)[0]), {"client"})
