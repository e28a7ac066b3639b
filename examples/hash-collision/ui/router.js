// Routes of the part of the address behind '#': "#/questions/12?page=2".

const routes = [];

/** pattern: "/questions/:id"; view: async ({parameters, query, signal}) => node */
export function route(pattern, view) {
  routes.push({ names: pattern.split("/").slice(1), view });
}

/** Starts listening; show(view, place) is called at once and at every change of the address. */
export function start(show) {
  const follow = () => show(...resolve(location.hash));
  window.addEventListener("hashchange", follow);
  follow();
}

export function go(address) {
  if (location.hash === `#${address}`) window.dispatchEvent(new HashChangeEvent("hashchange"));
  else location.hash = address;
}

/** The present address, to come back to after logging in. */
function here() {
  return location.hash.slice(1) || "/questions";
}

/** The log-in (or registration) page that leads back to the present address. */
export function logInPlace(path = "/login") {
  const pages = ["/login", "/register"];
  return address(path, { then: pages.some((page) => here().startsWith(page)) ? queryHere().get("then") : here() }).slice(1);
}

/** address("/questions", {tag: "java", page: 1}) leaves out what is empty. */
export function address(path, query = {}) {
  const parameters = new URLSearchParams(Object.entries(query).filter(([, value]) => value));
  return parameters.size > 0 ? `#${path}?${parameters}` : `#${path}`;
}

function queryHere() {
  return new URLSearchParams(here().split("?")[1] ?? "");
}

function resolve(hash) {
  const [path, search = ""] = (hash.slice(1) || "/questions").split("?");
  const words = path.split("/").slice(1).map(decoded);
  for (const { names, view } of routes) {
    const parameters = match(names, words);
    if (parameters !== null) return [view, { parameters, query: new URLSearchParams(search), path }];
  }
  return [null, { parameters: {}, query: new URLSearchParams(search), path }];
}

function match(names, words) {
  if (names.length !== words.length) return null;
  const parameters = {};
  for (const [index, name] of names.entries()) {
    if (name.startsWith(":")) parameters[name.slice(1)] = words[index];
    else if (name !== words[index]) return null;
  }
  return parameters;
}

function decoded(word) {
  try {
    return decodeURIComponent(word);
  } catch {
    return word;
  }
}
