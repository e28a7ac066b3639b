// Logging in and registering.

import * as api from "../api.js";
import { el } from "../dom.js";
import { field, form } from "../forms.js";
import { notice } from "../notices.js";
import { address, go } from "../router.js";
import * as session from "../session.js";

const NAME = { id: "name", name: "name", required: true, minlength: 3, maxlength: 40, autocomplete: "username", autocapitalize: "none", spellcheck: "false" };
const PASSWORD = { id: "password", name: "password", type: "password", required: true, minlength: 8, maxlength: 72 };

export async function logInView({ query }) {
  const then = query.get("then");
  return page("Log in", [
    form({
      id: "login",
      action: "Log in",
      fields: [
        field("Name", el("input", NAME)),
        field("Password", el("input", { ...PASSWORD, autocomplete: "current-password" })),
      ],
      send: async (data) => enter(data.get("name").trim(), data.get("password"), then),
    }),
    el("p", { class: "aside" }, "No account yet? ", el("a", { href: address("/register", { then }) }, "Register")),
  ]);
}

export async function registerView({ query }) {
  const then = query.get("then");
  return page("Register", [
    form({
      id: "register",
      action: "Register",
      fields: [
        field("Name", el("input", NAME), "3 to 40 characters; everybody sees it."),
        field("Password", el("input", { ...PASSWORD, autocomplete: "new-password" }), "8 to 72 characters."),
      ],
      send: async (data) => {
        await registered(data.get("name").trim(), data.get("password"));
        await enter(data.get("name").trim(), data.get("password"), then);
      },
    }),
    el("p", { class: "aside" }, "Already registered? ", el("a", { href: address("/login", { then }) }, "Log in")),
  ]);
}

async function registered(name, password) {
  try {
    await api.register(name, password);
  } catch (error) {
    if (error.status !== 409) throw error;
    throw new api.ApiError(409, error.code, `The name “${name}” is taken. Choose another one.`);
  }
}

async function enter(name, password, then) {
  const { token } = await api.logIn(name, password);
  session.begin(name, token);
  notice(`Welcome, ${name}.`, "good");
  go(then?.startsWith("/") ? then : "/questions");
}

function page(title, content) {
  return el("div", { class: "narrow" }, el("h1", {}, title), content);
}
