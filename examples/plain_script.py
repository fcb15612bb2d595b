"""A worker without a web framework: a trail for each job, and a comparison of what users said."""

import concurrent.futures

import afterword

client = afterword.configure("sqlite:///plain_script.db", project="mail-triage")


@afterword.generation(version="prompt-2")
def summarise(mail: str) -> str:
    afterword.annotate(model="stand-in", usage={"input_tokens": len(mail.split())})
    return mail.partition(".")[0]  # a stand-in for your model


with afterword.trail(user="ada", session="inbox-7") as trail:
    summary = summarise("The invoice is late. Please pay.")

    # Executors do not copy the context; `carry` takes the trail along.
    with concurrent.futures.ThreadPoolExecutor() as executor:
        executor.submit(afterword.carry(summarise), "Lunch at noon. Bring the cake.").result()

print("data IDs of this job:", len(trail.data_ids))
client.feedback(trail.data_ids[0], "rating", "bad", comment="It leaves out what to do.")
client.flush()

for generation in client.generations(feedback={"rating": "bad"}).items:
    print(generation.user, generation.output, "-", generation.feedback[0].comment)
