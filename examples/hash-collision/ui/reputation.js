// Follows reputations. They change a moment after the vote, when the message has been through the queue.

import * as api from "./api.js";
import * as session from "./session.js";

const FIRST_PAUSE_MS = 20;
const LONGEST_PAUSE_MS = 400;
const DEADLINE_MS = 8000;

/**
 * Asks for the user until the reputation differs from `before`.
 * Gives {before, after, milliseconds}, or null when it stayed the same until the deadline.
 */
export async function moved(userId, before, signal) {
  const started = performance.now();
  let pause = FIRST_PAUSE_MS;
  while (performance.now() - started < DEADLINE_MS && !signal?.aborted) {
    const { reputation } = await api.user(userId, signal);
    const milliseconds = Math.round(performance.now() - started);
    if (reputation !== before) return { before, after: reputation, milliseconds };
    await new Promise((resolve) => setTimeout(resolve, pause));
    pause = Math.min(pause * 1.5, LONGEST_PAUSE_MS);
  }
  return null;
}

/** The record of the one who is logged in, or null while the user service doesn't know the name yet. */
export async function own() {
  const { name, id } = session.current();
  if (id !== null) return api.user(id);
  // By the list: the address of a new user says 404 until the registration has come through the queue.
  const found = (await api.users()).find((user) => session.sameName(user.name, name)) ?? null;
  if (found !== null && session.current()?.name === name) session.identify(found);
  return found;
}
