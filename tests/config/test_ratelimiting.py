"""Rate limits."""

from __future__ import annotations

from synapse_lite.config.ratelimiting import limit
from tests.config.helpers import ConfigTestCase, config


class RatelimitingTestCase(ConfigTestCase):
    """Limits and their defaults."""

    def test_half_a_limit_keeps_the_other_half_of_its_default(self) -> None:
        read = config(rc_message={"per_second": 3}, rc_login={"account": {"burst_count": 9}})
        self.assertEqual(read.ratelimiting.rc_message, limit(3, 10))
        self.assertEqual(read.ratelimiting.rc_login.account, limit(0.003, 9))
        self.assertEqual(read.ratelimiting.rc_login.address, limit(0.003, 5))

    def test_redactions_of_administrators_fall_back_to_messages(self) -> None:
        self.assertEqual(
            config(rc_message={"per_second": 3}).ratelimiting.admin_redaction, limit(3, 10)
        )
        given = {"per_second": 1, "burst_count": 50}
        self.assertEqual(
            config(rc_admin_redaction=given).ratelimiting.admin_redaction, limit(1, 50)
        )

    def test_a_limit_without_default_needs_both_halves(self) -> None:
        self.assert_problem(
            "rc_admin_redaction: {per_second: 1}\n", "rc_admin_redaction.burst_count", "is required"
        )
