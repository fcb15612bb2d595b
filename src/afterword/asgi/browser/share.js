/** How much of a text is left or was taken, 0 to 1. Part of the browser module (layer 5). */
const CELLS = 4e6; // about 20 ms of work
const WORDS_COMPARED = 3000; // as many as the server takes in one body

export function share(part, whole) {
  return whole ? Math.min(1, Math.round((1000 * part) / whole) / 1000) : 0;
}

/**
 * The share of `before` that is in `after` too, in the same order: by characters, and by words
 * where comparing characters would take too long.
 */
export function keptShare(before, after) {
  let one = before.split("");
  let other = after.split("");
  const shorter = Math.min(one.length, other.length);
  let start = 0;
  while (start < shorter && one[start] === other[start]) start += 1;
  let end = 0;
  while (end < shorter - start && one.at(-1 - end) === other.at(-1 - end)) end += 1;
  one = one.slice(start, one.length - end);
  other = other.slice(start, other.length - end);
  if (one.length * other.length > CELLS) [one, other] = [words(one), words(other)];
  const row = new Uint32Array(other.length + 1);
  for (const piece of one) {
    let diagonal = 0;
    for (let at = 1; at < row.length; at += 1) {
      const above = row[at];
      const same = piece === other[at - 1];
      row[at] = same ? diagonal + piece.length : Math.max(above, row[at - 1]);
      diagonal = above;
    }
  }
  return share(start + end + row.at(-1), before.length);
}

function words(characters) {
  return characters.join("").match(/\s*\S+|\s+$/g).slice(0, WORDS_COMPARED);
}
