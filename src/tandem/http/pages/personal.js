// The shopper's own feed. Nothing about a shopper is kept before the shopper says so, and one
// button ends it: then the shop erases what it kept, and the list is everybody's again.
import { call } from "./api.js";
import { card } from "./card.js";
import { $, h } from "./dom.js";

const CHOICE = "tandem.personal"; // "on" when the shopper asked for it
const CLIENT = "tandem.client"; // one random id of this browser, the one that events go by
const SIZE = 10;
const KIND = { content: "Similar", sessions: "From your visit", baskets: "Goes with", popularity: "Popular", rating: "Rated best", catalogue: "", exploration: "Try this" };

const asked = navigator.doNotTrack === "1" || navigator.globalPrivacyControl === true;
const usable = (() => { try { localStorage.getItem(CHOICE); return true; } catch { return false; } })();
const on = () => usable && !asked && localStorage.getItem(CHOICE) === "on" && localStorage.getItem(CLIENT);
const tell = (path, body) => call("POST", `/v1/recommend/${path}`, { body });
const client_id = () => localStorage.getItem(CLIENT);

// A product page was opened.
export function viewed(product_id) {
  if (on()) tell("visitor/events", { client_id: client_id(), events: [{ product_id, action: "view" }] }).catch(() => {});
}

async function decide(granted) {
  if (granted && !client_id()) {
    localStorage.setItem(CLIENT, Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join(""));
  }
  await call("PUT", "/v1/recommend/visitor/consent", { body: { client_id: client_id(), granted } });
  if (granted) localStorage.setItem(CHOICE, "on"); else localStorage.removeItem(CHOICE);
  await feed();
  $("personal-choice")?.focus();
}

function controls(personal) {
  const button = (id, text, click) => h("button", { type: "button", class: "quiet", id, onclick: click }, text);
  if (asked || !usable) return [h("span", {}, "The same for everybody, as your browser asks not to be tracked.")];
  if (!on()) return [h("span", {}, "The same for everybody. "), button("personal-choice", "Make it personal", () => decide(true))];
  return [
    h("span", {}, personal ? "From what you looked at here. " : "Look at a few products, and this list will follow. "),
    button("personal-reset", "Start anew", async () => { await tell("visitor/reset", { client_id: client_id() }); feed(); }),
    button("personal-choice", "Stop and erase", () => decide(false)),
  ];
}

function entry(item) {
  const node = card(item.product, async () => `${item.because}.`, "Why am I seeing this?");
  const kind = KIND[item.source] ?? item.source;
  if (kind) node.querySelector(".brand").prepend(h("span", { class: "kind" }, kind));
  if (on()) {
    const away = h("button", { type: "button", class: "quiet away" }, "Not interested");
    away.setAttribute("aria-label", `Not interested in ${item.product.title}`);
    away.addEventListener("click", async () => {
      await tell("visitor/events", { client_id: client_id(), events: [{ product_id: item.product.id, action: "not_interested" }] });
      feed();
    });
    node.querySelector(".why")?.append(away);
  }
  return node;
}

// Fill the section, or leave it hidden where there is nothing to show.
export async function feed() {
  const context = on() ? { client_id: client_id() } : null;
  const answer = await tell("feed", { size: SIZE, ...(context && { context }) }).catch(() => null);
  if (!answer?.items.length) return;
  $("feed-items").replaceChildren(...answer.items.map(entry));
  $("feed-choice").replaceChildren(...controls(answer.personal));
  $("feed-head").textContent = answer.personal ? "For you" : "From the shop";
  $("feed").hidden = false;
}
