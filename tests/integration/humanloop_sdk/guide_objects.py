"""Humanloop's guide to user feedback, as its SDK of 0.7 writes it. Prints what came back as JSON.

Runs in an environment that has nothing but that SDK. Arguments: the host, and a key to send along.
"""

import asyncio
import json
import sys

from humanloop import ApiException, Humanloop

humanloop = Humanloop(api_key="hl_sk_test", openai_api_key=sys.argv[2], host=sys.argv[1])
seen = {}

registered = humanloop.model_configs.register(
    project="support-bot", model="gpt-4o", prompt_template="Answer: {{question}}", temperature=0.2
)
seen["config"] = registered.config.id

# The guide.
response = humanloop.complete_deployed(
    project="support-bot", inputs={"question": "How should I think about competition?"}
)
data_id = response.data[0].id
seen["completed"] = {"id": data_id, "output": response.data[0].output}
first = humanloop.feedback(data_id=data_id, type="rating", value="good")
seen["first"] = {"type": first.type, "value": first.value, "data_id": first.data_id}
named = humanloop.feedback(data_id=data_id, type="rating", value="good", user="user_123456")
seen["named"] = named.user
several = humanloop.feedback(
    [
        {"data_id": data_id, "type": "rating", "value": "bad"},
        {"data_id": data_id, "type": "correction", "value": "A user provided completion..."},
    ]
)
seen["several"] = [[found.type, found.value] for found in several]
unset = humanloop.feedback(type="rating", data_id=data_id, user="user_123456", unset=True)
seen["unset"] = [type(unset).__name__, unset.value]

# The other ways to ask.
chat = humanloop.chat_deployed(
    project="support-bot",
    messages=[{"role": "user", "content": "Hi"}],
    inputs={"question": "x"},
)
seen["chat_deployed"] = chat.data[0].output_message.content
chat = humanloop.chat(
    project="support-bot",
    messages=[{"role": "user", "content": "Hi"}],
    model_config={
        "model": "gpt-4o",
        "chat_template": [{"role": "system", "content": "Be {{mood}}."}],
    },
    inputs={"mood": "kind"},
)
seen["chat"] = chat.data[0].id
completed = humanloop.complete(
    project="support-bot",
    model_config={"model": "gpt-4o", "prompt_template": "Answer: {{question}}"},
    inputs={"question": "x"},
    num_samples=2,
    return_inputs=False,
)
seen["complete"] = [[found.id, found.inputs] for found in completed.data]
seen["usage"] = completed.usage.total_tokens
again = humanloop.complete_model_configuration(
    project="support-bot", model_config_id=registered.config.id, inputs={"question": "x"}
)
seen["by_config"] = again.data[0].output


async def stream() -> None:
    response = await humanloop.complete_deployed_stream(
        project="support-bot", inputs={"question": "x"}
    )
    seen["streamed"] = [chunk async for chunk in response.content]
    response = await humanloop.chat_deployed_stream(
        project="support-bot",
        messages=[{"role": "user", "content": "Hi"}],
        inputs={"question": "x"},
    )
    seen["streamed_chat"] = [chunk async for chunk in response.content]


asyncio.run(stream())

# Logs, projects, sessions.
session = humanloop.sessions.create().id
logged = humanloop.log(
    project="support-bot",
    inputs={"question": "x"},
    output="ans",
    reference_id="ref1",
    source="sdk",
    session_id=session,
    config={"type": "model", "model": "gpt-4o", "prompt_template": "Q {{question}}"},
    feedback={"type": "rating", "value": "good", "user": "u1"},
    created_at="2024-01-02T03:04:05",
)
seen["logged"] = logged.id
project = humanloop.projects.get(id=logged.project_id)
seen["project"] = [project.name, project.active_config.config.id, project.data_count]
seen["types"] = [found.type for found in project.feedback_types]
seen["total"] = humanloop.logs.list(project_id=project.id, size=2).total
found = humanloop.logs.get(id=logged.id)
seen["log"] = [found.reference_id, str(found.created_at), found.feedback[0].value]
seen["updated"] = humanloop.logs.update_by_ref(reference_id="ref1", output="later").output
seen["exported"] = len(humanloop.projects.export(id=project.id, size=100).records)
seen["configs"] = len(humanloop.projects.list_configs(id=project.id))
seen["active"] = humanloop.projects.get_active_config(id=project.id).config.id
seen["session"] = humanloop.sessions.get(id=session).last_output
made = humanloop.projects.create(name="another")
humanloop.projects.create_feedback_type(
    id=made.id, type="mood", _class="select", values=[{"value": "happy", "sentiment": "positive"}]
)
seen["mood"] = [found.type for found in humanloop.projects.get(id=made.id).feedback_types][-1]
humanloop.logs.delete(id=[logged.id])
try:
    humanloop.logs.get(id=logged.id)
except ApiException as error:
    seen["deleted"] = [error.status, "detail" in error.body]
try:
    humanloop.feedback(data_id=data_id, type="rating", value="splendid")
except ApiException as error:
    seen["refused"] = [error.status, error.body["detail"][0]["msg"]]

sys.stdout.write(json.dumps(seen))
