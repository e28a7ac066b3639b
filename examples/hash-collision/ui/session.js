// Who is logged in. The token lives in sessionStorage: closing the tab logs out.

const KEY = "hash-collision.session";
const listeners = [];

/** {name, token, id} or null; the id is null until the user service knows the name. */
export function current() {
  try {
    return JSON.parse(sessionStorage.getItem(KEY));
  } catch {
    return null;
  }
}

export function begin(name, token) {
  store({ name, token, id: null });
}

export function end() {
  store(null);
}

/** Remembers who the user service says this is; a name may have been typed in other letters. */
export function identify({ id, name }) {
  const session = current();
  if (session !== null && session.id !== id) store({ ...session, id, name });
}

/** Whether the one who is logged in wrote this question or answer. */
export function wrote(post) {
  const session = current();
  if (session === null) return false;
  return session.id === null ? sameName(session.name, post.author_name) : session.id === post.author_id;
}

/** Two accounts can't have names that differ only in capital letters. */
export function sameName(one, other) {
  return one.toLowerCase() === other.toLowerCase();
}

/** Calls the listener after each change of who is logged in. */
export function onChange(listener) {
  listeners.push(listener);
}

function store(session) {
  if (session === null) sessionStorage.removeItem(KEY);
  else sessionStorage.setItem(KEY, JSON.stringify(session));
  for (const listener of listeners) listener();
}
