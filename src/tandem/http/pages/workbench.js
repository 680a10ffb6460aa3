// The relevance workbench: queries with their measures, two rankers side by side, judging by keys.
import { call, facts, label, milliseconds, money, productPath, valueText } from "./api.js";
import { $, debounce, h } from "./dom.js";

const MEASURE = "nDCG@10";
const SHOWN = 20;
const LABELS = ["Irrelevant", "Complement", "Substitute", "Exact"];
const rows = { list: [], by: "a", down: false };
let view = null; // the comparison that is shown
let at = { side: "a", index: 0 };
let asking = null;

const ranker = (side) => $(`ranker-${side}`).value;
const number = (value) => (value === null || value === undefined ? "–" : value.toFixed(3));

// --- Queries ------------------------------------------------------------------------------------

async function loadQueries() {
  $("rows").replaceChildren(...Array.from({ length: 12 }, () => h("tr", {}, h("td", { colspan: "4" }, h("div", { class: "skeleton line" })))));
  $("queries-count").textContent = "Measuring every judged query…";
  if (!view) $("sides").replaceChildren(...["a", "b"].map(() => h("div", { class: "side-list", "aria-hidden": "true" }, Array.from({ length: 9 }, () => h("div", { class: "row" }, h("span"), h("div", { class: "what" }, h("div", { class: "skeleton line" }), h("div", { class: "skeleton line short" })))))));
  const names = [...new Set([ranker("a"), ranker("b")])];
  try {
    const answer = await call("GET", `/v1/judgments/queries?rankers=${names.map(encodeURIComponent).join(",")}&measure=${encodeURIComponent(MEASURE)}`);
    rows.list = answer.queries.map((x) => ({ q: x.q, judged: x.judged, a: x.measures[ranker("a")], b: x.measures[ranker("b")] }));
    renderRows();
    renderSeen(names);
    if (!rows.list.length && !view) $("sides").replaceChildren();
    if (!view && !new URLSearchParams(location.search).get("q") && sorted()[0]) compare(sorted()[0].q, { replace: true });
  } catch (error) {
    $("rows").replaceChildren();
    $("queries-count").textContent = `${error.message}. ${error.remedy || ""}`;
  }
}

// A ranker looks better than it is on queries that it has learned from: say so, beside the honest figure.
function renderSeen(names) {
  const seen = names.includes("ltr") && facts.ltr_learned_from > 0 && rows.list.length > 0;
  $("queries-seen").hidden = !seen;
  if (!seen) return;
  const honest = facts.ltr_cross_validated[MEASURE]?.mean;
  $("queries-seen").textContent = `ltr has learned from ${facts.ltr_learned_from} judged queries, so it does too well on them.` + (honest ? ` On queries it had not seen it has ${number(honest)}.` : "");
}

const delta = (row) => (row.a === null || row.b === null ? null : row.b - row.a);

function sorted() {
  const wanted = $("filter").value.trim().toLowerCase();
  const key = (row) => (rows.by === "delta" ? delta(row) : row[rows.by]);
  const sign = rows.down ? -1 : 1;
  return rows.list.filter((row) => row.q.toLowerCase().includes(wanted)).sort((x, y) => {
    const [i, j] = [key(x), key(y)];
    if (i === null || j === null) return (i === null) - (j === null); // what cannot be measured comes last
    return sign * (typeof i === "string" ? i.localeCompare(j) : i - j);
  });
}

function renderRows() {
  const list = sorted();
  const mean = (side) => { const known = rows.list.map((r) => r[side]).filter((v) => v !== null); return known.length ? known.reduce((x, y) => x + y, 0) / known.length : null; };
  $("queries-count").textContent = rows.list.length ? `${list.length} of ${rows.list.length} queries · mean A ${number(mean("a"))}, B ${number(mean("b"))}` : "No judgments yet: ask a query and judge its results.";
  $("rows").replaceChildren(...list.map((row) => {
    const d = delta(row);
    const open = h("button", { type: "button", class: "open", onclick: () => compare(row.q), "aria-current": view?.q === row.q ? "true" : null }, row.q);
    return h("tr", { class: view?.q === row.q ? "current" : null }, h("td", { dir: "auto" }, open, h("small", { class: "muted" }, `${row.judged} judged`)), measured(row.a), measured(row.b),
      h("td", { class: `num ${d > 0.0005 ? "up" : d < -0.0005 ? "down" : ""}` }, d === null ? "–" : `${d > 0 ? "+" : d < 0 ? "−" : ""}${Math.abs(d).toFixed(3)}`));
  }));
  for (const button of document.querySelectorAll("thead button")) {
    button.parentElement.setAttribute("aria-sort", button.dataset.by === rows.by ? (rows.down ? "descending" : "ascending") : "none");
  }
}

