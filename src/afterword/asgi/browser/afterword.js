/**
 * Afterword in the browser (layer 5): the element <afterword-feedback>, and track() for signals the
 * page makes itself. Without dependencies, inline styles or parsed HTML, so it runs under a strict
 * Content-Security-Policy and under Trusted Types. Reference: docs/reference/browser.md.
 */
import { BODY_BYTES, debug, emit, send, sizeBytes, unsent, warn } from "./delivery.js";
import { dwell } from "./dwell.js";
import { SHEET, WORDS, button, field, icon, make, panel } from "./look.js";
import { apply, ask } from "./restore.js";
import { keptShare, share } from "./share.js";

const HOME = new URL(".", import.meta.url).href;
const ISSUES = "incorrect, incomplete, irrelevant, offensive, too_long, bad_format";
const TRACKED_PER_MINUTE = 30; // half of what the server takes for a token
const STATUS_MS = 5000;
const COMMENT_CHARS = 4000; // fits a body in any script
const PROPERTIES = ["token", "dataId", "endpoint"];
const seen = new Set();
let recent = [];

/** Sends a signal of the page's own, once a page life for each (token, data ID, type, value). */
export async function track(token, type, value, options = {}) {
  const { dataId, endpoint, target = document, debug: wanted, ...rest } = options;
  debug(wanted);
  if (!token || !type || value === undefined || !isFirst(token, dataId, type, value, rest.unset)) {
    warn("not tracked: incomplete, said before, or too much at once", type, value);
    return "skipped";
  }
  const entry = { data_id: dataId, type, value, ...rest };
  return new Promise((resolve) => send(target, folder(endpoint), token, entry, resolve));
}

function isFirst(...key) {
  const name = JSON.stringify(key);
  recent = recent.filter((time) => time > Date.now() - 60_000);
  if (seen.has(name) || recent.length >= TRACKED_PER_MINUTE) return false;
  seen.add(name);
  recent.push(Date.now());
  return true;
}

