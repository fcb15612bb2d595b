/**
 * Brings feedback to the server: nothing lost when the network, the server or the page goes away,
 * nothing sent twice without need. Part of the browser module (layer 5).
 *
 * An entry is written to localStorage before it is sent, and forgotten once the server has
 * answered: 2xx and 4xx are answers, while a network error, 429 and 5xx keep it, with backoff.
 */
const QUEUE = "afterword:queue:";
const QUEUE_ENTRIES = 50;
const QUEUE_AGE_MS = 86_400_000;
const LEASE_MS = 30_000; // how long an entry on its way is left alone, by the next page too
const TIMEOUT_MS = 20_000; // below the lease, so that no entry is on its way twice
const RELEASE_MS = 2000; // other tabs may see late that an entry is gone from localStorage
const ADOPT_MS = 10_000; // how often a page looks after entries of others
const CLOCK_MS = 5000; // a clock no further off than this is taken for right
const PAUSE_MS = 1000;
const PAUSE_MOST_MS = 300_000;
const PAUSE_ASKED_MOST_MS = 900_000;
export const BODY_BYTES = 15_000; // the server takes 16 kB

const memory = new Map(); // entries for which the page has no storage
const waiting = new Map(); // id -> who on this page wants to know
const held = new Map(); // id -> gives up this page's lock on the entry
let debugging = false;
let stamp = 0;
let behindMs = 0; // how far this browser's clock is behind the server's
let timer;

export function debug(wanted) {
  debugging ||= Boolean(wanted);
}

export function warn(...words) {
  if (debugging) console.warn("afterword:", ...words);
}

/** Runs what the page may forbid, such as storage; undefined where it does. */
export function quietly(work) {
  try {
    return work();
  } catch (error) {
    return warn(error);
  }
}

export function sizeBytes(value) {
  return new TextEncoder().encode(JSON.stringify(value)).length;
}

export function emit(target, name, detail) {
  const event = new CustomEvent(`afterword:${name}`, { bubbles: true, composed: true, detail });
  (target.isConnected ? target : document).dispatchEvent(event);
}

function emitEntry(target, name, { data_id, created_at: createdAt, ...entry }, answer) {
  emit(target, name, { dataId: data_id ?? target.dataId ?? null, ...entry, createdAt, ...answer });
}

/**
 * Queues an entry and sends it. `target` gets the events. `answered(outcome, entry, dataId)` is
 * called once with "sent" or "refused", and before that with "kept" if the first try failed.
 */
export function send(target, endpoint, token, entry, answered) {
  stamp = Math.max(Date.now(), stamp + 1); // two acts of one time would pass for a retry
  const id = `${stamp.toString(36)}-${Math.random().toString(36).slice(2, 10)}`;
  const dated = { ...entry, created_at: new Date(stamp + behindMs).toISOString() };
  waiting.set(id, { target, answered });
  save({ id, endpoint, token, entry: dated, made: stamp, due: 0, tries: 0 });
  emitEntry(target, "feedback", dated);
  drain();
}

/** What was said with this token and has not reached the server yet, oldest first. */
export function unsent(endpoint, token) {
  return stored()
    .filter((item) => item.endpoint === endpoint && item.token === token)
    .map((item) => item.entry);
}

