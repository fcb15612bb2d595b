"""Humanloop's guide to user feedback, as its SDKs of 0.4 and 0.5 write it. Prints JSON.

The project's config is there before: 0.4.17 cannot register one when it has a provider's key.
"""

import json
import sys

from humanloop import ApiException, Humanloop

humanloop = Humanloop(api_key="hl_sk_test", openai_api_key=sys.argv[2], host=sys.argv[1])
seen = {}

completion = humanloop.complete_deployed(project="support-bot", inputs={"question": "How?"})
data_id = completion.body["data"][0]["id"]
seen["completed"] = {"id": data_id, "output": completion.body["data"][0]["output"]}
first = humanloop.feedback(data_id=data_id, type="rating", value="good", user="user_123456")
seen["first"] = [type(first).__name__, first.body["value"]]
several = humanloop.feedback(
    [
        {"data_id": data_id, "type": "rating", "value": "bad"},
        {"data_id": data_id, "type": "correction", "value": "A user provided completion..."},
    ]
)
seen["several"] = [found["value"] for found in several.body]
logged = humanloop.log(project="support-bot", inputs={"question": "x"}, output="ans")
seen["logged"] = logged.body["id"]
session = humanloop.sessions.create()
seen["session"] = type(session).__name__
try:
    humanloop.complete_experiment(project="support-bot", experiment_id="exp_1", inputs={})
except ApiException as error:
    seen["experiment"] = [error.status, "detail" in error.body]

sys.stdout.write(json.dumps(seen))
