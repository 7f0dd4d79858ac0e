"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const palette = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#8C8C8C", "#7A5195"];
const $ = (selector) => document.querySelector(selector);
const make = (tag, text, parent) => {
  const made = document.createElement(tag);
  if (text !== undefined && text !== null) made.textContent = text;
  if (parent) parent.append(made);
  return made;
};

// What the reader has chosen survives a reload.
const key = "wnexp:" + location.pathname;
const chosen = JSON.parse(sessionStorage.getItem(key) || "{}");
const remember = (name, value) => {
  chosen[name] = value;
  sessionStorage.setItem(key, JSON.stringify(chosen));
};

// Facts, table, verdicts, commands.
$("#made").textContent = "made " + data.made;
for (const [name, value] of Object.entries(data.facts)) {
  make("dt", name, $("#facts dl"));
  make("dd", value, $("#facts dl"));
}
const compare = (a, b) => {
  if (a === b) return 0;
  if (a === null) return 1;
  if (b === null) return -1;
  return typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });
};
let order = chosen.order || { column: null, down: false };
function showTable() {
  const words = $("#filter").value.toLowerCase().split(/[\s,]+/).filter(Boolean);
  const text = (row) => row.map((value, place) => data.columns[place] + "=" + value).join(" ").toLowerCase();
  let rows = data.rows.filter((row) => words.every((word) => text(row).includes(word)));
  const place = data.columns.indexOf(order.column);
  if (place >= 0) {
    const known = rows.filter((row) => row[place] !== null).sort((a, b) => compare(a[place], b[place]));
    if (order.down) known.reverse();
    rows = known.concat(rows.filter((row) => row[place] === null));
  }
  const body = $("#table tbody");
  body.replaceChildren();
  for (const row of rows) {
    const line = make("tr", null, body);
    for (const value of row) make("td", value === null ? "-" : value, line);
  }
  for (const head of document.querySelectorAll("#table th")) {
    const own = head.textContent === order.column;
    head.setAttribute("aria-sort", own ? (order.down ? "descending" : "ascending") : "none");
  }
  $("#count").textContent = rows.length + " of " + data.rows.length;
}
const header = make("tr", null, $("#table thead"));
for (const name of data.columns) {
  const button = make("button", name, make("th", null, header));
  button.type = "button";
  button.addEventListener("click", () => {
    order = { column: name, down: order.column === name && !order.down };
    remember("order", order);
    showTable();
  });
}
$("#filter").value = chosen.filter || "";
$("#filter").addEventListener("input", () => {
  remember("filter", $("#filter").value);
  showTable();
});
showTable();

const verdicts = $("#verdicts div");
if (data.verdicts.length) {
  const table = make("table", null, verdicts);
  const top = make("tr", null, make("thead", null, table));
  for (const name of ["claim", "norm", "run", "predicted", "from", "to", "tolerance", "verdict"]) make("th", name, top);
  const body = make("tbody", null, table);
  for (const row of data.verdicts) {
    const line = make("tr", null, body);
    line.title = row[8];
    row.slice(0, 8).forEach((value, place) => {
      make("td", value === null ? "-" : value, line).className = place === 7 && value === "fails" ? "fails" : "";
    });
  }
} else make("p", "None yet: wnexp verify PATH judges these runs.", verdicts).className = "note";
for (const [run, command] of data.commands) {
  const line = make("div", null, $("#commands div"));
  const button = make("button", "copy", line);
  button.type = "button";
  button.setAttribute("aria-label", "copy the command of " + run);
  button.addEventListener("click", () => navigator.clipboard && navigator.clipboard.writeText(command));
  make("code", command, line);
}

