"""Secrets stay out of the access log."""

from __future__ import annotations

from twisted.trial import unittest

from synapse_lite.logging.redact import redact_uri


class RedactUriTestCase(unittest.TestCase):
    """URIs as requests have them."""

    def test_tokens_are_blanked(self) -> None:
        for secret in (
            "access_token=hunter2",
            "a=b&access_token=hunter2",
            "access_token=hunter2&a=b",
            "access%5Ftoken=hunter2",
            "%61ccess_token=hunter2",
            "ACCESS_TOKEN=hunter2",
            "a=b;access_token=hunter2",
            "access_token=x&access_token=hunter2",
            "access_token=hun?ter=hunter2",
            "loginToken=hunter2",
            "client_secret=hunter2&sid=1",
            "token=hunter2",
        ):
            for uri in (f"/sync?{secret}", f"/sync?{secret}".encode()):
                redacted = redact_uri(uri)
                self.assertNotIn("hunter2", redacted)
                self.assertIn("<redacted>", redacted)

    def test_the_rest_stays(self) -> None:
        self.assertEqual(
            redact_uri(b"/_matrix/client/v3/sync?since=s1_2&access_token=abc&timeout=0"),
            "/_matrix/client/v3/sync?since=s1_2&access_token=<redacted>&timeout=0",
        )
        for uri in ("/a/b", "/a?", "/a?flag", "/a?from_token=5&x=%20"):
            self.assertEqual(redact_uri(uri), uri)

    def test_one_line_whatever_is_sent(self) -> None:
        self.assertEqual(redact_uri("/a\r\nGET /b\x1b[31m"), "/a%0D%0AGET%20/b%1B[31m")
        self.assertEqual(redact_uri("/\u2028"), "/%E2%80%A8")
        self.assertTrue(redact_uri(bytes(range(256))).isascii())
