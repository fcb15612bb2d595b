"""Feedback on its way: one answer each, whoever gives it first."""

from __future__ import annotations

import pytest
from recorder_doubles import a_statement

from afterword.delivery.requests import Request, answer_all
from afterword.errors import DeliveryError, StoreBusy


def test_the_first_answer_counts() -> None:
    request = Request([a_statement()], 0.0)
    assert not request.is_answered
    request.answer(request.rows, pending=True)
    request.answer([])
    request.fail(StoreBusy())
    assert request.is_answered
    kept = request.future.result(0)
    assert list(kept) == request.rows
    assert kept.pending


def test_a_failure_is_a_delivery_error_with_its_cause() -> None:
    request = Request([a_statement()], 0.0)
    cause = StoreBusy("locked")
    request.fail(cause)
    request.answer(request.rows)
    with pytest.raises(DeliveryError, match="not recorded: locked") as caught:
        request.future.result(0)
    assert caught.value.__cause__ is cause


def test_who_has_given_up_is_not_served_and_who_is_served_cannot_give_up() -> None:
    given_up, wanted = Request([a_statement()], 0.0), Request([a_statement()], 0.0)
    assert given_up.future.cancel()
    assert not given_up.is_wanted()
    assert wanted.is_wanted()
    assert not wanted.future.cancel()


def test_each_request_gets_its_own_of_the_rows_of_one_write() -> None:
    requests = [Request([a_statement() for _ in range(size)], 0.0) for size in (1, 3, 2)]
    kept = [a_statement() for _ in range(6)]
    answer_all(requests, kept)
    got = [list(request.future.result(0)) for request in requests]
    assert got == [kept[:1], kept[1:4], kept[4:]]
    assert not any(request.future.result(0).pending for request in requests)
