// Lab, for analysts: what the server does now, experiments, leaderboard, query sets, reports.
import { call, count } from "./api.js";
import { decide } from "./deciding.js";
import { $, h, icon, svg } from "./dom.js";

const TICK = "m5 12.500 4.500 4.500L19 7.500";
const CROSS = "m6 6 12 12M18 6 6 18";
const VERDICTS = { ship: "ok", do_not_ship: "bad", keep_running: "ask", invalid: "bad" };
const VERDICT_WORDS = { ship: "Ship", do_not_ship: "Do not ship", keep_running: "Keep running", invalid: "Not valid" };
const RELEVANCE = [["3", "exact"], ["2", "substitute"], ["1", "complement"], ["0", "irrelevant"]];
const FILES = { html: "HTML", pdf: "PDF", md: "Markdown", json: "JSON", eml: "E-mail" };
const EVERY = 5000;
const KEPT = 36; // looks at what happens now: three minutes
const key = () => sessionStorage.getItem("admin-key");
const asked = (path) => call("GET", `/v1/lab/${path}`, { key: key() });
const when = (at) => new Date(at).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
const percent = (v, digits = 1) => v.toLocaleString(undefined, { style: "percent", maximumFractionDigits: digits });
const signed = (v) => `${v > 0 ? "+" : ""}${percent(v)}`;
const trouble = (error) => h("p", { class: "error", role: "alert" }, `${error.message}. ${error.remedy}`);

function show(open) {
  for (const part of document.querySelectorAll(".keyed")) part.hidden = !open;
  $("ask-key").hidden = open;
}

async function load() {
  if (!key()) return show(false);
  try {
    await now();
  } catch (error) {
    show(false);
    if (error.status === 401 || error.status === 403) {
      sessionStorage.removeItem("admin-key");
      $("key-error").textContent = "This key does not open the lab’s figures.";
    } else if (error.status !== 404) {
      $("key-error").textContent = `${error.message}. ${error.remedy}`;
    }
    return undefined;
  }
  show(true);
  running();
  slots();
  setInterval(() => document.hidden || now().catch(() => {}), EVERY);
  setInterval(() => document.hidden || (running(), slots()), 6 * EVERY);
  return Promise.all([
    part("experiments", "experiments", (d) => d.experiments.map(experiment), "No analysis is kept yet. Keep one with: tandem experiment analyse ab.csv -w shop"),
    part("board", "board", (d) => board(d.board), "No leaderboard yet. Make one with: tandem leaderboard -w shop"),
    part("query-sets", "sets", (d) => d.query_sets.map(querySet), "No judgments yet. Import some with: tandem import judgments"),
    part("reports", "reports", (d) => d.reports.map(report), "No report is kept yet."),
  ]);
}

async function part(path, place, render, none) {
  try {
    const shown = render(await asked(path));
    $(place).replaceChildren(...(shown.length ? shown : [h(place === "sets" || place === "reports" ? "li" : "p", { class: "muted" }, none)]));
  } catch (error) {
    $(place).replaceChildren(trouble(error));
  }
}

$("ask-key").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("admin-key", $("bench-key").value.trim());
  $("key-error").textContent = "";
  load();
});

// --- Now ----------------------------------------------------------------------------------------

const looks = [];

async function now() {
  const seen = await asked("monitor");
  looks.push({ ...seen, at: performance.now() / 1000 });
  if (looks.length > KEPT) looks.shift();
  // By the clock here: another server may answer every time. Where one came or went, sums do not compare.
  const rate = (a, b) => (b.servers === a.servers ? Math.max(0, b.requests - a.requests) / (b.at - a.at) : null);
  const rates = looks.slice(1).map((b, i) => rate(looks[i], b));
  const search = seen.search;
  const servers = seen.servers === 1 ? "One server, up for" : `${seen.servers} servers of this shop together; the one that answers is up for`;
  $("now-note").textContent = `${servers} ${duration(seen.seconds)}. Looked at every ${EVERY / 1000} seconds.`;
  $("now").replaceChildren(
    figure("requests a second", rates.at(-1)?.toFixed(1) ?? "…", rates.filter((r) => r !== null)),
    figure("a search takes, usually", search?.p50_ms == null ? "–" : `${Math.round(search.p50_ms)} ms`, null, search?.p95_ms == null ? "" : `19 of 20 within ${Math.round(search.p95_ms)} ms`),
    figure("of searches found nothing", seen.searches ? percent(seen.without_results / seen.searches) : "–", null, `${count(seen.searches)} searches`),
    figure("failed or refused", count(seen.errors + seen.refused), null, `of ${count(seen.requests)} requests`));
  $("routes").replaceChildren(table(["Address", "Requests", "Failed", "Half within", "95% within"], seen.routes.map((r) => [r.route, count(r.requests), count(r.errors), ms(r.p50_ms), ms(r.p95_ms)])));
}

