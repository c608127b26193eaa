"""Documents under /.well-known/matrix."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import TestCase

from tests.harness.homeserver import make_master


class WellKnownTests(TestCase):
    def get(self, document: str, **overrides: Any) -> Any:
        return make_master(overrides).request("GET", f"/.well-known/matrix/{document}")

    def test_nothing_is_told_that_is_not_configured(self) -> None:
        for document in ("client", "server", "support"):
            answer = self.get(document)
            self.assertEqual((answer.status, answer.json["errcode"]), (404, "M_NOT_FOUND"))
            self.assertEqual(answer.headers["access-control-allow-origin"], "*")

    def test_client(self) -> None:
        answer = self.get("client", public_baseurl="https://matrix.example.com")
        self.assertTrue(
            answer.json["m.homeserver"]["base_url"].startswith("https://matrix.example.com")
        )

    def test_server(self) -> None:
        for name, host in (
            ("example.com", "example.com:443"),
            ("example.com:8448", "example.com:443"),
            ("[::1]", "[::1]:443"),
        ):
            answer = self.get("server", server_name=name, serve_server_wellknown=True)
            self.assertEqual(answer.json, {"m.server": host})

    def test_support(self) -> None:
        answer = self.get("support", admin_contact="mailto:admin@example.com")
        self.assertEqual(
            answer.json,
            {"contacts": [{"role": "m.role.admin", "email_address": "admin@example.com"}]},
        )
        answer = self.get("support", admin_contact="@admin:test")
        self.assertEqual(answer.json["contacts"][0]["matrix_id"], "@admin:test")
        answer = self.get("support", admin_contact="https://example.com/help")
        self.assertEqual(answer.json, {"support_page": "https://example.com/help"})
