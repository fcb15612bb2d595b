/**
 * What this rater said before, to draw the page again after a reload: one question for all elements
 * made in the same task. Part of the browser module (layer 5).
 */
import { post, quietly, warn } from "./delivery.js";

const TOKENS_ASKED = 30; // at once: as many as surely fit a body
const SEVERAL = ["action", "issue"]; // types of which several labels hold at once
let asking = [];

/** Takes {endpoint, token, restore}; `restore` gets the reply and which of its IDs are ours. */
export function ask(question) {
  if (!asking.length) setTimeout(askAll);
  asking.push(question);
}

function askAll() {
  const groups = {};
  for (const question of asking) (groups[question.endpoint] ??= []).push(question);
  asking = [];
  for (const [endpoint, questions] of Object.entries(groups)) {
    const tokens = [...new Set(questions.map(({ token }) => token))];
    while (tokens.length) askMine(endpoint, questions, tokens.splice(0, TOKENS_ASKED));
  }
}

async function askMine(endpoint, questions, tokens) {
  let reply = {};
  try {
    const response = await post(`${endpoint}mine`, JSON.stringify({ tokens }));
    if (response.ok) reply = (await response.json()) ?? {};
  } catch (error) {
    warn("earlier feedback not read", error);
  }
  const all = Object.keys(reply);
  for (const { token, restore } of questions.filter((each) => tokens.includes(each.token))) {
    restore(reply, tokens.length === 1 ? all : named(token, all));
  }
}

/**
 * The data IDs a token names, in its order: the one it is mainly about first. Its payload is
 * signed, not secret, and holds them as text or as the 16 bytes of a UUID.
 */
function named(token, ids) {
  const base64 = token.split(".")[2]?.replaceAll("-", "+").replaceAll("_", "/");
  const payload = quietly(() => atob(base64)) ?? "";
  const words = payload.split(/[^\w.-]+/); // before a text may stand its length, as one character
  const spelled = (id) => words.includes(id) || words.includes(String.fromCharCode(id.length) + id);
  const packed = (id) => {
    const pairs = id.length === 36 ? (id.replaceAll("-", "").match(/[\da-f]{2}/g) ?? []) : [];
    return String.fromCharCode(...pairs.map((pair) => parseInt(pair, 16)));
  };
  const place = (id) => {
    const bytes = packed(id);
    if (bytes && payload.includes(bytes)) return payload.indexOf(bytes);
    return spelled(id) ? payload.indexOf(id) : -1;
  };
  return ids
    .filter((id) => place(id) >= 0)
    .sort((one, other) => place(one) - place(other));
}

/** Brings the state of one generation, {type: value}, up to an entry. */
export function apply(state, { type, value, comment, unset }) {
  if (SEVERAL.includes(type) && value !== null) {
    const others = [state[type] ?? []].flat().filter((label) => label !== value);
    state[type] = unset ? others : [...others, value];
  } else if (value === null || unset) {
    delete state[type];
  } else {
    state[type] = value;
  }
  if (type !== "rating") return;
  delete state.comment; // it comes and goes with its rating
  if (comment) state.comment = comment;
}