const ms = (v) => (v === null ? "–" : `${v < 10 ? v.toFixed(1) : Math.round(v)} ms`);

function duration(seconds) {
  if (seconds < 120) return `${Math.round(seconds)} seconds`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} minutes`;
  return `${Math.round(seconds / 3600)} hours`;
}

function figure(words, value, line, note = "") {
  const most = Math.max(...(line || []), 1e-9);
  const points = (line || []).map((v, i) => `${((100 * i) / Math.max(line.length - 1, 1)).toFixed(1)},${(32 - (28 * v) / most).toFixed(1)}`);
  return h("li", {}, h("span", { class: "muted" }, words), h("b", {}, value), note ? h("small", { class: "muted" }, note) : null,
    points.length > 1 ? svg("svg", { class: "days", viewBox: "0 0 100 34", preserveAspectRatio: "none", "aria-hidden": "true" }, svg("polyline", { points: points.join(" "), "vector-effect": "non-scaling-stroke" })) : null);
}

function table(head, rows) {
  return h("table", { class: "grid-table" },
    h("thead", {}, h("tr", {}, head.map((c, i) => h("th", { scope: "col", class: i ? "num" : "" }, c)))),
    h("tbody", {}, rows.map(([first, ...rest]) => h("tr", {}, h("th", { scope: "row" }, first), rest.map((c) => h("td", { class: "num" }, c))))));
}

// --- Experiments --------------------------------------------------------------------------------

function experiment(a) {
  const ratio = a.sample_ratio;
  const sizes = Object.entries(ratio.observed).map(([name, n]) => `${name} ${count(n)}`).join(", ");
  const done = Math.min(a.units / a.planned, 1);
  const meter = h("div", { class: "meter", role: "img", "aria-label": `${percent(done, 0)} of the planned units` });
  meter.style.setProperty("--share", done);
  return h("details", { class: "experiment" },
    h("summary", {},
      h("div", {}, h("h3", { dir: "auto" }, a.name), h("p", {}, a.says)),
      h("span", { class: `label ${VERDICTS[a.decision.verdict]}` }, VERDICT_WORDS[a.decision.verdict])),
    a.simulated ? h("p", { class: "banner", role: "note" }, "Simulated: these shoppers are not real.") : null,
    h("h4", {}, "Can it be trusted?"),
    h("ul", { class: "items" },
      check(!ratio.mismatch, ratio.mismatch ? "The groups are not as big as planned" : "The groups are as big as planned", `${sizes}; p = ${ratio.p.toPrecision(2)}`),
      ratio.mismatch ? ratio.segments.slice(0, 3).map(([column, value]) => check(false, "The fault shows here", `${column} is ${value}`)) : null,
      check(a.units >= a.planned, a.units >= a.planned ? "All planned units took part" : "Not all planned units took part yet", `${count(a.units)} of ${count(a.planned)}`)),
    meter,
    ratio.mismatch
      ? h("p", { class: "summary" }, "What it showed is left out: with a fault in the groups no effect can be believed.")
      : [h("h4", {}, "What it showed"), h("ul", { class: "effects" }, Object.entries(a.metrics).map(([name, m]) => effect(name, m))), h("p", { class: "muted" }, `Why: ${a.decision.because}.`)],
    h("p", { class: "muted" }, `Analysed ${when(a.analysed)}`));
}

function check(good, words, note) {
  return h("li", { class: `check ${good ? "ok" : "todo"}` }, icon(good ? TICK : CROSS), h("div", {}, h("b", { class: "as-is" }, words), h("p", { class: "muted" }, note)));
}

// The change with the interval that holds at every look, around the line of no change.
function effect(name, m) {
  const share = m.relative !== null;
  const [at, low, high] = share ? [m.relative, m.relative_always_low, m.relative_always_high] : [m.difference, m.always_low, m.always_high];
  const written = share ? signed : (v) => `${v > 0 ? "+" : ""}${v.toPrecision(3)}`;
  const known = [at, low, high].every(Number.isFinite);
  const clear = known && (low > 0 || high < 0);
  const good = clear ? at > 0 === (m.better === "more") : null;
  const bar = h("span", { class: `delta ${good === null ? "" : good ? "good" : "bad"}`, role: "img", "aria-label": known ? `${written(at)}, from ${written(low)} to ${written(high)}` : "not known" }, h("i", {}), h("em", {}));
  if (known) {
    const reach = 1.1 * Math.max(Math.abs(low), Math.abs(high), 1e-9);
    for (const [place, value] of [["--at", at], ["--low", low], ["--high", high]]) bar.style.setProperty(place, (value / reach + 1) / 2);
  }
  return h("li", {},
    h("span", {}, h("b", { dir: "auto" }, name.replaceAll("_", " ")), h("small", { class: "muted" }, m.role === "guardrail" ? "must not get worse" : "should get better")),
    bar,
    h("span", { class: "num" }, known ? written(at) : "–", h("small", { class: "muted" }, known ? `${written(low)} to ${written(high)}` : "")));
}

// Experiments and canaries that run in the server; a server without them answers 404.
async function running() {
  const open = new Set([...document.querySelectorAll("#running details[open]")].map((d) => d.dataset.name));
  try {
    const { experiments } = await call("GET", "/v1/experiments", { key: key() });
    const shown = experiments.filter((s) => s.experiment.state === "running").map(standing);
    for (const card of shown) card.open = open.has(card.dataset.name);
    $("running").replaceChildren(...(shown.length ? [h("h3", {}, shown.length === 1 ? "One runs now" : `${shown.length} run now`), ...shown] : []));
  } catch (error) {
    $("running").replaceChildren(...(error.status === 404 ? [] : [trouble(error)]));
  }
}

function standing(s) {
  const e = s.experiment;
  const people = e.kind === "canary" ? "A canary" : `An experiment on ${percent((e.ramp * e.size) / 10_000, 1)} of the people`;
  const health = s.health;
  const exposed = health ? Object.entries(health.exposed).map(([name, n]) => `${name} ${count(n)}`).join(", ") : "";
  return h("details", { class: "experiment", data: { name: e.name } },
    h("summary", {},
      h("div", {}, h("h3", { dir: "auto" }, e.name), h("p", {}, `${people}, since ${when(e.started)}.${s.because ? ` So far: ${s.because}.` : ""}`)),
      h("span", { class: `label ${s.verdict ? VERDICTS[s.verdict] : "ask"}` }, s.verdict ? VERDICT_WORDS[s.verdict] : "Running")),
    s.simulated ? h("p", { class: "banner", role: "note" }, "Simulated: these shoppers are not real.") : null,
    h("h4", {}, "Can it be trusted?"),
    h("ul", { class: "items" }, health
      ? [check(!health.mismatch, health.mismatch ? "The groups are not as big as planned" : "The groups are as big as planned", `${exposed}; p = ${health.p.toPrecision(2)}`),
        health.mismatch ? health.segments.slice(0, 3).map(([column, value]) => check(false, "The fault shows here", `${column} is ${value}`)) : null,
        health.crossed ? check(false, "Some people saw two versions", `${count(health.crossed)}, left out`) : null]
      : h("li", { class: "muted" }, "Nobody has been exposed yet.")),
    health && health.mismatch
      ? h("p", { class: "summary" }, "What it shows is left out: with a fault in the groups no effect can be believed.")
      : Object.entries(s.analyses).map(([treatment, a]) => [
        h("h4", {}, `What “${treatment}” shows so far`),
        h("ul", { class: "effects" }, Object.entries(a.metrics).map(([name, m]) => effect(name, m)))]),
    h("p", { class: "acts" }, h("button", { class: "quiet", type: "button", onclick: () => end(`/v1/experiments/${encodeURIComponent(e.name)}/stop`, "Stop this experiment?", "From the next second on everybody is served as if it did not exist. It cannot be started again.", running) }, "Stop …")));
}

function end(path, head, says, then) {
  decide({ head, says, go: "Stop it", path, body: {}, then, done: () => ({ head: "It is stopped", says: "What it has shown stays on record." }) });
}

// --- Slots --------------------------------------------------------------------------------------

const PLACES = { search: "Which ranker answers searches", page: "What a page shows" };
const REWARDS = { click: "clicked", add_to_cart: "put into the cart", purchase: "bought" };

async function slots() {
  try {
    const { slots: found } = await call("GET", "/v1/slots", { key: key() });
    $("slots").replaceChildren(...(found.length ? found.map(slot) : [h("p", { class: "muted" }, "No slot was started yet. Start one with: tandem experiment slot start --help")]));
  } catch (error) {
    $("slots").replaceChildren(error.status === 404 ? h("p", { class: "muted" }, "This server has no slots.") : trouble(error));
  }
}

function slot(s) {
  const { slot: it } = s;
  const on = it.state === "running";
  const last = it.changes.at(-1);
  const where = PLACES[it.where] || `Place ${it.place} of the feed`;
  return h("div", { class: "slot", data: { name: it.name } },
    h("div", { class: "row" },
      h("div", {}, h("h3", { dir: "auto" }, it.name), h("p", { class: "muted" }, `${where}. ${count(s.showings)} showings, ${count(s.explored)} of anything but the first; at most ${percent(it.guardrails.budget, 0)} is tried.`)),
      h("span", { class: `label ${on ? "ok" : ""}` }, on ? "running" : "stopped")),
    s.simulated ? h("p", { class: "banner", role: "note" }, "Simulated: these shoppers are not real.") : null,
    !on && last ? h("p", {}, `${last.who === "guardrail" ? "The guardrail ended it" : `Ended by ${last.who}`}: ${last.why}`) : null,
    h("ol", { class: "measures" }, s.arms.map((a, i) => arm(a, i, it, s.arms))),
    on ? h("p", { class: "acts" }, h("button", { class: "quiet", type: "button", onclick: () => end(`/v1/slots/${encodeURIComponent(it.name)}/stop`, "Stop this slot?", "From the next second on everybody gets the first one.", slots) }, "Stop …")) : null);
}

// How often an arm was rewarded, from zero, with its interval; all arms of a slot on one scale.
function arm(a, i, it, all) {
  const most = Math.max(...all.map((x) => x.high || 0), 1e-9);
  const told = a.rate === null ? "not shown yet" : `${REWARDS[it.reward]} in ${percent(a.rate)}, between ${percent(a.low)} and ${percent(a.high)}`;
  const bar = h("span", { class: "interval", role: "img", "aria-label": told }, h("i", {}), a.rate === null ? null : h("em", {}));
  for (const [name, v] of [["--mean", a.rate], ["--low", a.low], ["--high", a.high]]) bar.style.setProperty(name, (v || 0) / most);
  const now = it.state === "running" ? ` · shown with a chance of ${percent(a.chance, 0)} now` : "";
  return h("li", {}, h("span", {}, h("b", { dir: "auto" }, a.arm.name), h("small", { class: "muted" }, `${count(a.showings)} showings${i ? "" : " · the first"}${now}`)), bar,
    h("span", { class: "num" }, a.rate === null ? "–" : percent(a.rate)));
}

// --- Leaderboard and query sets -----------------------------------------------------------------

function board(b) {
  const entries = b.entries.filter((e) => e.measures[b.chief]);
  $("board-note").textContent = b.source
    ? `${b.simulated ? "Simulated data. " : ""}By ${b.chief}; ${b.protocol}. The line is the 95% interval.${b.source === "evaluation" ? " From the live model’s training; for time and memory run: tandem leaderboard -w shop" : ""}`
    : "";
  if (!entries.length) return [];
  const full = b.task === "ranking" ? 1 : 100;
  const rows = entries.map((e, i) => {
    const m = e.measures[b.chief];
    const bar = h("span", { class: "interval", role: "img", "aria-label": m.low === null ? `${m.value.toFixed(3)}` : `${m.value.toFixed(3)}, between ${m.low.toFixed(3)} and ${m.high.toFixed(3)}` }, h("i", {}), m.low === null ? null : h("em", {}));
    for (const [name, v] of [["--mean", m.value], ["--low", m.low], ["--high", m.high]]) if (v !== null) bar.style.setProperty(name, v / full);
    const others = Object.entries(e.measures).filter(([name]) => name !== b.chief).map(([name, v]) => `${name} ${v.value.toFixed(3)}`);
    if (e.p99_ms) others.push(`p99 ${ms(e.p99_ms)}`);
    return h("li", {}, h("span", {}, h("b", {}, `${i + 1}. ${e.system}`), h("small", { class: "muted" }, [...others, ...e.notes].join(" · "))), bar, h("span", { class: "num" }, m.value.toFixed(3)));
  });
  const failed = b.entries.filter((e) => e.failed).map((e) => h("li", { class: "muted" }, `${e.system} has no result: ${e.failed}`));
  return [h("ol", { class: "measures" }, rows), failed.length ? h("ul", { class: "items" }, failed) : null].filter(Boolean);
}

function querySet(s) {
  const parts = h("span", { class: "parts", role: "img", "aria-label": RELEVANCE.map(([r, word]) => `${count(s.by_relevance[r])} ${word}`).join(", ") },
    RELEVANCE.map(([r]) => { const i = h("i", { class: `r${r}` }); i.style.setProperty("--share", s.by_relevance[r]); return i; }));
  return h("li", {},
    h("b", {}, s.name),
    h("p", { class: "muted" }, `${count(s.queries)} queries, ${count(s.pairs)} judged products; ${count(s.without_good)} queries have no good product`),
    parts,
    h("small", { class: "muted" }, RELEVANCE.map(([r, word]) => `${count(s.by_relevance[r])} ${word}`).join(" · ")),
    h("p", { class: "muted", dir: "auto" }, `For example: ${s.examples.map((q) => `“${q}”`).join(", ")}`));
}

// --- Reports ------------------------------------------------------------------------------------

function report(r) {
  return h("li", {}, h("div", { class: "row" },
    h("div", {}, h("b", { dir: "auto" }, r.title || r.name), r.simulated ? [" ", h("span", { class: "label ask" }, "simulated")] : null, h("p", { class: "muted" }, when(r.made))),
    h("button", { class: "quiet", type: "button", onclick: () => open(r) }, "Read")));
}

async function file(r, ending) {
  const response = await fetch(`/v1/lab/reports/${encodeURIComponent(r.name)}/${ending}`, { headers: { "X-API-Key": key() } });
  if (!response.ok) throw Object.assign(new Error("the report cannot be read"), { remedy: "make it again." });
  return response.blob();
}

async function save(r, ending) {
  const address = URL.createObjectURL(await file(r, ending));
  h("a", { href: address, download: `${r.name}.${ending}` }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

async function open(r) {
  try {
    const page = await (await file(r, "html")).text();
    // No script, no form, no way to the shop's own pages: a report is somebody's file.
    const frame = h("iframe", { title: r.title || r.name });
    frame.setAttribute("sandbox", "");
    frame.srcdoc = page;
    $("viewer").replaceChildren(
      h("p", { class: "acts" }, r.endings.map((e) => e.slice(1)).filter((e) => FILES[e]).map((e) => h("button", { class: "quiet", type: "button", onclick: () => save(r, e) }, `Save as ${FILES[e]}`))),
      frame);
    $("viewer").scrollIntoView({ block: "nearest" });
  } catch (error) {
    $("viewer").replaceChildren(trouble(error));
  }
}

load();
