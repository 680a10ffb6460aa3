// Privacy office: what is kept, what a person allows, copies, erasure, the audit log.
import { call } from "./api.js";
import { $, h, icon } from "./dom.js";

const TICK = "m5 12.500 4.500 4.500L19 7.500";
const CROSS = "m6 6 12 12M18 6 6 18";
const PURPOSES = { search: "Make search work", personalisation: "A personal shop", analytics: "See where the shop fails", model_training: "Train models", creator_marketing: "Creators’ marketing" };
const BASES = { consent: "only with consent", contract: "needed for the contract", legitimate_interests: "legitimate interest; objection possible", explicit_consent: "only with explicit consent" };
let key = "";

const when = (at) => new Date(at).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
const plain = (text) => text.replaceAll("_", " ");
const said = (error) => (error.status === 401 ? "This key does not open this shop." : `${error.message}. ${error.remedy || ""}`);

$("key").value = sessionStorage.getItem("privacy-key") || "";
$("open").addEventListener("submit", async (event) => {
  event.preventDefault();
  key = $("key").value.trim();
  try {
    await load();
    sessionStorage.setItem("privacy-key", key);
    $("open").hidden = true;
    $("office").hidden = false;
    $("identifier").focus();
  } catch (error) {
    $("open-error").textContent = said(error);
  }
});

async function load() {
  const office = await call("GET", "/v1/privacy", { key });
  $("stored").replaceChildren(...office.stored.map(collection));
  $("budgets").replaceChildren(...(office.budgets.length ? office.budgets.map(budget) : [h("li", { class: "muted" }, "No report has been released yet.")]));
  $("bases").replaceChildren(...office.purposes.map((p) => h("li", {}, h("b", {}, PURPOSES[p.purpose] || p.purpose), h("span", { class: "muted" }, BASES[p.basis] || p.basis))));
  $("requests").replaceChildren(...(office.requests.length ? office.requests.map(request) : [h("li", { class: "muted" }, "Nobody has asked for it yet.")]));
  const audit = office.audit;
  $("audit-state").replaceChildren(h("p", { class: `check ${audit.ok ? "ok" : "todo"}` }, icon(audit.ok ? TICK : CROSS),
    h("span", {}, audit.ok ? `Sound: ${audit.entries.toLocaleString()} entries, none edited, deleted or moved.` : audit.problems.join("; "))));
  $("audit").replaceChildren(...audit.last.map((e) => h("tr", {}, h("td", { class: "num" }, e.sequence), h("td", {}, when(e.at)), h("td", {}, e.actor), h("th", { scope: "row" }, e.action),
    h("td", {}, Object.entries(e.details).filter(([, v]) => v !== null && v !== false).map(([k, v]) => `${plain(k)} ${v}`).join(", ")))));
}

function collection(c) {
  return h("li", {}, h("details", {},
    h("summary", {}, h("b", { class: "capital" }, plain(c.name)), " ", h("span", { class: "label" }, `${c.fields.length} fields about ${c.people.map(plain).join(", ") || "nobody"}`)),
    h("span", { class: "muted" }, c.description),
    h("dl", { class: "fields" }, c.fields.flatMap((f) => [h("dt", {}, f.name), h("dd", {}, f.categories.map(category).join(", ") || "–")]))));
}

// fideslang's words from the general to the particular: user.behavior.search_history.
const category = (name) => plain(name).split(".").filter((part) => part !== "user").join(" › ");

function budget(b) {
  return h("li", {}, h("div", { class: "row" }, h("b", {}, b.tenant), h("span", { class: "label" }, `${b.reports} ${b.reports === 1 ? "report" : "reports"}`)),
    h("label", { class: "muted" }, `${b.spent.toFixed(1)} of ${b.total.toFixed(1)} spent `, h("meter", { min: 0, max: b.total, value: b.spent, high: b.total * 0.75, optimum: 0 })));
}

$("map").addEventListener("click", async () => {
  try {
    save("data-map.json", await call("GET", "/v1/privacy/data-map", { key }));
  } catch (error) {
    $("open-error").textContent = said(error);
  }
});

