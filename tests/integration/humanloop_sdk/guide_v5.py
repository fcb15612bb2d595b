"""Logs, judgments, calls and decorated functions with the SDK of v5; prints what came back."""

import json
import sys

from humanloop import Humanloop

hl = Humanloop(api_key=sys.argv[2], base_url=sys.argv[1])
seen = {}
template = [{"role": "system", "content": "Be {{tone}}"}]
log = hl.prompts.log(
    path="demo/answers",
    prompt={"model": "gpt-4o", "template": template},
    inputs={"tone": "kind"},
    messages=[{"role": "user", "content": "hi"}],
    output_message={"role": "assistant", "content": "hello"},
)
seen["log"] = [type(log).__name__, log.id, log.prompt_id, log.version_id]
flow = hl.flows.log(
    path="demo/by-hand", flow={"attributes": {"a": 1}}, inputs={"q": "x"}, log_status="incomplete"
)
done = hl.flows.update_log(log_id=flow.id, output="done", log_status="complete")
seen["flow"] = [flow.id, flow.log_status, done.output, done.log_status, done.flow.path]
tool = hl.tools.log(
    path="demo/tool", tool={"function": {"name": "t", "description": "d"}}, output="3"
)
seen["tool"] = tool.id
mood = hl.evaluators.upsert(
    path="mood",
    spec={
        "evaluator_type": "human",
        "arguments_type": "target_free",
        "return_type": "multi_select",
        "options": [
            {"name": "happy", "valence": "positive"},
            {"name": "calm", "valence": "positive"},
            {"name": "sad", "valence": "negative"},
        ],
    },
)
for judgment, user in (("good", None), ("good", "u1"), ("bad", "u1")):
    named = {} if user is None else {"user": user}
    judged = hl.evaluators.log(path="rating", parent_id=log.id, judgment=judgment, **named)
seen["judged"] = [type(judged).__name__, judged.parent_id]
hl.evaluators.log(id=mood.id, parent_id=log.id, user="u1", judgment=["happy", "sad"])
hl.evaluators.log(id=mood.id, parent_id=log.id, user="u1", judgment=["happy", "calm"])
hl.evaluators.log(path="correction", parent_id=log.id, user="u1", judgment="better")


def judgments():
    # The SDK gives logs as plain objects.
    kept = hl.logs.get(id=log.id)
    return [
        [one["evaluator"]["path"], one["judgment"], one["user"]] for one in kept["evaluator_logs"]
    ]


seen["before"] = judgments()
hl.evaluators.log(path="rating", parent_id=log.id, user="u1", judgment=None)
seen["after"] = judgments()
seen["listed"] = [
    (one if isinstance(one, dict) else vars(one))["id"]
    for one in hl.logs.list(file_id=log.prompt_id, page=1, size=5)
]
called = hl.prompts.call(
    path="demo/called",
    prompt={"model": "gpt-4o", "template": template},
    inputs={"tone": "short"},
    messages=[{"role": "user", "content": "Well?"}],
)
seen["called"] = [type(called).__name__, called.id, called.logs[0].output, called.prompt.path]
seen["streamed"] = [
    [piece.id, piece.output]
    for piece in hl.prompts.call_stream(
        path="demo/called",
        prompt={"model": "gpt-4o", "template": template},
        inputs={"tone": "short"},
        messages=[{"role": "user", "content": "Well?"}],
    )
]


@hl.tool(path="demo/adding")
def add(a: int, b: int) -> int:
    return a + b


@hl.flow(path="demo/agent", attributes={"v": 1})
def agent(question: str) -> str:
    return f"{question} {add(1, 2)}"


seen["agent"] = agent("What?")
refused = []
for given in ({"path": "nosuch", "judgment": "x"}, {"id": mood.id, "judgment": ["angry"]}):
    try:
        hl.evaluators.log(parent_id=log.id, **given)
    except Exception as error:
        refused.append([error.status_code, str(error.body)])
seen["refused"] = refused
hl.logs.delete(id=tool.id)
try:
    hl.logs.get(id=tool.id)
except Exception as error:
    seen["deleted"] = error.status_code
# The decorators send from a thread, which ends once all is sent.
hl._tracer_provider.shutdown()
print(json.dumps(seen))  # noqa: T201
