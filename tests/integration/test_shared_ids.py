"""Two projects that use the same IDs of their own on one store: each keeps its feedback."""

from __future__ import annotations

from pathlib import Path

import pytest

from afterword import Client


@pytest.mark.parametrize("count", [1, 50])
def test_feedback_given_at_once_belongs_to_the_generation_logged_just_before(
    tmp_path: Path, count: int
) -> None:
    url = f"sqlite:///{tmp_path}/shared.db"
    other, own = Client(url, project="other"), Client(url, project="own")
    for number in range(count):
        other.log(data_id=str(number), output="other's")
    assert other.flush(20)
    for number in range(count):
        own.log(data_id=str(number), output="own")
        given = own.feedback(str(number), "rating", "bad")
        assert given.project == "own"
    assert own.flush(20)
    for number in range(count):
        assert own.store.history([str(number)], "other") == []
        (kept,) = own.store.history([str(number)], "own")
        assert kept.value == '"bad"'
    other.close()
    own.close()