function measured(value) {
  const bar = h("i", { class: "bar" });
  bar.style.setProperty("--share", value ?? 0);
  return h("td", { class: "num" }, number(value), bar);
}

// --- Comparison ---------------------------------------------------------------------------------

async function compare(q, { replace = false, keep = false } = {}) {
  asking?.abort();
  const mine = (asking = new AbortController());
  $("q").value = q;
  const names = [...new Set([ranker("a"), ranker("b")])];
  if (!keep) {
    const address = `/workbench?${new URLSearchParams({ q, a: ranker("a"), b: ranker("b") })}`;
    history[replace ? "replaceState" : "pushState"](null, "", address);
    $("sides").classList.add("waiting");
  }
  try {
    const answer = await call("POST", "/v1/compare", { body: { q, rankers: names, size: SHOWN, measure: MEASURE, explain: true }, signal: mine.signal });
    if (asking !== mine) return;
    view = answer;
    if (!keep) at = { side: "a", index: 0 };
    renderCompare();
    const row = rows.list.find((r) => r.q === q);
    if (row) Object.assign(row, { judged: Object.keys(answer.judgments).length, a: answer.measures[ranker("a")], b: answer.measures[ranker("b")] });
    else if (Object.keys(answer.judgments).length) rows.list.push({ q, judged: Object.keys(answer.judgments).length, a: answer.measures[ranker("a")], b: answer.measures[ranker("b")] });
    renderRows();
  } catch (error) {
    if (error.name !== "AbortError") $("sides").replaceChildren(h("p", { class: "error", role: "alert" }, `${error.message}. ${error.remedy || ""}`));
  } finally {
    if (asking === mine) $("sides").classList.remove("waiting");
  }
}

function renderCompare() {
  const u = view.results[ranker("a")].understanding;
  const intents = u.intents.map((i) => h("span", { class: i.hard ? "tag hard" : "tag", title: `confidence ${i.confidence.toFixed(2)}` }, `${label(i.field || i.kind)}: ${i.value}${i.hard ? " (filter)" : ""}`));
  $("understanding").replaceChildren(h("details", {}, h("summary", {}, "Query understanding: ", h("strong", {}, u.text || "(empty)"), u.corrected ? h("span", { class: "tag hard" }, "corrected") : null, intents),
    h("ol", { class: "steps" }, u.steps.map((s) => h("li", {}, h("b", {}, label(s.name)), h("span", {}, s.detail), s.confidence === null ? null : h("small", { class: "muted" }, `confidence ${s.confidence.toFixed(2)}`))))));
  $("sides").replaceChildren(...["a", "b"].map(side));
  focusAt(false);
}

function side(which) {
  const name = ranker(which);
  const answer = view.results[name];
  const other = view.results[ranker(which === "a" ? "b" : "a")];
  const places = new Map(other.hits.map((hit, i) => [hit.product.id, i]));
  const value = view.measures[name];
  return h("section", { class: "side-list", "aria-label": `Ranker ${which.toUpperCase()}: ${name}` },
    h("header", {}, h("h2", {}, h("span", { class: `side ${which}` }, which.toUpperCase()), ` ${name}`),
      h("p", { class: "muted" }, `${answer.total.toLocaleString()} found · ${milliseconds(answer).toFixed(1)} ms`),
      h("p", { class: "value" }, h("b", {}, number(value)), h("small", { class: "muted" }, ` ${view.measure}`))),
    answer.hits.length ? h("ol", {}, answer.hits.map((hit, i) => result(hit, i, which, places))) : h("p", { class: "none muted" }, "No results."),
    answer.relaxed ? h("p", { class: "none muted" }, answer.relaxed) : null);
}

