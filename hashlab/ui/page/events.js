// The list of what happened, the newest first.

import { byId, clock, element } from "./dom.js";

const MOST = 200;
const BAD = ["ended", "restarted", "unhealthy", "away", "firing"];
const GOOD = ["healthy", "back", "resolved"];

function tone(event) {
  if (event.ok === false) return "bad";
  if (event.event === "ended" && event.text.endsWith("exit code 0")) return "";
  return BAD.includes(event.event) ? "bad" : GOOD.includes(event.event) ? "good" : "";
}

export function showEvents(items) {
  const list = byId("events");
  const fresh = items.map((event) => element(
    "li", { class: tone(event) }, element("time", { datetime: event.time }, clock(event.time)), " ", event.text,
  ));
  list.prepend(...fresh.reverse());
  while (list.childElementCount > MOST) list.lastElementChild.remove();
}
