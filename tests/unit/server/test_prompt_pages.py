"""The page of prompts: versions, what is deployed, what differs, and who may see it."""

from __future__ import annotations

from server_calls import hrefs
from starlette.testclient import TestClient

from afterword.client import Client
from afterword.prompts import PromptShelf, make_version
from afterword.server.keys import create_key


def test_no_prompts_say_how_to_register_one(web: TestClient) -> None:
    page = web.get("prompts")
    assert page.status_code == 200
    assert "afterword prompts register" in page.text


def test_versions_are_listed_and_two_compared(web: TestClient, client: Client, root: str) -> None:
    shelf = PromptShelf(client.store)
    template = "Q <script>alert(1)</script> {{question}}"
    old = shelf.register("a & b", make_version(model="gpt-4o", template="Q"), deploy_first=True)
    new = shelf.register("a & b", make_version(model="gpt-4o", template=template, name="main"))
    shelf.deploy("a & b", new.id, "staging")
    page = web.get("prompts").text
    assert old.id in page
    assert "production" in page
    assert "staging" in page
    assert "<script>" not in page
    assert '<span class="removed"><bdi>-Q</bdi></span>' in page
    back = web.get("prompts", params={"project": "a & b", "old": new.id, "new": old.id}).text
    assert '<span class="added"><bdi>+Q</bdi></span>' in back
    (logs,) = [link for link in hrefs(page) if f"version={new.id}" in link]
    assert web.get(f"http://logs.example{logs}").status_code == 200


def test_a_key_of_a_project_sees_only_its_prompts(plain_web: TestClient, client: Client) -> None:
    shelf = PromptShelf(client.store)
    for project in ("mine", "theirs"):
        shelf.register(project, make_version(model="gpt-4o", template=project))
    key, _ = create_key(client.store, project="mine", scopes=("read",))
    ingest, _ = create_key(client.store, project="mine", scopes=("ingest",))
    assert plain_web.get("/prompts", follow_redirects=False).status_code == 303
    assert plain_web.get("/prompts", headers={"X-API-KEY": ingest}).status_code == 403
    page = plain_web.get("/prompts?project=theirs", headers={"X-API-KEY": key})
    assert page.status_code == 200
    assert "theirs" not in page.text
