"""Log a generation, give feedback on it, read both back."""

import afterword

client = afterword.configure("sqlite:///quickstart.db", project="support-bot")


@afterword.generation(model="stand-in")
def answer(question: str) -> str:
    return f"Start with the customer, not with {question!r}."  # a stand-in for your model


reply = answer("How should I think about competition for my startup?")
data_id = afterword.last_data_id()

afterword.feedback(data_id=data_id, type="rating", value="good", user="user_123456")
afterword.feedback(data_id=data_id, type="correction", value="Talk to ten customers first.")

generation = client.get(data_id)
print(generation.inputs["question"], "->", generation.output)
for feedback in generation.feedback:
    print(f"{feedback.type}: {feedback.value} (by {feedback.user or 'code'})")
