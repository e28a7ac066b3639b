// Builds elements. Text always becomes a text node: nothing a user wrote is ever read as HTML.

/**
 * el("a", {class: "tag", href: "#/questions", onclick: f}, "text", node, [more], null)
 * Keys starting with "on" are listeners; true sets a bare attribute; false, null and undefined leave it out.
 */
export function el(name, properties = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === false || value === null || value === undefined) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : String(value));
  }
  element.append(...present(children));
  return element;
}

/** Puts the children in place of whatever the element held. */
export function fill(element, ...children) {
  element.replaceChildren(...present(children));
  return element;
}

function present(children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
}

/** "1 answer", "3 answers" */
export function counted(number, word) {
  return `${number} ${word}${number === 1 ? "" : "s"}`;
}

/** A <time> that reads "5 min ago" and carries the full date as its title. */
export function timeAgo(value) {
  // The API may speak in ISO 8601 or in epoch milliseconds; Date reads both.
  const date = new Date(value);
  if (Number.isNaN(date.getTime())) return el("span", {}, "");
  return el("time", { datetime: date.toISOString(), title: date.toLocaleString() }, ago(date));
}

function ago(date) {
  const seconds = Math.max(0, (Date.now() - date.getTime()) / 1000);
  if (seconds < 60) return "just now";
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ago`;
  if (seconds < 14 * 86400) return `${counted(Math.floor(seconds / 86400), "day")} ago`;
  return date.toLocaleDateString();
}