function request(r) {
  return h("li", {}, h("div", { class: "row" }, h("b", {}, r.id), h("span", { class: `label ${r.finished ? "ok" : "ask"}` }, r.state)),
    h("span", { class: "muted" }, `asked ${when(r.requested)}${r.finished ? `, finished ${when(r.finished)}` : `; done: ${r.done.map(plain).join(", ") || "nothing yet"}`}`),
    r.finished ? h("button", { class: "quiet start", type: "button", onclick: () => certificate(r.id) }, "Certificate") : null);
}

// --- One person ---------------------------------------------------------------------------------

const who = () => ({ identifier: $("identifier").value.trim(), role: $("role").value });

async function act(work) {
  try {
    await work();
  } catch (error) {
    $("answer").replaceChildren(h("p", { class: "error", role: "alert" }, said(error)));
  }
}

$("person").addEventListener("submit", (event) => {
  event.preventDefault();
  act(async () => { show(await call("POST", "/v1/privacy/person", { body: who(), key })); await load(); });
});

function show(person) {
  $("answer").replaceChildren(
    h("p", { class: "muted known" }, `Known as ${person.pseudonyms.join(", ")}. Decisions of theirs on record: ${person.decisions || "none"}.${person.minor ? " A minor." : ""}`),
    h("ul", { class: "items" }, Object.entries(person.allowed).map(([purpose, allowed]) =>
      h("li", {}, h("div", { class: "row" }, h("span", { class: `check ${allowed ? "ok" : "todo"}` }, icon(allowed ? TICK : CROSS), h("span", {}, h("b", { class: "as-is" }, PURPOSES[purpose] || purpose), allowed ? " – allowed" : " – not allowed")),
        h("button", { class: "quiet", type: "button", onclick: () => decide(purpose, allowed ? "withdrawn" : "granted") }, allowed ? "Withdraw" : "Grant"))))),
    h("p", { class: "acts" },
      h("button", { class: "quiet", type: "button", onclick: copy }, "Copy of all their data"),
      h("button", { class: "quiet", type: "button", onclick: () => { $("correct-form").reset(); $("correct-error").textContent = ""; $("correct").showModal(); } }, "Correct an event …"),
      h("button", { class: "quiet danger", type: "button", onclick: () => { $("sure").value = ""; $("erase-error").textContent = ""; $("erase").showModal(); } }, "Erase …")));
}

const decide = (purpose, decision) => act(async () => {
  show(await call("POST", "/v1/privacy/consent", { body: { ...who(), purpose, decision }, key }));
  await load();
});

const copy = () => act(async () => {
  save("personal-data.json", await call("POST", "/v1/privacy/export", { body: who(), key }));
  await load();
});

const certificate = (id) => act(async () => {
  const found = await call("GET", `/v1/privacy/erasures/${id}`, { key });
  save(`certificate-${id}.json`, found);
});

function save(name, value) {
  const link = h("a", { href: URL.createObjectURL(new Blob([JSON.stringify(value, null, 2)], { type: "application/json" })), download: name });
  link.click();
  URL.revokeObjectURL(link.href);
}

$("correct-cancel").addEventListener("click", () => $("correct").close());
$("correct-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const changes = { [$("correct-field").value]: $("correct-value").value.trim() || null };
  try {
    await call("POST", "/v1/privacy/corrections", { body: { ...who(), event: $("correct-event").value.trim(), changes, reason: $("correct-reason").value.trim() }, key });
    $("correct").close();
    await load();
  } catch (error) {
    $("correct-error").textContent = said(error);
  }
});

$("cancel").addEventListener("click", () => $("erase").close());
$("erase-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  $("go").disabled = true;
  $("erase-error").textContent = "Erasing, then looking into every file …";
  try {
    const done = await call("POST", "/v1/privacy/erasures", { body: who(), key });
    $("erase").close();
    $("answer").replaceChildren(h("p", { class: "check ok" }, icon(TICK), h("span", {}, `Erased. Certificate ${done.id}.`)));
    await load();
  } catch (error) {
    $("erase-error").textContent = said(error);
  } finally {
    $("go").disabled = false;
  }
});