function result(hit, i, which, places) {
  const p = hit.product;
  const grade = view.judgments[p.id];
  const elsewhere = places.get(p.id);
  const moved = elsewhere === undefined ? ["new", "only here", `not among the first ${SHOWN} of the other ranker`]
    : elsewhere > i ? ["up", `▲ ${elsewhere - i}`, `${elsewhere - i} higher than in the other ranker`]
      : elsewhere < i ? ["down", `▼ ${i - elsewhere}`, `${i - elsewhere} lower than in the other ranker`] : ["same", "=", "same place in the other ranker"];
  const buttons = h("span", { class: "grades", role: "group", "aria-label": "Judge" }, [3, 2, 1, 0].map((g) => h("button", { type: "button", tabindex: "-1", title: LABELS[g], "aria-label": `${g}, ${LABELS[g]}`, "aria-pressed": String(grade === g), class: `g${g}`, onclick: (event) => { event.stopPropagation(); at = { side: which, index: i }; judge(g); } }, String(g))));
  const facts_ = [p.brand, p.category.at(-1), p.price ? money(p.price) : null, p.rating === null ? null : `★ ${p.rating}`].filter(Boolean).join(" · ");
  const node = h("li", { class: "hit", tabindex: "-1", data: { side: which, index: String(i), id: p.id }, "aria-label": `${i + 1}. ${p.title}. ${grade === undefined ? "Not judged" : LABELS[grade]}` },
    h("div", { class: "row" }, h("span", { class: "place" }, String(i + 1)), h("div", { class: "what" }, h("a", { href: `/p/${productPath(p.id)}`, tabindex: "-1", dir: "auto" }, p.title), h("small", { class: "muted" }, facts_)),
      h("span", { class: `moved ${moved[0]}`, title: moved[2] }, moved[1], h("span", { class: "hidden" }, ` ${moved[2]}`)),
      h("span", { class: `grade ${grade === undefined ? "unjudged" : `g${grade}`}` }, grade === undefined ? "unjudged" : LABELS[grade])),
    h("div", { class: "detail", hidden: true }, buttons, explanation(hit)));
  node.addEventListener("click", (event) => { if (!event.target.closest("a, button")) { at = { side: which, index: i }; focusAt(true); toggle(node); } });
  node.addEventListener("focus", () => { at = { side: which, index: i }; mark(node); });
  return node;
}

function explanation(hit) {
  const e = hit.explanation;
  if (!e) return h("p", { class: "muted" }, "No explanation.");
  const shown = [...e.contributions].sort((x, y) => Math.abs(y.contribution) - Math.abs(x.contribution)).slice(0, 12);
  const most = Math.max(...shown.map((c) => Math.abs(c.contribution)), 1e-9);
  const table = h("table", { class: "shares" }, h("caption", { class: "hidden" }, "Contributions to the score"), h("tbody", {}, shown.map((c) => {
    const bar = h("i", { class: c.contribution < 0 ? "bar minus" : "bar" });
    bar.style.setProperty("--share", Math.abs(c.contribution) / most);
    return h("tr", {}, h("th", { scope: "row" }, label(c.feature)), h("td", { class: "num" }, c.value === null ? "missing" : valueText(c.value)), h("td", { class: "wide" }, bar), h("td", { class: "num" }, `${c.contribution > 0 ? "+" : ""}${c.contribution.toFixed(3)}`));
  })));
  const sources = Object.entries(e.sources).map(([name, value]) => `${name} ${value.toFixed(3)}`).join(", ");
  return h("div", { class: "explained" }, h("p", {}, e.sentence), e.rules.length ? h("p", {}, h("b", {}, "Rules: "), e.rules.join(", ")) : null, shown.length ? table : null,
    h("p", { class: "muted" }, `Score ${hit.score.toFixed(4)}${sources ? ` · first stage: ${sources}` : ""}`));
}

// --- Keys ---------------------------------------------------------------------------------------

const nodeAt = () => $("sides").querySelector(`[data-side="${at.side}"][data-index="${at.index}"]`);

function mark(node) {
  for (const other of $("sides").querySelectorAll(".hit")) {
    other.classList.toggle("at", other === node);
    other.classList.toggle("twin", other !== node && other.dataset.id === node.dataset.id);
    other.tabIndex = other === node ? 0 : -1;
  }
}

function focusAt(take) {
  const node = nodeAt();
  if (!node) return;
  mark(node);
  if (take) { node.focus({ preventScroll: true }); node.scrollIntoView({ block: "nearest" }); }
}

function toggle(node) {
  const detail = node.querySelector(".detail");
  detail.hidden = !detail.hidden;
}

