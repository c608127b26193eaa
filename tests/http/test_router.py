"""Tests of finding the target of a path."""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from synapse_lite.api.errors import InvalidParamError, UnrecognizedError
from synapse_lite.http.router import MethodNotAllowedError, Router


class RouterTests(TestCase):
    def setUp(self) -> None:
        self.router: Router[str] = Router()
        self.router.add("GET", "/rooms/{room_id}/state/{type}", "type", trailing_slash=True)
        self.router.add("PUT", "/rooms/{room_id}/state/{type}/{key}", "key")
        self.router.add("GET", "/rooms/{room_id}/state/special", "special")
        self.router.add("POST", "/rooms/summary/state/{type}/{key}", "summary")

    def check(self, method: str, path: str, target: str, **parameters: str) -> None:
        self.assertEqual(self.router.match(method, path), (target, parameters))

    def test_parameters(self) -> None:
        self.check("GET", "/rooms/!a:b/state/m.x", "type", room_id="!a:b", type="m.x")
        self.check("PUT", "/rooms/1/state/2/3", "key", room_id="1", type="2", key="3")

    def test_parameters_are_decoded_once_after_the_split(self) -> None:
        self.check(
            "PUT", "/rooms/a%2Fb/state/%2525/%C3%A9", "key", room_id="a/b", type="%25", key="é"
        )

    def test_raw_utf8(self) -> None:
        path = "/rooms/é/state/x".encode().decode("latin-1")
        self.check("GET", path, "type", room_id="é", type="x")

    def test_plus_is_a_plus(self) -> None:
        self.check("GET", "/rooms/a+b/state/x", "type", room_id="a+b", type="x")

    def test_trailing_slash_only_where_declared(self) -> None:
        self.check("GET", "/rooms/1/state/2/", "type", room_id="1", type="2")
        self.assertRaises(UnrecognizedError, self.router.match, "PUT", "/rooms/1/state/2/3/")

    def test_empty_segment_is_no_parameter(self) -> None:
        self.assertRaises(UnrecognizedError, self.router.match, "GET", "/rooms//state/x")

    def test_literal_wins_and_falls_back(self) -> None:
        self.check("GET", "/rooms/1/state/special", "special", room_id="1")
        self.check("GET", "/rooms/summary/state/x", "type", room_id="summary", type="x")
        self.check("POST", "/rooms/summary/state/a/b", "summary", type="a", key="b")
        self.check("PUT", "/rooms/summary/state/a/b", "key", room_id="summary", type="a", key="b")

    def test_head_goes_to_get(self) -> None:
        self.check("HEAD", "/rooms/1/state/2", "type", room_id="1", type="2")

    def test_wrong_method(self) -> None:
        error = self.assertRaises(
            MethodNotAllowedError, self.router.match, "DELETE", "/rooms/1/state/special"
        )
        self.assertEqual((error.status, error.errcode), (405, "M_UNRECOGNIZED"))
        self.assertEqual(error.allowed, ["GET"])

    def test_unknown_path(self) -> None:
        for path in (
            "/",
            "",
            "rooms",
            "/rooms",
            "/rooms/1/state",
            "/" * 5000,
            "/rooms/1/state/x/y/z",
        ):
            error = self.assertRaises(UnrecognizedError, self.router.match, "GET", path)
            self.assertEqual(error.status, 404)

    def test_encoded_literal_does_not_match(self) -> None:
        # A proxy that guards a path must not be fooled by another spelling of it.
        self.assertRaises(UnrecognizedError, self.router.match, "GET", "/%72ooms/1/state/x")

    def test_bad_parameters(self) -> None:
        for bad in ("%ff", "%00", "%ed%a0%80", "\xff"):
            self.assertRaises(InvalidParamError, self.router.match, "GET", f"/rooms/{bad}/state/x")

    def test_two_targets_for_one_path(self) -> None:
        self.assertRaises(ValueError, self.router.add, "GET", "/rooms/{x}/state/{y}", "other")