function folder(endpoint) {
  return endpoint ? new URL(endpoint, document.baseURI).href.replace(/\/*$/, "/") : HOME;
}

export class AfterwordFeedback extends HTMLElement {
  static observedAttributes = [
    ...["token", "data-id", "endpoint", "for", "issues", "stars", "stars-max", "dwell", "debug"],
    ...Object.keys(WORDS).map((word) => `label-${word}`),
  ];

  #parts; // the nodes, by name
  #state = {}; // {type: value}, as the rater sees it
  #touched = new Set(); // types spoken on since the token came: an older answer must not undo them
  #open = ""; // the panel that is open: issues, correction or none
  #asked = ""; // for what the state was asked
  #found = null; // the data ID, as the server named it
  #hush; // the timer that clears the status
  #watching = () => {}; // ends the watch on how long the answer is in sight

  constructor() {
    super();
    this.attachShadow({ mode: "open" }).adoptedStyleSheets = [SHEET];
  }

  get token() {
    return this.getAttribute("token") ?? "";
  }

  set token(value) {
    this.#set("token", value);
  }

  get dataId() {
    return this.getAttribute("data-id") ?? this.#found;
  }

  set dataId(value) {
    this.#set("data-id", value);
  }

  get endpoint() {
    return folder(this.getAttribute("endpoint"));
  }

  set endpoint(value) {
    this.#set("endpoint", value);
  }

  #set(name, value) {
    if (value === null || value === undefined) this.removeAttribute(name);
    else this.setAttribute(name, value);
  }

  connectedCallback() {
    for (const name of PROPERTIES.filter((each) => Object.hasOwn(this, each))) {
      const value = this[name]; // set before the element was defined, it hides the accessor
      delete this[name];
      this[name] = value;
    }
    debug(this.hasAttribute("debug"));
    document.addEventListener("copy", this.#copied);
    this.#build();
    this.#begin();
  }

  disconnectedCallback() {
    document.removeEventListener("copy", this.#copied);
    this.#watching();
  }

  attributeChangedCallback(name, before, value) {
    if (!this.#parts || before === value) return;
    debug(this.hasAttribute("debug"));
    if (["token", "data-id", "endpoint"].includes(name)) this.#begin();
    else if (name !== "debug") this.#build();
    if (["for", "dwell"].includes(name)) this.#watch();
  }

  #begin(again = false) {
    const asked = JSON.stringify([this.endpoint, this.token, this.getAttribute("data-id")]);
    if (asked === this.#asked && !again) return;
    if (!again) {
      this.#found = null;
      this.#open = "";
    }
    this.#asked = asked;
    this.#state = {};
    this.#touched.clear();
    this.#update();
    const { endpoint, token } = this;
    this.#watch();
    const queued = unsent(endpoint, token); // the answer may be older, and they sent when it comes
    const restore = (reply, ids) => this.#asked === asked && this.#restore(reply, ids, queued);
    if (token) ask({ endpoint, token, restore });
  }

  #restore(reply, ids, queued) {
    const id = this.getAttribute("data-id") ?? ids[0] ?? null;
    const state = { ...reply[id] };
    for (const entry of queued) if ((entry.data_id ?? id) === id) apply(state, entry);
    const types = Object.keys(state).filter((type) => !this.#touched.has(type));
    for (const type of types) this.#state[type] = state[type];
    this.#found = id;
    this.#update();
    if (types.length) emit(this, "restored", { dataId: id, state: structuredClone(this.#state) });
  }

  #answered(outcome, entry, dataId) {
    this.#found = dataId ?? this.#found;
    // Nobody waits for word of what they did not say.
    if (entry.type === "action" || entry.type === this.getAttribute("dwell")) return;
    const { word } = this.#parts.status.dataset;
    if (outcome === "kept") this.#say("later", true);
    if (outcome === "sent" && word === "later") this.#say("thanks", true);
    if (outcome !== "refused") return;
    this.#begin(true); // what the server knows is what holds
    if (entry.type === "correction") this.#show("correction", true); // keeps what was written
    this.#say("error", true);
  }

  #send(entry, word, loud) {
    this.#touched.add(entry.type);
    if (entry.type === "rating") this.#touched.add("comment");
    apply(this.#state, entry);
    this.#update();
    if (word) this.#say(word, loud);
    const asked = this.#asked;
    const answered = (...answer) => this.#asked === asked && this.#answered(...answer);
    const dataId = this.getAttribute("data-id") ?? undefined;
    send(this, this.endpoint, this.token, { data_id: dataId, ...entry }, answered);
  }

  #rate(value) {
    const undo = this.#state.rating === value;
    const bad = !undo && value === "bad";
    this.#send({ type: "rating", value: undo ? null : value }, undo ? "undone" : "thanks");
    if (!bad && this.#state.issue?.length) this.#send({ type: "issue", value: null });
    if (bad) this.#say("issues"); // what just opened
    if (this.#open !== "correction") this.#show(bad ? "issues" : "");
  }

  #star(value) {
    const type = this.getAttribute("stars");
    const undo = this.#state[type] === value;
    this.#send({ type, value: undo ? null : value }, undo ? "undone" : "thanks");
  }

  #watch() {
    this.#watching();
    this.#watching = () => {};
    const type = this.getAttribute("dwell");
    const { token } = this;
    const source = this.#source();
    if (!type || !token || !source) return;
    const dataId = this.getAttribute("data-id") ?? undefined;
    this.#watching = dwell(source, (value) => {
      if (!isFirst(token, dataId, type)) return;
      send(this, this.endpoint, token, { data_id: dataId, type, value }, () => {});
    });
  }

  #toggle(issue) {
    const unset = this.#state.issue?.includes(issue);
    const entry = { type: "issue", value: issue, ...(unset && { unset }) };
    this.#send(entry, unset ? "undone" : "thanks");
  }

  #comment() {
    const comment = this.#parts.comment.value.trim();
    this.#show("");
    if (comment === (this.#state.comment ?? "")) return;
    this.#send({ type: "rating", value: "bad", ...(comment && { comment }) }, "thanks", true);
  }

  #correct() {
    const before = this.#answer();
    const value = this.#parts.correction.value;
    const earlier = this.#state.correction;
    this.#show("");
    if (value === (earlier ?? before)) return;
    if (!value.trim() || value === before) {
      if (earlier !== undefined) this.#send({ type: "correction", value: null }, "undone", true);
      return;
    }
    const metadata = { before, kept: keptShare(before, value) };
    const entry = { type: "correction", value, metadata };
    if (sizeBytes([this.token, entry]) > BODY_BYTES) delete metadata.before; // the log has it too
    this.#send(entry, "thanks", true);
  }

  #copied = () => {
    const source = this.#source();
    const root = source?.getRootNode();
    const selection = root?.getSelection?.() ?? document.getSelection();
    if (!source || !this.token || !selection?.rangeCount) return;
    const range = selection.getRangeAt(0);
    if (range.startContainer.getRootNode() !== root) return;
    const whole = new Range();
    whole.selectNodeContents(source);
    const inside = range.cloneRange(); // a triple click ends at the start of the next paragraph
    if (inside.compareBoundaryPoints(Range.START_TO_START, whole) < 0) {
      inside.setStart(whole.startContainer, whole.startOffset);
    }
    if (inside.compareBoundaryPoints(Range.END_TO_END, whole) > 0) {
      inside.setEnd(whole.endContainer, whole.endOffset);
    }
    const text = inside.toString().trim();
    if (!text || text !== range.toString().trim() || this.#state.action?.includes("copied")) return;
    if (!isFirst(this.token, this.getAttribute("data-id") ?? undefined, "action", "copied")) return;
    const metadata = { share: share(text.length, whole.toString().trim().length) };
    this.#send({ type: "action", value: "copied", metadata });
  };

  #source() {
    return this.getRootNode().getElementById?.(this.getAttribute("for") ?? "");
  }

  #answer() {
    const source = this.#source();
    return source?.innerText ?? source?.textContent ?? "";
  }

  #word(name) {
    return this.getAttribute(`label-${name}`) ?? WORDS[name];
  }

  #say(word, loud = false) {
    const { status } = this.#parts;
    clearTimeout(this.#hush);
    status.part.toggle("quiet", !loud);
    status.dataset.word = word;
    status.textContent = word && this.#word(word);
    if (word && word !== "error") this.#hush = setTimeout(() => this.#say(""), STATUS_MS);
  }

  #show(panel, keep = false) {
    const { comment, correction, more, edit } = this.#parts;
    const from = this.#open;
    this.#open = panel;
    const within = this.shadowRoot.activeElement?.closest("[part~=panel]");
    this.#update();
    if (panel === "issues" && from !== panel) comment.value = this.#state.comment ?? "";
    if (panel === "correction") {
      if (!keep) correction.value = this.#state.correction ?? this.#answer();
      correction.focus();
    } else if (within) (from === "issues" ? more : edit).focus(); // never lose the keyboard's place
  }

  #issues() {
    const values = (this.getAttribute("issues") ?? ISSUES).split(",").map((issue) => issue.trim());
    return values.filter(Boolean).map((value) => {
      const plain = value.replaceAll("_", " ");
      const label = this.getAttribute(`label-issue-${value.replaceAll("_", "-")}`);
      return { value, label: label ?? plain[0].toUpperCase() + plain.slice(1) };
    });
  }

  #build() {
    const word = (name) => this.#word(name);
    const toggle = (panel) => () => this.#show(this.#open === panel ? "" : panel);
    const most = Math.min(Math.max(Number(this.getAttribute("stars-max")) || 5, 2), 10);
    const scale = this.hasAttribute("stars") ? Array.from({ length: most }, (_, at) => at + 1) : [];
    const parts = {
      stars: scale.map((value) => {
        return icon("star", `${word("star")} ${value}/${most}`, () => this.#star(value), { value });
      }),
      good: icon("good", word("good"), () => this.#rate("good")),
      bad: icon("bad", word("bad"), () => this.#rate("bad")),
      more: icon("more", word("more"), toggle("issues")),
      edit: icon("edit", word("edit"), toggle("correction")),
      status: make("span", { part: "status quiet", role: "status", "aria-live": "polite" }),
      comment: field("comment", word("comment"), { maxlength: COMMENT_CHARS }),
      correction: field("correction", word("correction"), { rows: 6, dir: "auto" }),
      chips: this.#issues().map(({ value, label }) => {
        return button("chip", label, () => this.#toggle(value), { value });
      }),
    };
    const cancel = () => this.#show("");
    parts.issues = panel("issues", word("issues"), {
      content: [make("div", { part: "chips" }, ...parts.chips), parts.comment],
      cancel: { label: word("close"), act: cancel },
      save: { label: word("send"), act: () => this.#comment() },
    });
    parts.editor = panel("editor", word("edit"), {
      content: [parts.correction],
      cancel: { label: word("cancel"), act: cancel },
      save: { label: word("save"), act: () => this.#correct() },
    });
    const { good, bad, more, edit, status, issues, editor } = parts;
    const group = { part: "buttons", role: "group", "aria-label": word("group") };
    const choices = scale.length ? parts.stars : [good, bad, more];
    const row = make("div", group, ...choices, edit, status);
    for (const name of ["comment", "correction"]) {
      parts[name].value = this.#parts?.[name].value ?? ""; // a new word must not cost the text
    }
    this.shadowRoot.replaceChildren(row, issues, editor);
    this.#parts = parts;
    this.#update();
  }

  #update() {
    const { good, bad, more, edit, issues, editor, chips, stars } = this.#parts;
    const { rating, correction, issue = [] } = this.#state;
    for (const each of [good, bad, more, edit, ...stars]) each.disabled = !this.token;
    const given = this.#state[this.getAttribute("stars")] ?? 0;
    for (const each of stars) {
      each.ariaPressed = Number(each.value) === given;
      each.part.toggle("filled", Number(each.value) <= given);
    }
    good.ariaPressed = rating === "good";
    bad.ariaPressed = rating === "bad";
    for (const chip of chips) chip.ariaPressed = issue.includes(chip.value);
    more.hidden = rating !== "bad";
    more.ariaExpanded = this.#open === "issues";
    edit.hidden = !this.hasAttribute("for");
    edit.ariaExpanded = this.#open === "correction";
    edit.part.toggle("done", correction !== undefined);
    issues.hidden = this.#open !== "issues";
    editor.hidden = this.#open !== "correction";
  }
}

if (!customElements.get("afterword-feedback")) {
  customElements.define("afterword-feedback", AfterwordFeedback);
}
