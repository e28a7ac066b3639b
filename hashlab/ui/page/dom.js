// Builds elements. Texts become text nodes, never markup, whatever they contain.

const SVG = "http://www.w3.org/2000/svg";

export const byId = (id) => document.getElementById(id);

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    const isText = typeof value !== "boolean" || name.startsWith("aria-");
    if (value === null || value === undefined || (!isText && !value)) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, isText ? String(value) : "");
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  return node;
}

export function element(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

export function drawing(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

// Replace the children only if what they show has changed: focus and selection stay.
const shown = new WeakMap();
export function show(parent, key, make) {
  const text = JSON.stringify(key);
  if (shown.get(parent) === text) return false;
  shown.set(parent, text);
  parent.replaceChildren(...[make()].flat());
  return true;
}

// Draw the children again at the next time, because something else has replaced them.
export const forget = (parent) => shown.delete(parent);

const moment = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
const day = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric" });

export function clock(iso) {
  const date = new Date(iso);
  const today = new Date().toDateString() === date.toDateString();
  return today ? moment.format(date) : `${day.format(date)}, ${moment.format(date)}`;
}

export function age(iso) {
  const seconds = Math.max(0, (Date.now() - new Date(iso).getTime()) / 1000);
  for (const [unit, length] of [["d", 86400], ["h", 3600], ["min", 60]]) {
    if (seconds >= length) return `${Math.floor(seconds / length)} ${unit}`;
  }
  return `${Math.floor(seconds)} s`;
}

export const plural = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;
