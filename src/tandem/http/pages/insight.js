// Insight: the last report on where search fails, with evidence, and trying a fix.
import { call, count } from "./api.js";
import { $, h, icon, svg } from "./dom.js";

const UP = "M12 19V5m-6 6 6-6 6 6";
const DOWN = "M12 5v14m-6-6 6 6 6-6";
const SHIFT = "M4 9h14l-4-4M20 15H6l4 4";
const FIXES = { synonym: "Synonym", rule: "Rule", retraining_example: "Training examples", attribute: "Fill in an attribute", supply_gap: "For merchants: supply", investigate: "Look into it" };
const FIGURES = [
  ["zero_results", "searches without results"],
  ["reformulations", "second tries"],
  ["abandoned", "abandoned"],
  ["added_to_cart", "lead to the cart"],
];
let report = null;

async function asked(method, path, body) {
  return call(method, path, { body, key: sessionStorage.getItem("admin-key") });
}

function askKey(why) {
  $("ask-key").hidden = false;
  $("key-error").textContent = why;
  $("key").focus();
}

async function load() {
  const place = $("report");
  if (!sessionStorage.getItem("admin-key")) return askKey("");
  place.replaceChildren(h("p", { class: "busy" }, "Reading the report …"));
  try {
    report = (await asked("GET", "/v1/insights")).insights;
    $("ask-key").hidden = true;
    place.replaceChildren(...shown());
  } catch (error) {
    place.replaceChildren();
    if (error.status === 401 || error.status === 403) {
      sessionStorage.removeItem("admin-key");
      return askKey("This key does not open the report.");
    }
    place.append(h("p", { class: "error", role: "alert" }, `${sentence(error.message)} ${sentence(error.remedy)}`));
  }
}

$("ask-key").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("admin-key", $("key").value.trim());
  load();
});

function shown() {
  return [
    report.simulated && !document.querySelector("body > .banner") ? h("p", { class: "banner", role: "note" }, "Simulated: these shoppers, products and sales are not real.") : null,
    health(),
    alerts(),
    h("section", { class: "findings", "aria-label": "Findings" },
      h("h2", {}, report.findings.length ? `${report.findings.length} ${report.findings.length === 1 ? "failure" : "failures"}, the dearest first` : "No failure found"),
      h("p", { class: "muted" }, report.findings.length
        ? `${count(report.tests)} comparisons were made; at most ${percent(report.false_discovery_rate)} of the findings are expected to be chance.`
        : `${count(report.tests)} comparisons were made. What is rarer than 40 searches cannot be told from chance.`),
      report.findings.map(finding)),
  ].filter(Boolean);
}

function health() {
  const period = report.period.from ? `${day(report.period.from)} to ${day(report.period.to)}` : "no events";
  return h("section", { class: "panel" },
    h("h2", {}, "How search is doing"),
    h("p", { class: "muted" }, `${count(report.searches)} searches in ${count(report.sessions)} visits, ${period}. The tinted days are the recent ones.`),
    h("ul", { class: "figures" }, FIGURES.map(([name, words]) =>
      h("li", {}, h("span", { class: "muted" }, words), h("b", {}, report.health[name] === null ? "–" : percent(report.health[name])), days(name, words)))));
}

function days(name, words) {
  const rows = report.drift.days.filter((d) => d[name] !== null && d[name] !== undefined);
  if (rows.length < 2) return null;
  const most = Math.max(...rows.map((d) => d[name]), 1e-9);
  const x = (i) => (100 * i) / (rows.length - 1);
  const y = (v) => 32 - (28 * v) / most;
  const from = rows.findIndex((d) => d.day === report.drift.now_from);
  return svg("svg", { class: "days", viewBox: "0 0 100 34", preserveAspectRatio: "none", role: "img", "aria-label": `${words} by day, at most ${percent(most)}` },
    ...(from < 0 ? [] : [svg("rect", { class: "now", x: x(from), y: 0, width: 100 - x(from), height: 34 })]),
    svg("polyline", { points: rows.map((d, i) => `${x(i).toFixed(2)},${y(d[name]).toFixed(2)}`).join(" "), "vector-effect": "non-scaling-stroke" }));
}

function alerts() {
  const found = report.drift.alerts;
  if (!found.length) return null;
  return h("section", { class: "panel" },
    h("h2", {}, "What has changed"),
    h("p", { class: "muted" }, `Since ${day(report.drift.now_from)}, beside the days before.`),
    h("ul", { class: "alerts" }, found.slice(0, 12).map((a) =>
      h("li", { class: a.worse === null ? "" : a.worse ? "worse" : "better" },
        icon(["rate", "query"].includes(a.kind) || a.name === "products" ? (a.value > 0 ? UP : DOWN) : SHIFT),
        h("div", {}, h("span", { dir: "auto" }, told(a)),
          a.reasons.length ? h("small", { dir: "auto" }, `Most of it: ${a.reasons.join("; ")}`) : null)))));
}

function told(a) {
  if (a.kind !== "rate" || a.name === "sales_per_search" || a.name === "latency_ms") return a.says;
  return `${a.says.split(":")[0]}: ${percent(a.before)} before, ${percent(a.now)} now`;
}

