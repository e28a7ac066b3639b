// The foot of the page: which build of each service is running.

import * as api from "./api.js";
import { el, fill } from "./dom.js";

const SERVICES = ["auth", "qa", "user"];

export async function showBuilds(place) {
  fill(place, await Promise.all(SERVICES.map(line)));
}

async function line(service) {
  const build = await api.health(service).then(
    (health) => health.build,
    () => "not reachable",
  );
  return el("span", { class: "build", "data-service": service }, `${service} `, el("code", {}, build));
}
