/**
 * The demo's chat page (layer 6): asks, shows the answer as it streams, and keeps the conversation in this tab, so
 * that after a reload every answer still has its token and the feedback given on it.
 */
const STORAGE = "afterword-demo:conversation";
const HISTORY_TURNS = 4;
const HISTORY_CHARACTERS = 4000;

const find = (selector, root = document) => root.querySelector(selector);
const form = find("#ask");
const message = find("#message");
const send = find("#send");
const stop = find("#stop");
const newChat = find("#new-chat");
const welcome = find("#welcome");
const conversation = find("#conversation");
const status = find("#status");

let turns = read();
let asking = null;

function read() {
  try {
    const kept = JSON.parse(sessionStorage.getItem(STORAGE));
    const whole = (turn) => typeof turn?.question === "string" && typeof turn.answer === "string";
    return Array.isArray(kept) ? kept.filter(whole) : [];
  } catch {
    return [];
  }
}

function keep() {
  try {
    sessionStorage.setItem(STORAGE, JSON.stringify(turns.map(({ running, ...turn }) => turn)));
  } catch {
    // Without storage the chat works all the same; only a reload forgets it.
  }
}

// ---- showing

function addTurn(turn) {
  const item = find("#turn").content.cloneNode(true).firstElementChild;
  find("[data-question]", item).textContent = turn.question;
  find("[data-text]", item).id = `answer-${conversation.childElementCount + 1}`;
  conversation.append(item);
  show(turn, item);
  return item;
}

function show(turn, item) {
  find(".answer", item).setAttribute("aria-busy", String(Boolean(turn.running)));
  showText(turn, item);
  const problem = find("[data-problem]", item);
  problem.hidden = !turn.problem;
  problem.textContent = turn.problem ?? "";
  if (turn.running || !turn.dataId) return;
  const link = find("[data-link]", item);
  link.href = `afterword/generations/${encodeURIComponent(turn.dataId)}`;
  link.textContent = turn.dataId;
  link.setAttribute("aria-label", `Data ID ${turn.dataId}, show in the Logs`);
  find("[data-below]", item).hidden = false;
  if (turn.answer && turn.token) showFeedback(turn, item);
}

function showText(turn, item) {
  const text = find("[data-text]", item);
  text.textContent = turn.answer;
  text.hidden = !turn.answer && !turn.running;
}

function showFeedback(turn, item) {
  const feedback = document.createElement("afterword-feedback");
  feedback.setAttribute("token", turn.token);
  feedback.setAttribute("for", find("[data-text]", item).id);
  const place = find("[data-feedback]", item);
  place.replaceChildren(feedback);
  panels.observe(place);
}

/** A panel that opens under an answer comes out from behind the question's form. */
const panels = new ResizeObserver((changes) => {
  for (const { target, contentRect } of changes) {
    const before = Number(target.dataset.height ?? Infinity);
    target.dataset.height = contentRect.height;
    if (contentRect.height > before) target.parentElement.scrollIntoView({ block: "nearest" });
  }
});

function showControls() {
  const empty = turns.length === 0;
  welcome.hidden = !empty;
  newChat.hidden = empty;
  send.hidden = Boolean(asking);
  stop.hidden = !asking;
  send.disabled = !message.value.trim();
}

const atEnd = () => innerHeight + scrollY >= document.documentElement.scrollHeight - 80;
const scrollToEnd = () => scrollTo({ top: document.documentElement.scrollHeight });

// ---- asking

async function ask(question) {
  if (asking) return;
  asking = new AbortController();
  const history = turns.filter((turn) => turn.answer && !turn.problem).slice(-HISTORY_TURNS).flatMap((turn) => [
    { role: "user", content: turn.question.slice(0, HISTORY_CHARACTERS) },
    { role: "assistant", content: turn.answer.slice(0, HISTORY_CHARACTERS) },
  ]);
  const turn = { question, answer: "", running: true };
  turns.push(turn);
  const item = addTurn(turn);
  status.textContent = "Answering";
  showControls();
  scrollToEnd();
  try {
    await receive(turn, item, { message: question, history }, asking.signal);
    status.textContent = turn.problem ?? "The answer is complete";
  } catch (error) {
    const stopped = error.name === "AbortError";
    if (!stopped) turn.problem = error instanceof Refusal ? error.message : "The demo's server cannot be reached.";
    status.textContent = stopped ? "Stopped" : turn.problem;
  }
  const follow = atEnd();
  delete turn.running;
  asking = null;
  if (turns.includes(turn)) {
    show(turn, item);
    keep();
  }
  showControls();
  if (follow) scrollToEnd();
}

class Refusal extends Error {}

async function receive(turn, item, body, signal) {
  const response = await fetch("chat", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
    signal,
  });
  turn.dataId = response.headers.get("afterword-data-id");
  turn.token = response.headers.get("afterword-feedback-token");
  if (!response.ok) {
    const problem = await response.json().catch(() => null);
    throw new Refusal(problem?.detail ?? `The server answered ${response.status}.`);
  }
  for await (const { event, data } of frames(response.body)) {
    if (event === "message") {
      const follow = atEnd();
      turn.answer += data.delta;
      showText(turn, item);
      if (follow) scrollToEnd();
    } else if (event === "error") {
      turn.problem = data.detail;
    } else if (event === "done") {
      return;
    }
  }
  turn.problem ??= "The answer broke off.";
}

/** The events of a text/event-stream body whose data is JSON. */
async function* frames(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += value;
    const blocks = text.split("\n\n");
    text = blocks.pop();
    for (const block of blocks) {
      const lines = block.split("\n");
      const field = (name) => lines.filter((line) => line.startsWith(`${name}: `)).map((line) => line.slice(name.length + 2));
      const data = field("data");
      if (data.length) yield { event: field("event")[0] ?? "message", data: JSON.parse(data.join("\n")) };
    }
  }
}

// ---- the controls

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const question = message.value.trim();
  if (!question || asking) return;
  form.reset();
  ask(question);
});

message.addEventListener("input", showControls);
message.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  form.requestSubmit();
});

welcome.addEventListener("click", (event) => {
  const example = event.target.closest("[data-example]");
  if (!example) return;
  ask(example.textContent);
  if (matchMedia("(pointer: fine)").matches) message.focus();
});

stop.addEventListener("click", () => {
  asking?.abort();
  message.focus();
});

newChat.addEventListener("click", () => {
  asking?.abort();
  turns = [];
  keep();
  conversation.replaceChildren();
  status.textContent = "";
  showControls();
  message.focus();
});

addEventListener("pagehide", () => asking && keep());

for (const turn of turns) addTurn(turn);
showControls();
if (turns.length) scrollToEnd();