// Curves.
const quantities = [...new Set(data.series.flatMap((one) => one.seeds.flatMap((seed) => Object.keys(seed.columns))))];
const axes = { step: "accepted steps", log_time: "log time (nats)", log_loss: "-log training loss (nats)" };
const fill = (selector, values, first) => {
  for (const value of values) make("option", value, $(selector)).value = value;
  const name = selector.slice(1);
  $(selector).value = values.includes(chosen[name]) ? chosen[name] : first;
  $(selector).addEventListener("change", () => { remember(name, $(selector).value); showCurves(); });
};
const preferred = ["normalized_margin", "log_test_loss", "log_loss"].find((name) => quantities.includes(name)) || quantities[0];
fill("#quantity", quantities.filter((name) => name !== "step"), preferred);
fill("#against", Object.keys(axes).filter((name) => quantities.includes(name)), quantities.includes("log_loss") ? "log_loss" : "step");
fill("#colour", ["series", ...data.settings], "series");
if (chosen.seeds) $("#seeds").value = chosen.seeds;
$("#seeds").addEventListener("change", () => { remember("seeds", $("#seeds").value); showCurves(); });
for (const name of ["log-x", "log-y"]) {
  $("#" + name).checked = Boolean(chosen[name]);
  $("#" + name).addEventListener("change", () => { remember(name, $("#" + name).checked); showCurves(); });
}

function colourOf(one, place) {
  const by = $("#colour").value;
  if (by === "series") return palette[place % palette.length];
  const values = [...new Set(data.series.map((other) => other.settings[by]))].sort(compare);
  const at = values.indexOf(one.settings[by]);
  if (values.length <= palette.length) return palette[at];
  return "hsl(" + Math.round(260 - (220 * at) / (values.length - 1)) + " 70% 50%)";
}
function curve(seed, x, y) {
  const xs = seed.columns[x] || [], ys = seed.columns[y] || [];
  const points = xs.map((value, place) => [x === "log_loss" && value !== null ? -value : value, ys[place]]);
  return points.filter(([a, b]) => a !== null && b !== null && b !== undefined);
}
function at(points, x, carried) {
  if (!points.length || x < points[0][0]) return null;
  const last = points.length - 1;
  if (x >= points[last][0]) return carried || x === points[last][0] ? points[last][1] : null;
  let low = 0, high = last;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (points[middle][0] <= x) low = middle; else high = middle;
  }
  const share = (x - points[low][0]) / (points[high][0] - points[low][0] || 1);
  return points[low][1] + share * (points[high][1] - points[low][1]);
}
function summary(curves, carried) {
  const grid = [...new Set(curves.flatMap((points) => points.map((point) => point[0])))].sort((a, b) => a - b);
  const every = Math.ceil(grid.length / 400);
  const found = [];
  grid.forEach((x, place) => {
    if (place % every && place !== grid.length - 1) return;
    const values = curves.map((points) => at(points, x, carried)).filter((value) => value !== null);
    if (values.length < curves.length / 2) return;
    const mean = values.reduce((a, b) => a + b, 0) / values.length;
    const spread = Math.sqrt(values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length);
    found.push([x, mean, Math.max(mean - spread, Math.min(...values)), Math.min(mean + spread, Math.max(...values))]);
  });
  return found;
}
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
function layout(x, y, more) {
  const axis = { gridcolor: css("--line"), linecolor: css("--line"), zerolinecolor: css("--line"), automargin: true };
  return {
    paper_bgcolor: css("--back"), plot_bgcolor: css("--back"), font: { color: css("--front"), size: 12 },
    margin: { l: 60, r: 10, t: 10, b: 45 }, hovermode: "closest", legend: { orientation: "h", y: -0.18 },
    xaxis: { ...axis, title: { text: x } }, yaxis: { ...axis, title: { text: y } }, uirevision: x + y, ...more,
  };
}
const config = { responsive: true, displaylogo: false, scrollZoom: false };
function showCurves() {
  const x = $("#against").value, y = $("#quantity").value;
  const traces = [];
  data.series.forEach((one, place) => {
    const colour = colourOf(one, place);
    const curves = one.seeds.map((seed) => curve(seed, x, y));
    const line = { color: colour, width: 2 };
    const own = { mode: "lines", line, name: one.label, legendgroup: one.label };
    if ($("#seeds").value === "each" || curves.length === 1) {
      curves.forEach((points, seed) => {
        if (points.length) traces.push({
          ...own, x: points.map((point) => point[0]), y: points.map((point) => point[1]), showlegend: seed === 0,
          line: { ...line, width: 1.3 }, hovertemplate: one.label + ", seed " + one.seeds[seed].seed + "<br>%{x:.6g}, %{y:.6g}<extra></extra>",
        });
      });
      return;
    }
    const mean = summary(curves, x !== "log_loss");
    if (!mean.length) return;
    const xs = mean.map((point) => point[0]);
    traces.push({ ...own, x: xs.concat([...xs].reverse()), y: mean.map((point) => point[2]).concat(mean.map((point) => point[3]).reverse()),
      fill: "toself", opacity: 0.25, line: { width: 0, color: colour }, fillcolor: colour, showlegend: false, hoverinfo: "skip" });
    traces.push({ ...own, x: xs, y: mean.map((point) => point[1]),
      hovertemplate: one.label + ", mean of " + curves.length + "<br>%{x:.6g}, %{y:.6g}<extra></extra>" });
  });
  const shown = layout(axes[x], y.replaceAll("_", " "));
  shown.xaxis.type = $("#log-x").checked ? "log" : "linear";
  shown.yaxis.type = $("#log-y").checked ? "log" : "linear";
  Plotly.react("curves-plot", traces, shown, config);
}