// A redirect is an error: behind it stands a login page, whose 200 would pass for an answer.
export async function post(url, body, keepalive = false) {
  const response = await fetch(url, {
    method: "POST",
    body,
    keepalive,
    credentials: "same-origin", // the page's session may name the user
    redirect: "error",
    headers: { "content-type": "application/json" },
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  const offMs = Date.parse(response.headers.get("date")) - Date.now();
  if (!Number.isNaN(offMs)) behindMs = Math.abs(offMs) > CLOCK_MS ? offMs : 0;
  return response;
}

function drop(id) {
  memory.delete(id);
  quietly(() => localStorage.removeItem(QUEUE + id));
}

function save(item) {
  try {
    localStorage.setItem(QUEUE + item.id, JSON.stringify(item));
    memory.delete(item.id);
  } catch (error) {
    warn("kept in memory", error);
    drop(item.id); // the old entry must not stay beside the new one
    memory.set(item.id, item);
  }
}

function stored() {
  const items = [...memory.values()];
  const keys = quietly(() => Object.keys(localStorage)) ?? [];
  for (const key of keys.filter((name) => name.startsWith(QUEUE))) {
    const item = quietly(() => JSON.parse(localStorage.getItem(key)));
    if (QUEUE + item?.id === key && item.endpoint && item.token && item.entry) items.push(item);
    else quietly(() => localStorage.removeItem(key));
  }
  items.sort((one, other) => (one.id < other.id ? -1 : 1)); // an id begins with its time
  const oldest = Date.now() - QUEUE_AGE_MS;
  const kept = items.slice(-QUEUE_ENTRIES).filter((item) => item.made > oldest);
  for (const item of items) if (!kept.includes(item)) settle(item, "refused", 0);
  return kept;
}

/**
 * Makes an entry this page's to send, unless another living page has it. The lock ends with the
 * page. localStorage alone would not do: tabs see each other's writes late.
 */
function hold(id) {
  return new Promise((resolve) => {
    const granted = (lock) => {
      resolve();
      return lock && new Promise((release) => held.set(id, release));
    };
    const alone = () => granted(true); // without locks, as over plain HTTP, there is the lease
    if (!navigator.locks) alone();
    else navigator.locks.request(QUEUE + id, { ifAvailable: true }, granted).catch(alone);
  });
}

/**
 * Takes and leases what may be sent now. Within a token an entry waits for those before it, unless
 * the page is going: then it waits only for those that the server has turned away for now.
 */
function take(force, hiding) {
  const now = Date.now();
  const batches = new Map();
  const blocked = new Set();
  let wake = Infinity;
  for (const item of stored()) {
    if (!(hiding ? waiting : held).has(item.id)) continue;
    const key = `${item.endpoint} ${item.token}`;
    const batch = batches.get(key) ?? [];
    const free = !blocked.has(key);
    const due = (item.due <= now && !(hiding && item.tries)) || (force && item.offline);
    const alone = item.solo || batch[0]?.solo || sizeBytes([...batch, item]) > BODY_BYTES;
    if (free && due && (!batch.length || !alone)) {
      batches.set(key, [...batch, item]);
      save(Object.assign(item, { due: now + LEASE_MS, offline: false }));
    } else {
      if (free && !due) wake = Math.min(wake, item.due);
      if (!hiding || item.tries) blocked.add(key);
    }
  }
  return { batches: [...batches.values()], wake };
}

async function deliver(batch, hiding) {
  const { endpoint, token, tries } = batch[0];
  const feedback = batch.map((item) => item.entry);
  const body = JSON.stringify(batch.length > 1 ? { token, feedback } : { token, ...feedback[0] });
  let pauseMs = Math.min(PAUSE_MS * 2 ** tries, PAUSE_MOST_MS) * (0.5 + Math.random() / 2);
  let status = 0;
  let reply = null;
  try {
    if (hiding && !("keepalive" in Request.prototype)) throw new TypeError("no keepalive");
    const response = await post(endpoint, body, true);
    status = response.status;
    const askedMs = 1000 * response.headers.get("retry-after");
    if (askedMs > 0) pauseMs = Math.min(askedMs, PAUSE_ASKED_MOST_MS);
    reply = await response.json().catch(() => null);
  } catch (error) {
    warn("not sent", error);
    const leaving = hiding || document.visibilityState === "hidden";
    // A beacon has no answer, so its entries stay; the server knows a second one by its created_at.
    if (leaving && navigator.onLine && navigator.sendBeacon?.(endpoint, body)) return;
  }
  batch.forEach((item, index) => {
    if (status >= 200 && status < 300) {
      settle(item, "sent", status, reply?.feedback?.[index]?.data_id);
    } else if (status >= 400 && status < 500 && status !== 429) {
      warn("refused", status, reply, item.entry);
      // A list is all or nothing, so each of its entries gets a hearing of its own.
      if (batch.length > 1) save({ ...item, due: 0, solo: true });
      else settle(item, "refused", status);
    } else {
      save({ ...item, due: Date.now() + pauseMs, tries: item.tries + 1, offline: !status });
      settle(item, "kept", status);
    }
  });
}

function settle(item, outcome, status, dataId) {
  const { target = document, answered } = waiting.get(item.id) ?? {};
  const pending = outcome === "kept";
  if (!pending) {
    waiting.delete(item.id);
    drop(item.id);
    const release = held.get(item.id);
    if (release) setTimeout(release, RELEASE_MS);
    held.delete(item.id);
  }
  if (pending && item.tries) return; // said at its first try
  answered?.(outcome, item.entry, dataId);
  const answer = { status, pending, ...(dataId && { dataId }) };
  emitEntry(target, outcome === "sent" ? "sent" : "error", item.entry, answer);
}

async function drain(force = false) {
  const unheld = stored().filter((item) => !held.has(item.id));
  await Promise.all(unheld.map((item) => hold(item.id)));
  const { batches, wake } = take(force, false);
  for (const batch of batches) deliver(batch, false).then(() => drain());
  clearTimeout(timer);
  const others = unheld.some((item) => !held.has(item.id)); // of a page that may end before them
  const pauseMs = Math.min(wake - Date.now(), others ? ADOPT_MS : Infinity);
  if (pauseMs < Infinity) timer = setTimeout(drain, pauseMs, others && force);
}

function flush() {
  for (const batch of take(false, true).batches) deliver(batch, true).then(() => drain());
}

addEventListener("pagehide", flush);
addEventListener("online", () => drain(true));
addEventListener("pageshow", ({ persisted }) => persisted && drain(true));
document.addEventListener("visibilitychange", () => document.hidden && flush());
drain(true);
