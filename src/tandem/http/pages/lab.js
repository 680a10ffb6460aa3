// Lab: models, decisions, and what a served result came from.
import { call, count } from "./api.js";
import { decide, gate } from "./deciding.js";
import { $, h } from "./dom.js";

const MEASURES = { "nDCG@10": "Order of the first ten", "R@100": "Found among the first hundred", "RR@10": "How early the first hit comes", "P@10": "Share of hits in the first ten" };
const LATEST = 12; // decisions shown; all of them are on the cards
const STAGES = { live: "ok", candidate: "ask", shadow: "ask", canary: "ask", retired: "" };
let models = [];
let others = [];

const when = (at) => new Date(at).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
const label = (stage) => h("span", { class: `label ${STAGES[stage]}` }, stage);

async function load() {
  try {
    [{ models }, { artefacts: others }] = await Promise.all([call("GET", "/v1/models"), call("GET", "/v1/artefacts")]);
  } catch (error) {
    $("live").replaceChildren(h("p", { class: "error", role: "alert" }, error.message));
    return;
  }
  renderLive();
  renderModels();
  renderOthers();
  renderDecisions();
}

function renderLive() {
  const live = models.find((m) => m.stage === "live");
  $("live").removeAttribute("aria-busy");
  if (!live) {
    $("live").replaceChildren(h("h2", {}, "No model is live"), h("p", { class: "muted" }, "Words and meaning alone answer. Train one with: tandem train ranker"));
    return;
  }
  $("live").replaceChildren(
    h("h2", {}, "Live now"),
    h("div", { class: "figure" }, h("b", {}, live.metrics["nDCG@10"].mean.toFixed(3)), h("span", { class: "muted" }, "nDCG@10 on queries it had never seen; 1 is perfect")),
    h("p", { class: "muted" }, `${live.model}, learned from ${count(live.lineage.queries)} judged queries, ${when(live.trained_at)}`),
    h("ul", { class: "measures" }, Object.entries(live.metrics).map(([name, value]) => measure(name, value))),
    h("p", {}, h("a", { class: "quiet", href: `/v1/models/${live.generation}/card` }, "Model card")));
}

// A bar from zero to one with its 95% interval.
function measure(name, { mean, low, high }) {
  const bar = h("span", { class: "interval", role: "img", "aria-label": `${mean.toFixed(3)}, between ${low.toFixed(3)} and ${high.toFixed(3)}` },
    h("i", {}), h("em", {}));
  bar.style.setProperty("--mean", mean);
  bar.style.setProperty("--low", low);
  bar.style.setProperty("--high", high);
  return h("li", {}, h("span", {}, h("b", {}, name), h("small", { class: "muted" }, MEASURES[name] || "")), bar,
    h("span", { class: "num" }, mean.toFixed(3)));
}

function renderModels() {
  const waiting = models.filter((m) => m.stage === "candidate").length;
  $("models-note").textContent = waiting ? `${waiting} waiting to be promoted.` : "Train another with: tandem train ranker --candidate";
  $("models").replaceChildren(...models.map((m) => h("li", { data: { generation: m.generation } },
    h("div", { class: "row" },
      h("div", {}, h("b", {}, m.model), " ", label(m.stage), h("p", { class: "muted" }, `${m.generation} · ${when(m.trained_at)}`), trial(m)),
      h("span", { class: "move" }, m.metrics["nDCG@10"].mean.toFixed(3))),
    acts("/v1/models", `/v1/models/${m.generation}/card`, m, Boolean(m.lineage.clicks)))));
}

// What a shadow or canary gets, and what a shadow has shown so far.
function trial(m) {
  const share = (v) => v.toLocaleString(undefined, { style: "percent", maximumFractionDigits: 1 });
  const said = [];
  if (m.share) said.push(m.stage === "canary" ? `Answers ${share(m.share)} of the people.` : `Answers ${share(m.share)} of the requests, unseen.`);
  const s = m.shadowed;
  if (s && s.requests) {
    said.push(`${count(s.requests)} requests as a shadow, ${count(s.failed)} failed.`);
    if (s.overlap !== null) said.push(`${share(s.overlap)} of the first ten are those of the live one.`);
    if (s.shadow_ms !== null && s.live_ms !== null) said.push(`Usually ${s.shadow_ms.toFixed(1)} ms beside ${s.live_ms.toFixed(1)} ms.`);
  }
  return said.length ? h("p", {}, said.join(" ")) : null;
}

function renderDecisions() {
  const all = [...models, ...others].flatMap((m) => m.decisions).sort((a, b) => b.number - a.number);
  $("decisions").replaceChildren(...(all.length ? all.slice(0, LATEST).map(decision) : [h("li", { class: "muted" }, "None is on record yet.")]));
}

function decision(d) {
  return h("li", {},
    h("div", { class: "row" }, h("span", {}, d.why), label(d.stage)),
    h("p", { class: "muted" }, `${d.who} · ${when(d.at)} · ${d.kind === "models" ? "ranker" : (KINDS[d.kind] || d.kind).toLowerCase()} ${d.generation.slice(0, 7)}`),
    d.gates.length ? h("details", {}, h("summary", {}, `${d.gates.filter((g) => g.passed).length} of ${d.gates.length} gates passed`), h("ul", { class: "items" }, d.gates.map((g) => gate(g, d.overridden)))) : null);
}

// --- Deciding -----------------------------------------------------------------------------------

const LIVE = { head: "It is live", says: "Shoppers are answered by it from now on." };
const REFUSED = { head: "Not promoted", says: "It stays a candidate; the refusal is on record." };
const outcome = (decided) => (decided.stage === "live" ? LIVE : REFUSED);
const ENDED = { head: "It is over", says: "From the next second on the live one answers everybody." };