// Neurons.
function record(one, level) {
  return one.neurons.find((found) => found.log_loss <= level) || null;
}
function showNeurons() {
  const level = data.levels[Number($("#level").value)];
  $("#level-value").textContent = level === undefined ? "" : Number(level.toPrecision(5));
  $("#level").setAttribute("aria-valuetext", "log loss " + level);
  const gradients = [], norms = [];
  data.series.forEach((one, place) => {
    const found = one.neurons.length ? record(one, level) : null;
    if (!found) return;
    const colour = colourOf(one, place), name = one.label;
    const text = found.layer.map((layer) => name + ", layer " + layer + ", log loss " + Number(found.log_loss.toPrecision(6)));
    gradients.push({ mode: "markers", name, text, x: found.norm.map((norm) => (norm > 0 ? Math.log(norm) : null)), y: found.gradient,
      marker: { color: colour, size: 8, opacity: 0.8, symbol: found.layer.map((layer) => layer % 8) },
      hovertemplate: "%{text}<br>%{x:.4g}, %{y:.4g}<extra></extra>" });
    const sorted = found.norm.map((norm, index) => [norm, text[index]]).sort((a, b) => b[0] - a[0]);
    norms.push({ mode: "lines+markers", name, x: sorted.map((_, rank) => rank + 1), y: sorted.map((pair) => pair[0]), text: sorted.map((pair) => pair[1]),
      marker: { color: colour, size: 5 }, line: { color: colour, width: 1 }, hovertemplate: "%{text}<br>rank %{x}: %{y:.4g}<extra></extra>" });
  });
  Plotly.react("gradients-plot", gradients, layout("log weight norm", "log gradient norm (nats)", { uirevision: "gradients" }), config);
  const shown = layout("rank", "weight norm", { uirevision: "norms" });
  shown.yaxis.rangemode = "tozero";
  Plotly.react("norms-plot", norms, shown, config);
}
$("#level").max = Math.max(data.levels.length - 1, 0);
$("#level").value = chosen.level === undefined ? data.level : chosen.level;
$("#level").addEventListener("input", () => { remember("level", $("#level").value); showNeurons(); });

function showPlots() { showCurves(); showNeurons(); }
$("#colour").addEventListener("change", showNeurons);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", showPlots);
showPlots();
const refresh = Number(document.body.dataset.refresh);
if (refresh) setTimeout(() => location.reload(), refresh);
document.documentElement.dataset.ready = "yes";