function move(step, which = at.side) {
  const n = view.results[ranker(which)].hits.length;
  if (!n) return;
  at = { side: which, index: Math.min(n - 1, Math.max(0, at.index + step)) };
  focusAt(true);
}

function nextQuery(step) {
  const list = sorted();
  const i = list.findIndex((row) => row.q === view?.q);
  const row = list[i + step];
  if (row) compare(row.q).then(() => focusAt(true));
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea, dialog")) return;
  if (!$("queue").hidden) {
    const acts = { 0: () => verdict(0), 1: () => verdict(1), 2: () => verdict(2), 3: () => verdict(3), s: nextPair, Escape: closeQueue };
    const act = acts[event.key];
    if (act) { event.preventDefault(); act(); }
    return;
  }
  if (!view) return;
  const acts = { ArrowDown: () => move(1), j: () => move(1), ArrowUp: () => move(-1), k: () => move(-1), ArrowLeft: () => move(0, "a"), ArrowRight: () => move(0, "b"), e: () => nodeAt() && toggle(nodeAt()), n: () => nextQuery(1), p: () => nextQuery(-1), 0: () => judge(0), 1: () => judge(1), 2: () => judge(2), 3: () => judge(3), "/": () => $("q").focus() };
  const act = acts[event.key];
  if (act) { event.preventDefault(); act(); }
});

// --- Judging ------------------------------------------------------------------------------------

// Records one verdict, asking for the key where it is needed; whether it was recorded.
async function put(q, id, relevance) {
  let key = sessionStorage.getItem("admin-key") || (await askKey(""));
  while (key) {
    try {
      await call("PUT", "/v1/judgments", { body: { q, product_id: id, relevance }, key });
      sessionStorage.setItem("admin-key", key);
      return true;
    } catch (error) {
      sessionStorage.removeItem("admin-key");
      if (error.status !== 401) { $("live").textContent = error.message; return false; }
      key = await askKey("This is not the admin key of this server.");
    }
  }
  return false;
}

async function judge(relevance) {
  const node = nodeAt();
  if (!node || !view) return;
  const { q } = view;
  const opened = !node.querySelector(".detail").hidden;
  const title = node.querySelector("a").textContent;
  if (!(await put(q, node.dataset.id, relevance))) return;
  $("live").textContent = `${title}: ${LABELS[relevance]}`;
  await compare(q, { keep: true });
  const n = view.results[ranker(at.side)].hits.length;
  if (opened) { const again = nodeAt(); if (again) toggle(again); } else if (at.index < n - 1) at.index += 1;
  focusAt(true);
}

// --- The queue: pairs whose verdicts tell A and B apart soonest ------------------------------------

const BATCH = 20; // pairs that come in one answer
const queue = { pairs: [], done: 0, saving: false };

async function openQueue() {
  $("queue").hidden = false;
  $("compare").classList.add("judging");
  queue.pairs = [];
  await fillQueue();
  $("queue").scrollIntoView({ block: "start" });
  $("queue").querySelector("button.g3")?.focus({ preventScroll: true });
}

function closeQueue() {
  $("queue").hidden = true;
  $("compare").classList.remove("judging");
  if (queue.done) { queue.done = 0; loadQueries(); if (view) compare(view.q, { keep: true }); }
  $("queue-open").focus();
}

async function fillQueue() {
  const [a, b] = [ranker("a"), ranker("b")];
  if (a === b) { $("queue-standing").textContent = "Choose two different rankers for A and B."; $("queue-pair").replaceChildren(); return; }
  $("queue-standing").textContent = "Looking for the pairs that tell most…";
  try {
    const answer = await call("GET", `/v1/judgments/next?${new URLSearchParams({ a, b, size: BATCH })}`);
    queue.pairs = answer.pairs;
    const ahead = answer.difference > 0 ? "B" : "A";
    const sure = answer.confidence === null || answer.difference === 0 ? "So far A and B look the same." : answer.told_apart ? `${ahead} is ahead, and more verdicts will hardly change that (${Math.floor(answer.confidence * 100)}% sure).` : `${ahead} seems ahead, but that is only ${Math.floor(answer.confidence * 100)}% sure: these verdicts say most.`;
    $("queue-standing").textContent = answer.pool ? `${sure} ${answer.judged} of ${answer.pool} pairs among the first ten are judged.` : "There are no judged queries yet. Ask a query and judge a few of its results first.";
    renderPair();
  } catch (error) {
    $("queue-standing").textContent = `${error.message}. ${error.remedy || ""}`;
    $("queue-pair").replaceChildren();
  }
}