// of: `/v1/models`, or `/v1/artefacts/KIND`.
function promote(of, generation, approves) {
  decide({
    head: "Promote this candidate?",
    says: "Candidate and live one answer the same questions now. It goes live only if it is no worse, no slower and no less fair.",
    go: "Ask the gates", waiting: "Asking the gates …", approves,
    path: `${of}/${generation}/promote`, body: {}, done: outcome, then: load });
}

function makeLive(of, generation) {
  decide({
    head: "Make this one live again?",
    says: "It answers shoppers within seconds. No gate is asked: this is the way back.",
    go: "Make it live", path: `${of}/rollback`, body: { to: generation }, done: outcome, then: load });
}

function withdraw(of, generation) {
  decide({
    head: "End this trial?", says: "The live one answers everybody again; what was seen stays on record.",
    go: "End it", path: `${of}/${generation}/withdraw`, body: {}, done: () => ENDED, then: load });
}

function acts(of, card, { generation, stage }, approves) {
  const tried = stage === "shadow" || stage === "canary";
  return h("p", { class: "acts" },
    h("a", { class: "quiet", href: card }, "Card"),
    stage === "candidate" || tried ? h("button", { class: "quiet", type: "button", onclick: () => promote(of, generation, approves) }, "Promote …") : null,
    tried ? h("button", { class: "quiet", type: "button", onclick: () => withdraw(of, generation) }, "End the trial …") : null,
    stage === "retired" ? h("button", { class: "quiet", type: "button", onclick: () => makeLive(of, generation) }, "Make live again …") : null);
}

// --- Other kinds --------------------------------------------------------------------------------

const KINDS = { configurations: "Tuned weights", "cross-encoders": "Cross-encoder", recommenders: "Recommender", personal: "Personal search", feeds: "Feed", matchers: "Matching" };
const JUDGED = ["configurations", "cross-encoders"]; // learned from judgments, not from people
const SHOWN = 4; // generations of a kind; older ones are in `tandem models list --kind`

function renderOthers() {
  const kinds = Object.keys(KINDS).filter((kind) => others.some((a) => a.kind === kind));
  $("others-panel").hidden = !kinds.length;
  $("others").replaceChildren(...kinds.map((kind) => {
    const mine = others.filter((a) => a.kind === kind);
    return h("div", {}, h("h3", {}, KINDS[kind]), h("ol", { class: "items" }, mine.slice(0, SHOWN).map(other)),
      mine.length > SHOWN ? h("p", { class: "muted" }, `And ${mine.length - SHOWN} older ones.`) : null);
  }));
}

function other(a) {
  const made = a.lineage.trained_at ? ` · ${when(a.lineage.trained_at)}` : "";
  return h("li", { data: { generation: a.generation } },
    h("div", { class: "row" }, h("span", {}, `${a.generation.slice(0, 7)}${made}`), label(a.stage)),
    a.kind === "configurations" && a.lineage.verdict ? h("p", { class: "muted" }, a.lineage.verdict) : null, trial(a),
    acts(`/v1/artefacts/${a.kind}`, `/v1/artefacts/${a.kind}/${a.generation}/card`, a, !JUDGED.includes(a.kind)));
}

const PARTS = { catalog: "Catalogue", encoders: "Encoder", content: "Videos" };

// --- Tracing ------------------------------------------------------------------------------------

$("trace").addEventListener("submit", async (event) => {
  event.preventDefault();
  const id = $("query-id").value.trim();
  try {
    const { served, index, model, rules_unchanged: same, parts, slots, experiments } = await call("GET", `/v1/trace/${encodeURIComponent(id)}`);
    const gone = " (gone by now)";
    const facts = [
      ["Served", `${when(served.at)}, in ${served.milliseconds.toFixed(1)} ms${served.simulated ? ", of a simulated catalogue" : ""}`],
      ["Kind", served.kind === "search" ? `search by ${served.ranker}` : `recommendation, ${served.kind}`],
      ["For whom", served.personal ? "moved by what the visitor allows to be known" : "the same for everybody"],
      ["Index", `${served.index_generation}${index ? `, ${count(index.products)} products` : gone}`],
      served.encoder && ["Meaning", served.encoder],
      (model || (served.kind === "search" && served.model_generation)) && ["Model", `${served.model_generation}${model ? `, ${model.model}, now ${model.stage}` : gone}`],
      model && ["Learned from", `“${model.lineage.judgments}”, ${count(model.lineage.queries)} queries, data ${model.lineage.data_fingerprint.slice(0, 12)}`],
      ...parts.map((p) => [KINDS[p.kind] || PARTS[p.kind] || p.kind, `${p.generation}${p.artefact ? `, now ${p.artefact.stage}` : gone}`]),
      ...experiments.map((e) => [e.kind === "canary" ? "Canary" : "Experiment", `${e.name}: ${served.experiments[e.name]}, ${e.state}`]),
      ...slots.map((x) => ["Slot", `${x.name}: ${served.slots[x.name].arm}, with probability ${served.slots[x.name].pscore.toFixed(2)}`]),
      served.explored && ["Explored", "the first places were drawn by lot"],
      ["Rules", `${served.policy || "none"}${same ? "" : " (changed since)"}`],
      ["Shown", served.products.slice(0, 5).join(", ") + (served.products.length > 5 ? ` and ${served.products.length - 5} more` : "")],
    ].filter(Boolean);
    $("traced").replaceChildren(h("dl", { class: "facts-list" }, facts.flatMap(([k, v]) => [h("dt", {}, k), h("dd", {}, v)])));
  } catch (error) {
    $("traced").replaceChildren(h("p", { class: "error" }, `${error.message}. ${error.remedy}`));
  }
});

load();
