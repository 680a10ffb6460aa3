// Lab: models, decisions, and what a served result came from.
import { call, count } from "./api.js";
import { $, h, icon } from "./dom.js";

const TICK = "m5 12.500 4.500 4.500L19 7.500";
const CROSS = "m6 6 12 12M18 6 6 18";
const ASK = "M9 9a3 3 0 1 1 4.500 2.600c-1 .600-1.500 1.200-1.500 2.400M12 17.500v.01";
const MEASURES = { "nDCG@10": "Order of the first ten", "R@100": "Found among the first hundred", "RR@10": "How early the first hit comes", "P@10": "Share of hits in the first ten" };
const STAGES = { live: "ok", candidate: "ask", shadow: "ask", canary: "ask", retired: "" };
let models = [];

const when = (at) => new Date(at).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
const label = (stage) => h("span", { class: `label ${STAGES[stage]}` }, stage);

async function load() {
  try {
    ({ models } = await call("GET", "/v1/models"));
  } catch (error) {
    $("live").replaceChildren(h("p", { class: "error", role: "alert" }, error.message));
    return;
  }
  renderLive();
  renderModels();
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
    h("p", { class: "acts" },
      h("a", { class: "quiet", href: `/v1/models/${m.generation}/card` }, "Model card"),
      m.stage === "candidate" ? h("button", { class: "quiet", type: "button", onclick: () => decide("promote", m) }, "Promote …") : null,
      m.stage === "retired" ? h("button", { class: "quiet", type: "button", onclick: () => decide("rollback", m) }, "Make live again …") : null))));
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
  const all = models.flatMap((m) => m.decisions).sort((a, b) => b.number - a.number);
  $("decisions").replaceChildren(...(all.length ? all.map(decision) : [h("li", { class: "muted" }, "None is on record yet.")]));
}

function decision(d) {
  return h("li", {},
    h("div", { class: "row" }, h("span", {}, d.why), label(d.stage)),
    h("p", { class: "muted" }, `${d.who} · ${when(d.at)} · ${d.generation.slice(0, 7)}`),
    d.gates.length ? h("details", {}, h("summary", {}, `${d.gates.filter((g) => g.passed).length} of ${d.gates.length} gates passed`), h("ul", { class: "items" }, d.gates.map((g) => gate(g, d.overridden)))) : null);
}

function gate(g, overridden = []) {
  const kind = g.passed ? "ok" : "todo";
  return h("li", { class: `check ${kind}` }, icon(g.passed ? TICK : g.passed === null ? ASK : CROSS),
    h("div", {}, h("b", {}, g.name), overridden.includes(g.name) ? " (overruled)" : "", h("p", { class: "muted" }, g.says)));
}

// --- Deciding -----------------------------------------------------------------------------------

let act = null;

function decide(kind, model) {
  act = { kind, model };
  const promote = kind === "promote";
  $("decide-head").textContent = promote ? "Promote this candidate?" : "Make this model live again?";
  $("decide-says").textContent = promote
    ? "Candidate and live model answer the same judged queries now. It goes live only if it is no worse, no slower and no less fair."
    : "It answers shoppers within seconds. No gate is asked: this is the way back.";
  $("go").textContent = promote ? "Ask the gates" : "Make it live";
  $("go").disabled = false;
  $("why").value = "";
  $("key").value = sessionStorage.getItem("admin-key") || "";
  $("decide-error").textContent = "";
  $("gates").replaceChildren();
  $("decide").showModal();
}

$("cancel").addEventListener("click", () => $("decide").close());
$("decide-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const key = $("key").value.trim();
  const { kind, model } = act;
  const path = kind === "promote" ? `/v1/models/${model.generation}/promote` : "/v1/models/rollback";
  const body = kind === "promote" ? { why: $("why").value } : { why: $("why").value, to: model.generation };
  $("go").disabled = true;
  $("decide-error").textContent = kind === "promote" ? "Asking the gates …" : "";
  try {
    const decided = await call("POST", path, { body, key });
    sessionStorage.setItem("admin-key", key);
    $("decide-error").textContent = "";
    if (decided.stage === "live") {
      $("decide-head").textContent = "It is live";
      $("decide-says").textContent = "Shoppers are answered by it from now on.";
    } else {
      $("decide-head").textContent = "Not promoted";
      $("decide-says").textContent = "It stays a candidate; the refusal is on record.";
    }
    $("gates").replaceChildren(...decided.gates.map((g) => gate(g, decided.overridden)));
    await load();
  } catch (error) {
    $("decide-error").textContent = error.status === 401 ? "This key does not open this server." : `${error.message}. ${error.remedy}`;
    $("go").disabled = false;
  }
});

// --- Tracing ------------------------------------------------------------------------------------

$("trace").addEventListener("submit", async (event) => {
  event.preventDefault();
  const id = $("query-id").value.trim();
  try {
    const { served, index, model, rules_unchanged: same } = await call("GET", `/v1/trace/${encodeURIComponent(id)}`);
    const facts = [
      ["Served", `${when(served.at)}, in ${served.milliseconds.toFixed(1)} ms`],
      ["Ranker", served.ranker],
      ["Index", `${served.index_generation}${index ? `, ${count(index.products)} products` : " (gone by now)"}`],
      ["Model", served.model_generation ? `${served.model_generation}${model ? `, ${model.model}, now ${model.stage}` : " (gone by now)"}` : "none"],
      ["Learned from", model ? `“${model.lineage.judgments}”, ${count(model.lineage.queries)} queries, data ${model.lineage.data_fingerprint.slice(0, 12)}` : "–"],
      ["Rules", `${served.policy || "none"}${same ? "" : " (changed since)"}`],
      ["Shown", served.products.slice(0, 5).join(", ") + (served.products.length > 5 ? ` and ${served.products.length - 5} more` : "")],
    ];
    $("traced").replaceChildren(h("dl", { class: "facts-list" }, facts.flatMap(([k, v]) => [h("dt", {}, k), h("dd", {}, v)])));
  } catch (error) {
    $("traced").replaceChildren(h("p", { class: "error" }, `${error.message}. ${error.remedy}`));
  }
});

load();
