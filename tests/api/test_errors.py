"""Errors travel as JSON and come back as what they were."""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from synapse_lite.api import errors
from synapse_lite.api.errors import (
    ForbiddenError,
    InteractiveAuthError,
    LimitExceededError,
    MatrixError,
    NotFoundError,
    UnavailableError,
    UnknownError,
    UnknownTokenError,
)


def classes() -> list[type[MatrixError]]:
    """Every class of the module that declares an errcode."""
    return [
        value
        for value in vars(errors).values()
        if isinstance(value, type)
        and issubclass(value, MatrixError)
        and value is not MatrixError
        and "ERRCODE" in vars(value)
    ]


class ErrorsTestCase(TestCase):
    """`MatrixError` and its kin."""

    def test_each_comes_back_as_itself(self) -> None:
        for cls in classes():
            if cls is InteractiveAuthError:
                continue
            body = {"errcode": cls.ERRCODE, "error": "sentence", "more": [1]}
            error = MatrixError.from_json(cls.STATUS, body)
            self.assertIs(type(error), cls)
            self.assertEqual((error.status, error.to_json()), (cls.STATUS, body))
            self.assertEqual(str(error), "sentence")

    def test_no_two_classes_share_an_errcode(self) -> None:
        codes = [cls.ERRCODE for cls in classes()]
        self.assertEqual(len(codes), len(set(codes)))

    def test_one_without_an_errcode_of_its_own_comes_back_as_its_base(self) -> None:
        error = MatrixError.from_json(503, UnavailableError("later").to_json())
        self.assertEqual((type(error), error.status), (UnknownError, 503))

    def test_extra_fields_survive(self) -> None:
        sent = LimitExceededError(retry_after_ms=1500)
        back = MatrixError.from_json(429, sent.to_json())
        self.assertIsInstance(back, LimitExceededError)
        self.assertEqual(back.to_json()["retry_after_ms"], 1500)

    def test_extra_fields_cannot_replace_the_errcode(self) -> None:
        error = ForbiddenError("no", extra={"errcode": "M_OTHER", "error": "x"})
        self.assertEqual(error.to_json(), {"errcode": "M_FORBIDDEN", "error": "no"})

    def test_answers_without_a_usable_errcode(self) -> None:
        for body in (None, [], {}, {"errcode": 7}):
            error = MatrixError.from_json(502, body)
            self.assertEqual((error.status, error.errcode), (502, "M_UNKNOWN"))
        error = MatrixError.from_json(502, {"errcode": "M_NEVER_HEARD_OF"})
        self.assertIs(type(error), MatrixError)
        self.assertEqual(error.errcode, "M_NEVER_HEARD_OF")

    def test_status_of_the_answer_counts(self) -> None:
        self.assertEqual(
            MatrixError.from_json(410, {"errcode": "M_NOT_FOUND", "error": "gone"}).status, 410
        )
        self.assertEqual(NotFoundError("gone").status, 404)

    def test_soft_logout_is_always_said(self) -> None:
        self.assertIs(UnknownTokenError().to_json()["soft_logout"], False)
        self.assertIs(UnknownTokenError(soft_logout=True).to_json()["soft_logout"], True)

    def test_interactive_auth_is_its_own_body(self) -> None:
        body = {"flows": [{"stages": ["m.login.dummy"]}], "session": "x", "params": {}}
        error = InteractiveAuthError(body)
        self.assertEqual((error.status, error.to_json()), (401, body))
