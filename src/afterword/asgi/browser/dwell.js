/** How long an answer was in sight. Part of the browser module (layer 5). */
const LEAST_MS = 1000;

/**
 * Watches `target` and tells `done` once, in whole seconds, how long it was on a visible page: when
 * the page is hidden or left, or when the returned function is called.
 */
export function dwell(target, done) {
  let since = 0; // when it came into sight, 0 while it is not
  let inside = false;
  let spent = 0;
  const look = () => {
    const seen = inside && !document.hidden;
    if (seen && !since) since = performance.now();
    if (seen || !since) return;
    spent += performance.now() - since;
    since = 0;
  };
  const observer = new IntersectionObserver((entries) => {
    inside = entries.at(-1).isIntersecting;
    look();
  });
  const end = () => {
    inside = false;
    look();
    observer.disconnect();
    document.removeEventListener("visibilitychange", hidden);
    removeEventListener("pagehide", end);
    if (spent >= LEAST_MS) done(Math.round(spent / 1000));
    spent = 0;
  };
  const hidden = () => {
    look();
    if (document.hidden && spent >= LEAST_MS) end();
  };
  observer.observe(target);
  document.addEventListener("visibilitychange", hidden);
  addEventListener("pagehide", end);
  return end;
}
