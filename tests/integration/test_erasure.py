"""Who is erased is gone from every byte on disk."""

from __future__ import annotations

from pathlib import Path

import afterword
from afterword import Client

SECRET = "the-erased-user-7f3a"
SAID = "what only the erased user ever said 91c2"


def bytes_on_disk(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_no_file_holds_a_byte_of_an_erased_user(tmp_path: Path) -> None:
    client = Client(f"sqlite:///{tmp_path / 'afterword.db'}")
    kept: list[str] = []
    for number in range(200):
        user = SECRET if number % 3 == 0 else "somebody else"
        text = f"{SAID} {number}" if user == SECRET else f"another text {number}"
        data_id = client.log(inputs={"question": text}, output=text * 40, user=user)
        client.feedback(data_id=data_id, type="comment", value=text, user=user)
        client.feedback(data_id=data_id, type="comment", value=text + " again", user=user)
        if user != SECRET:
            kept.append(data_id)
    assert client.flush(20)
    assert SECRET.encode() in bytes_on_disk(tmp_path)
    assert client.erase(SECRET) > 0
    for _ in range(2):
        found = bytes_on_disk(tmp_path)
        assert SECRET.encode() not in found
        assert SAID.encode() not in found
        for data_id in kept:
            generation = client.get(data_id)
            assert generation is not None
            assert len(generation.feedback) == 1
        client.close()
        client = Client(f"sqlite:///{tmp_path / 'afterword.db'}")
    assert client.generations(user=SECRET).items == []
    client.close()


def test_what_was_captured_of_an_erased_user_and_not_yet_stored_is_erased_too(
    tmp_path: Path,
) -> None:
    client = Client(f"sqlite:///{tmp_path / 'afterword.db'}")

    @afterword.generation(client=client)
    def answer(question: str) -> str:
        return question.upper()

    with afterword.trail(user=SECRET):
        answer(SAID)
    client.erase(SECRET)
    assert client.flush(20)
    client.close()
    assert SECRET.encode() not in bytes_on_disk(tmp_path)
    assert SAID.upper().encode() not in bytes_on_disk(tmp_path)
