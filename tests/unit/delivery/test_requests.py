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
    kept = request.given.result(0)
    assert list(kept) == request.rows
    assert kept.pending


def test_a_failure_is_a_delivery_error_with_its_cause() -> None:
    request = Request([a_statement()], 0.0)
    cause = StoreBusy("locked")
    request.fail(cause)
    request.answer(request.rows)
    with pytest.raises(DeliveryError, match="not recorded: locked") as caught:
        request.given.result(0)
    assert caught.value.__cause__ is cause


def test_each_request_gets_its_own_of_the_rows_of_one_write() -> None:
    requests = [Request([a_statement() for _ in range(size)], 0.0) for size in (1, 3, 2)]
    kept = [a_statement() for _ in range(6)]
    answer_all(requests, kept)
    got = [list(request.given.result(0)) for request in requests]
    assert got == [kept[:1], kept[1:4], kept[4:]]
    assert not any(request.given.result(0).pending for request in requests)