function finding(f) {
  const out = h("div", { class: "trial", "aria-live": "polite" });
  const tried = h("button", { type: "button", class: "primary", onclick: () => tryFix(f, out, tried) }, "Try the fix");
  return h("details", { class: "panel finding", id: f.id },
    h("summary", {},
      h("span", { class: "rank" }, `${f.rank}`),
      h("div", {}, h("h3", { dir: "auto" }, f.title), h("p", { dir: "auto" }, f.explanation)),
      cost(f)),
    h("div", { class: "evidence" },
      h("div", {},
        h("h4", {}, `Needs that were met, of ${count(f.clients)} shoppers’ ${count(f.searches)} searches`),
        h("div", { class: "needs" },
          h("span", {}, "These searches"), bar(f.success.estimate, "got"), h("span", {}, `${percent(f.success.estimate)} (${percent(f.success.low)} to ${percent(f.success.high)})`),
          h("span", {}, "Searches like them"), bar(f.expected, ""), h("span", {}, percent(f.expected)))),
      f.queries && f.queries.length > 1 ? typed(f) : null,
      h("div", {}, h("h4", {}, "Visits, for example"), h("div", { class: "visits" }, f.examples.map(visit))),
      h("div", {},
        h("h4", {}, "What may help"),
        h("span", { class: "label ok" }, FIXES[f.fix.kind]), " ", h("span", { dir: "auto" }, `${f.fix.summary}.`),
        f.fix.payload.rule ? h("div", { class: "change", dir: "auto" }, f.fix.payload.rule) : null),
      ["synonym", "rule", "retraining_example"].includes(f.fix.kind) ? [tried, out] : null));
}

function cost(f) {
  const lost = f.lost_sales;
  if (!lost) return h("div", { class: "cost" }, h("small", {}, "cost unknown"));
  const range = `${price(lost.low)} to ${price(lost.high)}`;
  return lost.low <= 0
    ? h("div", { class: "cost" }, h("b", {}, "not certain"), h("small", {}, range))
    : h("div", { class: "cost" }, h("b", {}, `≈ ${price(lost.estimate)}`), h("small", {}, `lost; ${range}`));
}

function bar(share, tone) {
  const node = h("i", { class: tone, "aria-hidden": "true" });
  node.style.setProperty("--share", share ?? 0);
  return node;
}

function typed(f) {
  return h("details", { class: "typed" },
    h("summary", {}, `What was typed: ${f.queries.length === 20 ? "the 20 most frequent" : `${f.queries.length} queries`}`),
    h("div", { class: "wide", tabindex: "0", role: "region", "aria-label": "What was typed" }, h("table", {},
      h("thead", {}, h("tr", {}, ["query", "searches", "results", "clicked", "into the cart"].map((c) => h("th", { scope: "col" }, c)))),
      h("tbody", {}, f.queries.map((q) => h("tr", {},
        h("td", { dir: "auto" }, q.text === "…" ? "… (others, each typed by few)" : q.text), h("td", {}, count(q.searches)),
        h("td", {}, q.results === null ? "–" : count(Math.round(q.results))), h("td", {}, percent(q.clicked)), h("td", {}, percent(q.carted))))))));
}

function visit(steps) {
  return h("ol", {}, steps.map((s) => {
    const came = s.carts ? "into the cart" : s.clicks ? `${s.clicks} ${s.clicks === 1 ? "click" : "clicks"}` : s.results ? "no click" : "no result";
    return h("li", { class: s.results === 0 ? "nothing" : s.carts ? "cart" : "", dir: "auto" }, `“${s.text}” · ${came}`);
  }));
}

async function tryFix(f, out, button) {
  button.disabled = true;
  out.replaceChildren(h("p", { class: "busy" }, "Trying it on what shoppers did …"));
  try {
    const { trial } = await asked("POST", "/v1/insights/try", { id: f.id });
    const tone = trial.verdict === "helps" ? "good" : trial.verdict === "harms" ? "bad" : "ask";
    out.replaceChildren(
      h("span", { class: `label ${tone}` }, sentence(trial.verdict)),
      h("p", { dir: "auto" }, trial.reason),
      trial.measures.length ? h("div", { class: "wide", tabindex: "0", role: "region", "aria-label": "Measures" }, h("table", {},
        h("thead", {}, h("tr", {}, ["measured on", "measure", "before", "after", "difference"].map((c) => h("th", {}, c)))),
        h("tbody", {}, trial.measures.map((m) => h("tr", {}, h("td", {}, m.on), h("td", {}, m.measure), h("td", {}, number(m.before)), h("td", {}, number(m.after)),
          h("td", {}, m.low === m.high ? signed(m.difference) : `${signed(m.difference)} (${signed(m.low)} to ${signed(m.high)})`)))))) : null);
  } catch (error) {
    out.replaceChildren(h("p", { class: "error", role: "alert" }, `${sentence(error.message)} ${sentence(error.remedy)}`));
  }
  button.disabled = false;
}

function percent(value) {
  if (value === null || value === undefined) return "–";
  return value.toLocaleString(undefined, { style: "percent", maximumFractionDigits: value < 0.1 ? 1 : 0 });
}
const number = (value) => (value === null ? "–" : value.toFixed(3));
const signed = (value) => (value === null ? "–" : `${value > 0 ? "+" : ""}${value.toFixed(3)}`);
const price = (value) => (report.currency
  ? new Intl.NumberFormat(undefined, { style: "currency", currency: report.currency, maximumFractionDigits: 0 }).format(value)
  : Math.round(value).toLocaleString());
const day = (text) => new Date(text).toLocaleDateString(undefined, { day: "numeric", month: "long", year: "numeric", timeZone: "UTC" });
function sentence(text) {
  if (!text) return "";
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}`;
}

load();
