// Charts of processor and memory, with a mark wherever a run changed services.

import { byId, element } from "./dom.js";

const MOST = 450;
// Lines of one chart: those that used most. More could not be told apart.
const LINES = 6;
const HEIGHT = 170;
const UNITS = ["B", "kB", "MB", "GB", "TB"];

const CHARTS = [
  { title: "Processor of machines", group: "machines", index: 0, shown: cores },
  { title: "Memory of machines", group: "machines", index: 1, shown: bytes },
  { title: "Processor of services", group: "services", index: 0, shown: cores },
  { title: "Memory of services", group: "services", index: 1, shown: bytes },
];

let points = [];
let marks = [];
const drawn = new Map();

export function cores(value) {
  return value === null || value === undefined ? "" : `${value < 0.095 ? value.toFixed(2) : value.toFixed(1)} cores`;
}

export function bytes(value) {
  if (value === null || value === undefined) return "";
  let unit = 0;
  let left = value;
  while (left >= 1000 && unit < UNITS.length - 1) { left /= 1000; unit += 1; }
  return `${left < 10 && unit > 0 ? left.toFixed(1) : Math.round(left)} ${UNITS[unit]}`;
}

// Both in the unit of the limit, as hashlab top shows them.
export function share(value, limit) {
  let unit = 0;
  while (Math.round(limit / 1000 ** unit) >= 1000 && unit < UNITS.length - 1) unit += 1;
  const digits = unit > 0 && limit / 1000 ** unit < 100 ? 1 : 0;
  return `${(value / 1000 ** unit).toFixed(digits)} of ${(limit / 1000 ** unit).toFixed(digits)} ${UNITS[unit]}`;
}

const named = (name) => name.replace(/ 1$/, "");
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function lines({ group, index }) {
  const most = new Map();
  for (const point of points) {
    for (const [name, values] of Object.entries(point[group])) most.set(name, Math.max(most.get(name) ?? 0, values[index] ?? 0));
  }
  return [...most].sort((one, other) => other[1] - one[1]).slice(0, LINES).map(([name]) => name);
}

function data(chart, names) {
  const times = points.map((point) => point.time);
  return [times, ...names.map((name) => points.map((point) => point[chart.group][name]?.[chart.index] ?? null))];
}

function drawMarks(plot) {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.strokeStyle = colour("--warn");
  ctx.setLineDash([4, 3]);
  ctx.lineWidth = 1;
  for (const mark of marks) {
    const x = Math.round(plot.valToPos(mark.time, "x", true)) + 0.5;
    if (x < bbox.left || x > bbox.left + bbox.width) continue;
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
  }
  ctx.restore();
}

function options(chart, names, width) {
  const axis = { stroke: colour("--dim"), grid: { stroke: colour("--faint"), width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif" };
  const time = (plot, splits) => splits.map((at) => new Date(at * 1000).toTimeString().slice(0, plot.scales.x.max - plot.scales.x.min < 300 ? 8 : 5));
  return {
    width, height: HEIGHT, legend: { show: false }, cursor: { show: false }, padding: [8, 8, 0, 0],
    hooks: { draw: [drawMarks] },
    scales: { y: { range: (_, low, high) => [0, Math.max(high ?? 0, chart.index === 0 ? 0.1 : 1e6) * 1.1] } },
    axes: [
      { ...axis, size: 30, space: 70, values: time },
      { ...axis, size: 62, values: (_, splits) => splits.map((value) => chart.shown(value).replace(" cores", "")) },
    ],
    series: [{}, ...names.map((name, number) => ({ stroke: colour(`--c${number}`), width: 1.8, points: { show: false } }))],
  };
}

function legend(chart, names) {
  const last = points.at(-1)?.[chart.group] ?? {};
  return names.map((name, number) => element(
    "li", {}, element("i", { class: `swatch swatch-${number}` }), `${named(name)} `,
    element("span", { class: "dim" }, chart.shown(last[name]?.[chart.index]) || "–"),
  ));
}

function draw(chart) {
  const names = lines(chart);
  const known = drawn.get(chart.title);
  const figure = known?.figure ?? byId("charts").appendChild(element(
    "figure", { "aria-label": chart.title }, element("figcaption", {}, chart.title), element("div", { class: "plot", "aria-hidden": "true" }), element("ul", { class: "keys" }),
  ));
  const place = figure.querySelector(".plot");
  const width = Math.floor(place.getBoundingClientRect().width);
  const key = JSON.stringify([names, matchMedia("(prefers-color-scheme: dark)").matches]);
  figure.querySelector(".keys").replaceChildren(...legend(chart, names));
  if (width === 0) return;
  if (known?.key === key) {
    if (known.plot.width !== width) known.plot.setSize({ width, height: HEIGHT });
    known.plot.setData(data(chart, names));
    return;
  }
  known?.plot.destroy();
  const plot = new uPlot(options(chart, names, width), data(chart, names), place);
  drawn.set(chart.title, { figure, plot, key });
}

function drawAll() {
  byId("metrics").hidden = points.length < 2;
  if (points.length < 2) return;
  for (const chart of CHARTS) draw(chart);
  const first = points[0].time;
  const seen = marks.filter((mark) => mark.time >= first);
  byId("marks").textContent = seen.length
    ? `Dashed: ${seen.slice(-3).map((mark) => `${new Date(mark.time * 1000).toTimeString().slice(0, 8)} ${mark.text}`).join("; ")}`
    : "A refresh that changes services is marked in the charts.";
}

export function addPoints(items) {
  points = points.concat(items).slice(-MOST);
  drawAll();
}

// The events of one run follow each other closely, and are one mark.
export function addMarks(events) {
  for (const event of events.filter((each) => each.event === "changed")) {
    const time = new Date(event.time).getTime() / 1000;
    const last = marks.at(-1);
    if (last && time - last.time < 5) {
      if (!last.services.includes(event.service)) last.services.push(event.service);
    } else {
      marks.push({ time, services: [event.service] });
    }
  }
  marks = marks.slice(-50);
  for (const mark of marks) mark.text = `${mark.services.join(", ")} changed`;
}

export function bindCharts() {
  new ResizeObserver(drawAll).observe(byId("charts"));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
}
