"""Versions and capabilities."""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from tests.harness.homeserver import make_master


class VersionsTests(TestCase):
    def setUp(self) -> None:
        self.master = make_master({"default_room_version": "10"})

    def test_every_client_finds_a_version_that_it_knows(self) -> None:
        answer = self.master.request("GET", "/_matrix/client/versions")
        versions = answer.json["versions"]
        self.assertIn("r0.6.1", versions)
        self.assertEqual(len([v for v in versions if v.startswith("v1.")]), 19)
        self.assertEqual(versions[-1], "v1.19")
        self.assertTrue(all(answer.json["unstable_features"].values()))
        self.assertEqual(answer.headers["access-control-allow-origin"], "*")

    def test_a_stale_token_makes_no_difference(self) -> None:
        answer = self.master.request("GET", "/_matrix/client/versions", access_token="x")
        self.assertEqual(answer.status, 200)

    def test_capabilities(self) -> None:
        token = self.master.register("alice")
        found = self.master.ok("GET", "capabilities", None, token)["capabilities"]
        self.assertEqual(found["m.room_versions"]["default"], "10")
        self.assertEqual(found["m.room_versions"]["available"]["12"], "stable")
        self.assertEqual(found["m.change_password"], {"enabled": True})
        self.assertEqual(self.master.request("GET", "capabilities").status, 401)
