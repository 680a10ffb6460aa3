// Why a product stands where it stands for a query, and what would move it.
import { art } from "./art.js";
import { call, few, fewOf, productPath } from "./api.js";
import { $, h, icon } from "./dom.js";
import { capital } from "./center.js";
import { chooser } from "./picker.js";

const TICK = "m5 12.500 4.500 4.500L19 7.500";
const DOT = "M12 7v6M12 16.500v.01M12 3.500a8.500 8.500 0 1 1 0 17 8.500 8.500 0 0 1 0-17";
let find = (q, signal) => few(q, {}, signal);
const field = chooser($("product"), $("products"), (q, signal) => find(q, signal), () => $("q").focus());
// Who is signed in chooses among their own.
export const ofMerchant = (merchant) => { find = fewOf(merchant); };

$("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  const product = field.id();
  const parameters = new URLSearchParams({ product, q: $("q").value.trim() });
  history.replaceState(null, "", `?${parameters}`);
  show(product, $("q").value.trim());
});

async function show(id, q) {
  field.close();
  const answer = $("answer");
  answer.replaceChildren(h("p", { class: "busy" }, "Trying changes in the real search …"));
  try {
    const [{ standing: found }, { product }] = await Promise.all([
      call("GET", `/v1/seller/why?${new URLSearchParams({ product_id: id, q })}`),
      call("GET", `/v1/products/${productPath(id)}`),
    ]);
    if (!field.chosen()) field.take(product);
    answer.replaceChildren(...answered(found, product));
  } catch (error) {
    answer.replaceChildren(h("p", { class: "error", role: "alert" }, `${capital(error.message)}. ${capital(error.remedy || "")}`));
  }
}

function answered(found, product) {
  return [
    head(found, product),
    h("div", { class: "two" },
      h("div", { class: "stack" }, edits(found), differences(found)),
      h("div", { class: "stack" }, quality(found.quality), above(found))),
  ].filter(Boolean);
}

function head(found, product) {
  const place = found.shut_out.length
    ? [h("b", {}, "Not shown"), h("span", { class: "muted" }, "the search’s conditions leave it out")]
    : found.position === null
      ? [h("b", {}, "Not found"), h("span", { class: "muted" }, `beyond the ${found.considered} products that are looked at`)]
      : [h("b", {}, `#${found.position}`), h("span", { class: "muted" }, `of ${found.considered} products that are looked at`)];
  return h("section", { class: "panel", "aria-label": "Where it stands" },
    h("div", { class: "chosen" }, art(product),
      h("div", {}, h("a", { href: `/p/${productPath(product.id)}`, dir: "auto" }, product.title),
        h("div", { class: "figure" }, ...place))),
    h("p", { class: "summary" }, found.summary));
}

function edits(found) {
  const better = found.edits.filter((e) => e.position !== null && (found.position === null || e.position < found.position));
  const others = found.edits.filter((e) => !better.includes(e));
  const nothing = found.position === 1 ? "It stands first: there is nothing to gain."
    : found.shut_out.length ? "No change of the listing can help while the search’s conditions leave it out."
    : "No change that was tried would move it up.";
  return h("section", { class: "panel" },
    h("h2", {}, "What would move it"),
    h("p", { class: "muted" }, "Only state what is true. Repeated or unfitting words cost you returns and ratings."),
    better.length ? h("ol", { class: "items" }, better.map((e) => edit(e, found.position))) : h("p", {}, nothing),
    others.length ? h("details", { class: "more-tried" }, h("summary", {}, `${others.length} more tried, without a gain`),
      h("ol", { class: "items" }, others.map((e) => edit(e, found.position)))) : null);
}

function edit(e, before) {
  const from = before === null ? "not found" : `#${before}`;
  const to = e.position === null ? "not found" : `#${e.position}`;
  const direction = e.gain === null ? (e.position === null ? "" : "up") : e.gain > 0 ? "up" : e.gain < 0 ? "down" : "";
  return h("li", {},
    h("div", { class: "row" }, h("span", {}, e.says), h("span", { class: `move ${direction}` }, `${from} → ${to}`)),
    e.after ? h("div", { class: "change", dir: "auto" }, e.after) : null,
    e.claim ? h("span", { class: "label ask" }, "Only if true") : h("span", { class: "label ok" }, "From your own listing"));
}

function differences(found) {
  if (!found.differences.length) return null;
  const most = Math.abs(found.differences[0].effect);
  return h("section", { class: "panel" },
    h("h2", {}, "What holds it back"),
    h("p", { class: "muted" }, "Beside those above it, in the ranking model’s eyes; the longer the bar, the more it costs."),
    h("ol", { class: "items" }, found.differences.map((d) => {
      const bar = h("i", { role: "img", "aria-label": `${Math.round(100 * Math.abs(d.effect) / most)}% of the largest` });
      bar.style.setProperty("--share", Math.abs(d.effect) / most);
      return h("li", {}, h("div", { class: "weight" }, h("span", {}, capital(d.says)), bar));
    })));
}

function quality(q) {
  const meter = h("div", { class: "meter", "aria-hidden": "true" });
  meter.style.setProperty("--share", q.score / 100);
  return h("section", { class: "panel" },
    h("h2", {}, "Listing quality"),
    h("div", { class: "figure" }, h("b", {}, Math.round(q.score)), h("span", { class: "muted" }, "of 100")),
    meter,
    h("p", { class: "muted" }, `Held against ${q.peers.toLocaleString()} ${q.peers_are}.`),
    h("ul", { class: "items" }, q.checks.map((c) =>
      h("li", { class: `check ${c.suggestion ? "todo" : "ok"}` }, icon(c.suggestion ? DOT : TICK),
        h("div", {}, h("b", {}, c.name), ` – ${c.found}`, c.suggestion ? h("p", { class: "muted" }, `${capital(c.suggestion)}.`) : null)))));
}

function above(found) {
  if (!found.above.length) return null;
  return h("section", { class: "panel" },
    h("h2", {}, found.position === null ? "Who stands first" : "Who stands above"),
    h("ol", { class: "above" }, found.above.map((r) =>
      h("li", {}, h("b", {}, r.position), h("a", { href: `/p/${productPath(r.product_id)}`, dir: "auto" }, r.title)))));
}

// From a row of the query report: this product, this query.
export function whyNot(q) {
  field.take({ id: q.product_id, title: q.title });
  $("q").value = q.query;
  $("ask").requestSubmit();
}

// One product; what shoppers type is still to be said.
export function about(product) {
  field.take(product);
  $("q").value = "";
  $("answer").replaceChildren();
  $("q").focus();
}

// What the address asks for.
export function fromAddress() {
  const asked = new URLSearchParams(location.search);
  if (!asked.get("product")) return false;
  $("product").value = asked.get("product");
  $("q").value = asked.get("q") || "";
  if (asked.get("q")) show(asked.get("product"), asked.get("q"));
  return true;
}
