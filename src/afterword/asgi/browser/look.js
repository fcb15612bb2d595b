/** Words, drawings and style of <afterword-feedback>. Part of the browser module (layer 5). */
export const WORDS = {
  group: "Feedback on this answer",
  good: "Good answer",
  bad: "Bad answer",
  more: "Say what went wrong",
  issues: "What went wrong?",
  comment: "Tell us more (optional)",
  star: "Rating",
  edit: "Edit answer",
  correction: "A better answer",
  send: "Send",
  save: "Save",
  close: "Close",
  cancel: "Cancel",
  thanks: "Thank you",
  undone: "Feedback withdrawn",
  later: "Kept, and sent later",
  error: "This could not be saved",
};

const THUMB =
  "M8.9 10.9 11.6 3.9a2.3 2.3 0 0 1 2.3 2.3v3.2h4.4a2.1 2.1 0 0 1 2.1 2.4l-1 6.2a2.2 2.2 0 0 1" +
  "-2.2 1.9H8.9zM3.8 10.9h1.9v9H3.8z";
const DRAWINGS = {
  good: THUMB,
  bad: THUMB, // turned over by the style sheet
  more:
    "M6 4.4h12a2.2 2.2 0 0 1 2.2 2.2v7.6a2.2 2.2 0 0 1-2.2 2.2h-5.6L8 20.1v-3.7H6a2.2 2.2 0 0 1" +
    "-2.2-2.2V6.6A2.2 2.2 0 0 1 6 4.4z",
  star: "M12 3.8l2.5 5.2 5.7.8-4.1 4 1 5.7-5.1-2.7-5.1 2.7 1-5.7-4.1-4 5.7-.8z",
  edit: "M4.2 19.8l.9-4.2L16 4.7a2.3 2.3 0 0 1 3.3 3.3L8.4 18.9zM13.8 6.9l3.3 3.3",
};

/** A node; a function among the attributes becomes a listener. */
export function make(tag, attributes, ...children) {
  const space = tag === "svg" || tag === "path" ? "2000/svg" : "1999/xhtml";
  const node = document.createElementNS(`http://www.w3.org/${space}`, tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(name, value);
    else node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

export function button(part, content, click, more) {
  return make("button", { type: "button", part, click, ...more }, content);
}

export function icon(name, label, click, more) {
  const path = make("path", { d: DRAWINGS[name] });
  const drawing = make("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" }, path);
  return button(`icon ${name}`, drawing, click, { title: label, "aria-label": label, ...more });
}

export function field(name, label, more) {
  const words = { "aria-label": label, placeholder: label };
  return make("textarea", { part: `field ${name}`, rows: 2, ...words, ...more });
}

/** A card with two buttons. Escape cancels it, and Enter with Control or Command saves it. */
export function panel(name, title, { content, cancel, save }) {
  const keydown = (event) => {
    if (event.isComposing) return;
    if (event.key === "Escape") cancel.act();
    else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) save.act();
    else return;
    event.preventDefault();
    event.stopPropagation(); // a dialog around the card stays open
  };
  const heading = make("div", { part: "title", "aria-hidden": "true" }, title);
  const actions = make(
    "div",
    { part: "actions" },
    button("action", cancel.label, cancel.act),
    button("action primary", save.label, save.act),
  );
  const card = { part: `panel ${name}`, role: "group", "aria-label": title, keydown };
  return make("div", card, heading, ...content, actions);
}

// Colours come from the page's own text colour, so that light, dark and in between need no switch.
export const SHEET = new CSSStyleSheet();
SHEET.replaceSync(`
:host {
  display: inline-block; position: relative; vertical-align: middle; max-inline-size: 100%;
  font-size: var(--afterword-font-size, .875rem); line-height: 1.4; text-align: start;
  --_size: var(--afterword-size, 28px); --_radius: var(--afterword-radius, 8px);
  --_accent: var(--afterword-accent, #2563eb); --_on-accent: var(--afterword-on-accent, #fff);
  --_ink: color-mix(in oklab, var(--_accent) 72%, currentColor);
  --_mute: color-mix(in srgb, currentColor 78%, transparent);
  --_soft: color-mix(in srgb, currentColor 9%, transparent);
  --_line: color-mix(in srgb, currentColor 20%, transparent);
}
:host([hidden]), [hidden] { display: none !important; }
* { box-sizing: border-box; }
button, textarea {
  margin: 0; border: 1px solid transparent; border-radius: var(--_radius);
  font: inherit; color: inherit; background: none;
}
button { padding: 0; cursor: pointer; }
button:disabled { cursor: default; opacity: .4; }
button:enabled:hover, [aria-expanded=true] { background: var(--_soft); }
:focus-visible { outline: 2px solid var(--_ink); outline-offset: 2px; }
[part=buttons] { display: flex; align-items: center; gap: var(--afterword-gap, 2px); }
[part~=icon] {
  display: grid; place-items: center; flex: none; color: var(--_mute);
  inline-size: var(--_size); block-size: var(--_size);
}
svg { inline-size: 70%; fill: none; stroke: currentColor; stroke-width: 1.6; }
path { stroke-linejoin: round; stroke-linecap: round; }
[part~=bad] svg { transform: scaleY(-1); }
[part~=icon][aria-pressed=true], [part~=done], [part~=filled] { color: var(--_ink); }
[part~=icon][aria-pressed=true] svg, [part~=filled] svg { fill: currentColor; }
[part~=status] { margin-inline-start: 6px; font-size: .93em; color: var(--_mute); }
[part~=quiet] {
  position: absolute; inline-size: 1px; block-size: 1px; overflow: hidden; clip-path: inset(50%);
}
[part~=panel] {
  display: grid; gap: 10px; inline-size: var(--afterword-panel-width, 22rem); max-inline-size: 100%;
  margin-block-start: 6px; padding: 12px; border: 1px solid var(--_line);
  border-radius: calc(var(--_radius) + 4px);
  background: var(--afterword-panel, color-mix(in srgb, currentColor 3%, transparent));
}
[part=title] { font-weight: 600; }
[part=chips], [part=actions] { display: flex; flex-wrap: wrap; gap: 6px; }
[part=actions] { justify-content: end; }
[part=chip], [part~=action] { min-block-size: 28px; padding: 2px 11px; }
[part=chip] { border-color: var(--_line); border-radius: 99px; }
[part~=primary], [part=chip][aria-pressed=true] {
  background: var(--_accent); color: var(--_on-accent); border-color: transparent;
}
[part~=primary]:enabled:hover, [part=chip][aria-pressed=true]:hover {
  background: color-mix(in srgb, var(--_accent) 88%, #000);
}
[part~=editor] { inline-size: var(--afterword-editor-width, 34rem); }
textarea {
  inline-size: 100%; padding: 7px 9px; resize: vertical; field-sizing: content;
  min-block-size: 4.2em; max-block-size: 60vh;
  border-color: color-mix(in srgb, currentColor 55%, transparent);
}
::placeholder { color: var(--_mute); opacity: 1; }
@media (pointer: coarse) {
  :host { --_size: var(--afterword-size, 40px); }
  [part=chip], [part~=action] { min-block-size: 36px; }
}
@media (forced-colors: active) {
  [aria-pressed=true] { forced-color-adjust: none; background: Highlight; color: HighlightText; }
}
@media (prefers-reduced-motion: no-preference) {
  button { transition: background-color .12s, color .12s; }
  [part~=panel] { animation: open .14s ease-out; }
  @keyframes open { from { opacity: 0; translate: 0 -4px; } }
}
`);