function renderPair() {
  const pair = queue.pairs[0];
  if (!pair) { $("queue-pair").replaceChildren(h("p", { class: "muted" }, "Nothing is left to judge for these two rankers.")); return; }
  const p = pair.product;
  const place = (name) => (pair.places[name] === null ? "not among the first ten" : `place ${pair.places[name]}`);
  const about = [p.brand, p.category.join(" › "), p.price ? money(p.price) : null].filter(Boolean).join(" · ");
  $("queue-pair").replaceChildren(h("article", { data: { id: p.id } },
    h("div", {}, h("p", { class: "asked-label muted" }, "Somebody searches for"), h("p", { class: "asked", dir: "auto" }, pair.q)),
    h("div", {}, h("h3", { dir: "auto" }, h("a", { href: `/p/${productPath(p.id)}`, target: "_blank", rel: "noopener" }, p.title)), h("p", { class: "muted" }, about)),
    p.description ? h("p", { class: "about", dir: "auto", tabindex: "0" }, p.description.slice(0, 600)) : null,
    h("p", { class: "muted places" }, h("span", {}, h("span", { class: "side a" }, "A"), place(ranker("a"))), h("span", {}, h("span", { class: "side b" }, "B"), place(ranker("b"))), pair.why === "random" ? h("span", {}, " Drawn by lot, as a check.") : null),
    h("div", { class: "verdicts", role: "group", "aria-label": "Does it fit?" }, [3, 2, 1, 0].map((g) => h("button", { type: "button", class: `g${g}`, onclick: () => verdict(g) }, h("b", {}, String(g)), LABELS[g])))));
}

async function verdict(relevance) {
  const pair = queue.pairs[0];
  if (!pair || queue.saving) return;
  queue.saving = true;
  const kept = await put(pair.q, pair.product.id, relevance);
  queue.saving = false;
  if (!kept) return;
  queue.done += 1;
  $("live").textContent = `${pair.product.title}: ${LABELS[relevance]}. ${queue.done} judged.`;
  await nextPair();
}

async function nextPair() {
  queue.pairs.shift();
  if (queue.pairs.length) renderPair(); else await fillQueue();
  $("queue").querySelector("button.g3")?.focus();
}

$("queue-open").addEventListener("click", openQueue);
$("queue-close").addEventListener("click", closeQueue);

function askKey(error) {
  const dialog = $("key-dialog");
  $("key-error").textContent = error;
  $("key").value = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "use" ? $("key").value.trim() : ""), { once: true });
  });
}
$("key-form").addEventListener("submit", (event) => { event.preventDefault(); $("key-dialog").close("use"); });
$("key-cancel").addEventListener("click", () => $("key-dialog").close("no"));

// --- Start --------------------------------------------------------------------------------------

const asked = new URLSearchParams(location.search);
for (const [which, fallback] of [["a", "bm25"], ["b", facts.default_ranker]]) {
  $(`ranker-${which}`).append(...facts.rankers.map((name) => h("option", { value: name }, name)));
  const wanted = asked.get(which) || fallback;
  if (facts.rankers.includes(wanted)) $(`ranker-${which}`).value = wanted;
  $(`ranker-${which}`).addEventListener("change", () => { if (!$("queue").hidden) fillQueue(); loadQueries(); if (view) compare(view.q, { replace: true }); });
}
for (const button of document.querySelectorAll("thead button")) {
  button.addEventListener("click", () => {
    rows.down = rows.by === button.dataset.by ? !rows.down : false;
    rows.by = button.dataset.by;
    renderRows();
  });
}
$("filter").addEventListener("input", debounce(100, renderRows));
$("ask").addEventListener("submit", (event) => { event.preventDefault(); if ($("q").value.trim()) compare($("q").value.trim()).then(() => focusAt(true)); });
addEventListener("popstate", () => { const q = new URLSearchParams(location.search).get("q"); if (q) compare(q, { keep: true }); });
rows.by = "b"; // the ranker that shoppers get, worst first
if (asked.get("q")) compare(asked.get("q").slice(0, 512), { replace: true });
loadQueries();
