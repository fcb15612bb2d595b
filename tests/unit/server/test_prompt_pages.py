"""The page of prompts: versions, what is deployed, what differs, and who may see it."""

from __future__ import annotations

from server_calls import HOST, hrefs
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


def test_a_version_is_registered_and_deployed_by_forms(web: TestClient, client: Client) -> None:
    origin = {"Origin": HOST}
    form = {
        "project": "shop", "model": "gpt-4o", "provider": "openai", "name": "first",
        "template": "Answer {{question}}\r\nbriefly", "parameters": '{"temperature": 0.2}',
    }  # fmt: skip
    answer = web.post("prompts", data=form, headers=origin, follow_redirects=False)
    assert answer.status_code == 303
    shelf = PromptShelf(client.store)
    (first,) = shelf.versions("shop")
    assert first.template == "Answer {{question}}\nbriefly"
    assert first.parameters == {"temperature": 0.2}
    assert shelf.deployments("shop") == {"production": first.id}
    chat = '[{"role": "system", "content": "Be {{tone}}"}]'
    web.post("prompts", data={**form, "template": chat}, headers=origin)
    second = next(version for version in shelf.versions("shop") if version.id != first.id)
    assert second.variables == ["tone"]
    page = web.get(f"http://logs.example{answer.headers['location']}")
    assert "Register a version" in page.text
    deploy = {"project": "shop", "deploy": second.id, "environment": "staging"}
    assert web.post("prompts", data=deploy, headers=origin).status_code == 200
    assert shelf.deployments("shop") == {"production": first.id, "staging": second.id}


def test_a_form_that_does_not_fit_says_why_and_keeps_what_was_written(
    web: TestClient, client: Client
) -> None:
    origin = {"Origin": HOST}
    for change, told in (
        ({"model": ""}, "model"),
        ({"project": "bad\nname"}, "project"),
        ({"parameters": "[1]"}, "parameters must be a JSON object"),
        ({"parameters": '{"nosuch": 1}'}, "nosuch"),
        ({"deploy": "nosuch"}, "has no version"),
    ):
        form = {"project": "shop", "model": "gpt-4o", "template": "kept <b> text", **change}
        page = web.post("prompts", data=form, headers=origin)
        assert page.status_code == 422, change
        assert told in page.text
        assert "<b>" not in page.text
        assert "kept &lt;b&gt; text" in page.text
    assert PromptShelf(client.store).projects() == []


def test_prompts_are_changed_from_the_page_itself_and_by_admins_only(
    web: TestClient, plain_web: TestClient, client: Client
) -> None:
    form = {"project": "mine", "model": "gpt-4o", "template": "x"}
    elsewhere = {"Origin": "https://elsewhere.example"}
    assert web.post("prompts", data=form, headers=elsewhere).status_code == 403
    reviewer, _ = create_key(client.store, project="mine", scopes=("read", "feedback"))
    admin, _ = create_key(client.store, project="mine", scopes=("admin",))
    origin = {"Origin": HOST}
    refused = plain_web.post("/prompts", data=form, headers={**origin, "X-API-KEY": reviewer})
    assert refused.status_code == 403
    seen = plain_web.get("/prompts", headers={"X-API-KEY": reviewer}).text
    assert "Register a version" not in seen
    theirs = {**form, "project": "theirs"}
    keyed = {**origin, "X-API-KEY": admin}
    assert plain_web.post("/prompts", data=theirs, headers=keyed).status_code == 403
    assert PromptShelf(client.store).projects() == []
    made = plain_web.post("/prompts", data=form, headers=keyed, follow_redirects=False)
    assert made.status_code == 303
    assert PromptShelf(client.store).projects() == ["mine"]
