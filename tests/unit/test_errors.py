"""Errors: one tree, and each says something without being told."""

from __future__ import annotations

import inspect

import pytest

from afterword import errors
from afterword.errors import AfterwordError, FeedbackRejected, InvalidInput, shown

CLASSES = [getattr(errors, name) for name in errors.__all__]


def test_every_error_is_in_the_list_and_in_the_drawing_of_the_tree() -> None:
    defined = {
        name
        for name, found in vars(errors).items()
        if inspect.isclass(found) and issubclass(found, BaseException)
    }
    assert defined == set(errors.__all__)
    assert all(name in (errors.__doc__ or "") for name in defined)


@pytest.mark.parametrize("kind", CLASSES)
def test_an_error_raised_bare_says_what_its_docstring_says(kind: type[AfterwordError]) -> None:
    assert issubclass(kind, AfterwordError)
    assert str(kind()) == inspect.getdoc(kind)
    assert str(kind("told")) == "told"


def test_what_was_wrong_is_carried_along() -> None:
    error = FeedbackRejected("no", field="value", allowed=["good", "bad"], index=3)
    assert (error.field, error.allowed, error.index) == ("value", ("good", "bad"), 3)
    assert isinstance(error, InvalidInput)
    assert isinstance(error, ValueError)


def test_a_value_is_shown_short_whatever_it_is() -> None:
    class Hostile:
        def __repr__(self) -> str:
            raise RuntimeError

    assert shown("good") == "'good'"
    assert len(shown("x" * 1_000_000)) == 100
    assert shown(10**5_000) == "<int>"
    assert shown(Hostile()) == "<Hostile>"
