"""Profiles: fields, their limits, who may change and read them, from master and worker."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import TestCase

from synapse_lite.app.kinds.client_reader import CLIENT_READER
from tests.harness.homeserver import SameAnswerCase, make_master, make_worker

ALICE = "profile/@alice:test"


class ProfileTests(TestCase):
    def setUp(self) -> None:
        self.master = make_master()
        self.token = self.master.register("alice")

    def put(self, key: str, value: Any) -> Any:
        return self.master.request("PUT", f"{ALICE}/{key}", {key: value}, self.token)

    def profile(self) -> Any:
        return self.master.ok("GET", ALICE)

    def error(self, key: str, value: Any) -> tuple[int, str]:
        answer = self.put(key, value)
        return answer.status, answer.json["errcode"]

    def test_name_and_picture(self) -> None:
        self.assertEqual(self.put("displayname", "Alice ☃").json, {})
        self.assertEqual(self.put("avatar_url", "mxc://test/abc").json, {})
        expected = {"displayname": "Alice ☃", "avatar_url": "mxc://test/abc"}
        self.assertEqual(self.profile(), expected)
        for key, value in expected.items():
            self.assertEqual(self.master.ok("GET", f"{ALICE}/{key}"), {key: value})

    def test_empty_and_null_delete_name_and_picture(self) -> None:
        self.put("avatar_url", "mxc://test/abc")
        self.put("avatar_url", "")
        self.put("displayname", None)
        self.assertEqual(self.profile(), {})
        self.assertEqual(self.master.ok("GET", f"{ALICE}/displayname"), {})

    def test_delete(self) -> None:
        self.put("org.example.pet", "cat")
        self.assertEqual(self.master.ok("DELETE", f"{ALICE}/displayname", None, self.token), {})
        self.assertEqual(self.profile(), {"org.example.pet": "cat"})
        self.assertEqual(self.master.ok("DELETE", f"{ALICE}/never.set", None, self.token), {})

    def test_fields_of_any_kind(self) -> None:
        self.put("m.tz", "Europe/London")
        self.put("org.example.pets", [{"kind": "cat"}, None])
        self.put("org.example.null", None)
        profile = self.profile()
        self.assertEqual(profile["m.tz"], "Europe/London")
        self.assertEqual(profile["org.example.pets"], [{"kind": "cat"}, None])
        self.assertIn("org.example.null", profile)
        missing = self.master.request("GET", f"{ALICE}/org.example.none")
        self.assertEqual((missing.status, missing.json["errcode"]), (404, "M_NOT_FOUND"))

    def test_bad_values(self) -> None:
        for key, value, errcode in (
            ("displayname", 3, "M_BAD_JSON"),
            ("displayname", "x" * 257, "M_INVALID_PARAM"),
            ("displayname", "a\0b", "M_INVALID_PARAM"),
            ("avatar_url", "https://example.com/a.png", "M_INVALID_PARAM"),
            ("m.tz", {}, "M_BAD_JSON"),
            ("Bad.Key", 1, "M_INVALID_PARAM"),
            ("k" * 256, 1, "M_KEY_TOO_LARGE"),
        ):
            self.assertEqual(self.error(key, value), (400, errcode), key)
        other = self.master.request("PUT", f"{ALICE}/displayname", {"name": "x"}, self.token)
        self.assertEqual(other.json["errcode"], "M_MISSING_PARAM")

    def test_the_whole_profile_is_bounded(self) -> None:
        self.assertEqual(self.put("org.example.a", "x" * 40_000).status, 200)
        self.assertEqual(self.error("org.example.b", "x" * 30_000), (400, "M_PROFILE_TOO_LARGE"))
        self.assertEqual(self.put("org.example.a", "x").status, 200)
        self.assertEqual(self.put("org.example.b", "x" * 30_000).status, 200)

    def test_only_the_owner(self) -> None:
        bob = self.master.register("bob")
        for method, body in (("PUT", {"displayname": "x"}), ("DELETE", None)):
            answer = self.master.request(method, f"{ALICE}/displayname", body, bob)
            self.assertEqual((answer.status, answer.json["errcode"]), (403, "M_FORBIDDEN"))

    def test_unknown_and_misshapen_users(self) -> None:
        for user, status in (("@nobody:test", 404), ("@x:elsewhere", 404), ("alice", 400)):
            self.assertEqual(self.master.request("GET", f"profile/{user}").status, status)


class PrivateProfileTests(TestCase):
    def test_profiles_may_be_for_users_only(self) -> None:
        master = make_master({"require_auth_for_profile_requests": True})
        token = master.register("alice")
        anonymous = master.request("GET", ALICE)
        self.assertEqual((anonymous.status, anonymous.json["errcode"]), (401, "M_MISSING_TOKEN"))
        self.assertEqual(master.request("GET", f"{ALICE}/displayname").status, 401)
        self.assertEqual(master.ok("GET", ALICE, None, token), {"displayname": "alice"})


class SameProfileTests(SameAnswerCase):
    def setUp(self) -> None:
        self.master = make_master()
        self.worker = make_worker(CLIENT_READER, self.master)

    def test_worker_and_master_agree_before_and_after_each_change(self) -> None:
        self.assertIsNone(self.check("get_profile", "@alice:test"))
        token = self.master.register("alice")
        self.assertEqual(self.check("get_profile", "@alice:test").displayname, "alice")
        self.master.ok("PUT", f"{ALICE}/displayname", {"displayname": "A"}, token)
        self.assertEqual(self.check("get_profile", "@alice:test").displayname, "A")

    def test_worker_shows_profiles(self) -> None:
        self.master.register("alice")
        answer = self.worker.request("GET", f"{ALICE}/displayname")
        self.assertEqual(answer.json, {"displayname": "alice"})
