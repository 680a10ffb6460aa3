// What the shop keeps of this browser, for the one who uses it: to see, correct, take along and end.
import { label, productPath } from "./api.js";
import { art } from "./art.js";
import { $, CROSS, h, icon } from "./dom.js";
import "./events.js"; // the shopper's choice in the foot of the page
import { button, client_id, decide, on, reset, tell, unwatched, usable } from "./personal.js";
import { searchBox } from "./searchbox.js";

const DID = { view: "Looked at", click: "Opened", add_to_cart: "Put into the cart", purchase: "Bought" };
const store = (parameters) => `/?${new URLSearchParams(parameters)}`;
searchBox({
  chosen: (text) => location.assign(text.trim() ? store({ q: text.trim() }) : "/"),
  picked: (kind, text) => location.assign(store({ [kind]: text })),
}).set("");

const when = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
let kept = null;

async function show() {
  $("kept").hidden = !on();
  if (!on()) {
    kept = null;
    const why = unwatched ? "Your browser asks not to be tracked, so nothing is kept and every list is everybody’s."
      : usable ? "Nothing is kept about you. You see the same lists as everybody."
        : "This browser keeps nothing for this shop, so neither do we.";
    $("standing").textContent = why;
    $("choice").replaceChildren(...(unwatched || !usable ? [] : [primary("start", "Make my lists personal", () => choose(true))]));
    return;
  }
  const who = { client_id: client_id() };
  const [{ visitor }, { interests, products }] = await Promise.all([tell("visitor", who), tell("visitor/interests", who)]);
  if (!visitor.consent) { await forgotten(); return; } // withdrawn elsewhere
  kept = visitor;
  const n = visitor.visits.length;
  $("standing").textContent = n ? `We keep ${n} ${n === 1 ? "product" : "products"} that you looked at, under a random number and not under your name. All of it is gone ${visitor.kept_days} days after your last visit.`
    : `Your lists are personal, and nothing is kept yet. Whatever is kept is gone ${visitor.kept_days} days after your last visit.`;
  $("choice").replaceChildren(primary("download", "Download my data", download), button("anew", "Start anew", async () => { await reset(); await show(); $("you").focus(); }),
    button("stop", "Stop and erase", () => choose(false)));
  const known = new Map(products.map((p) => [p.id, p]));
  fill("interests", interests.map(interest), "None yet: two products of a brand or a kind make one.");
  const inVain = Object.values(visitor.shown).filter((times) => times > 1).length;
  $("looked-about").textContent = `The last 50 at most, newest first.${inVain ? ` ${inVain} more ${inVain === 1 ? "was" : "were"} shown to you more than once and not opened.` : ""}`;
  fill("looked", [...visitor.visits].reverse().map((v) => line(known.get(v.product_id), v.product_id, `${DID[v.action] || label(v.action)} · ${when.format(new Date(v.at))}`, "Remove")), "Nothing so far.");
  fill("unwanted", [...visitor.hidden].reverse().map((id) => line(known.get(id), id, "Kept out of your feed, last in search", "Show again")), "Nothing. “Not interested” on a product puts it here.");
}

const fill = (place, nodes, nothing) => $(place).replaceChildren(...(nodes.length ? nodes : [h("li", { class: "nothing" }, nothing)]));
const primary = (id, text, click) => h("button", { type: "button", class: "primary", id, onclick: click }, text);

async function forgotten() {
  await decide(false);
  await show();
}

async function choose(granted) {
  await decide(granted);
  await show();
  $("you").focus();
}

async function remove(product_ids) {
  await tell("visitor/remove", { client_id: client_id(), product_ids });
  await show();
  $("you").focus();
}

function interest({ kind, value, products }) {
  const said = kind === "price" ? `Mostly from ${value}` : `${label(kind)}: ${value.split(" > ").at(-1)}`;
  const cross = h("button", { type: "button", class: "round", "aria-label": `Remove the interest ${said}`, onclick: () => remove(products) },
    icon(CROSS));
  return h("li", {}, h("span", {}, said, " ", h("small", {}, `from ${products.length} ${products.length === 1 ? "product" : "products"}`)), cross);
}

function line(product, id, about, undo) {
  const title = product?.title || `Product ${id}, which is not here any more`;
  const end = h("button", { type: "button", class: "quiet", "aria-label": `${undo}: ${title}`, onclick: () => remove([id]) }, undo);
  return h("li", {}, product ? art(product) : h("span", {}), h("div", {}, product ? h("a", { href: `/p/${productPath(id)}` }, title) : h("span", {}, title), h("p", {}, about)), end);
}

function download() {
  const file = new Blob([JSON.stringify({ client_id: client_id(), ...kept }, null, 2)], { type: "application/json" });
  const link = h("a", { href: URL.createObjectURL(file), download: "your-data.json" });
  link.click();
  URL.revokeObjectURL(link.href);
}

show().catch((error) => { $("standing").textContent = `${error.message}. ${error.remedy || ""}`; });
