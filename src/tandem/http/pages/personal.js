// The shopper's own lists. Nothing about a shopper is kept before the shopper says so, and one
// button ends it: then the shop erases what it kept, and every list is everybody's again.
import { call } from "./api.js";
import { card } from "./card.js";
import { $, h, svg } from "./dom.js";
import { listed } from "./events.js";

const CHOICE = "tandem.personal"; // "on" when the shopper asked for it
const CLIENT = "tandem.client"; // one random id of this browser, the one that events go by
const SIZE = 10;
const LOOKED = 1000; // a card in view for so long was shown
const KIND = { content: "Similar", sessions: "From your visit", network: "From your visit", baskets: "Goes with", popularity: "Popular", rating: "Rated best", catalogue: "", exploration: "Try this" };

export const unwatched = navigator.doNotTrack === "1" || navigator.globalPrivacyControl === true;
export const usable = (() => { try { localStorage.getItem(CHOICE); return true; } catch { return false; } })();
export const on = () => Boolean(usable && !unwatched && localStorage.getItem(CHOICE) === "on" && localStorage.getItem(CLIENT));
export const client_id = () => localStorage.getItem(CLIENT);
export const tell = (path, body) => call("POST", `/v1/recommend/${path}`, { body });
// Who asks, for a search or a list; nothing where the shopper has not said so.
export const context = () => (on() ? { context: { client_id: client_id() } } : {});

const noted = (product_id, action) => tell("visitor/events", { client_id: client_id(), events: [{ product_id, action }] });

// A product page was opened.
export function viewed(product_id) {
  if (on()) noted(product_id, "view").catch(() => {});
}

export async function decide(granted) {
  if (granted && !client_id()) {
    localStorage.setItem(CLIENT, Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join(""));
  }
  await call("PUT", "/v1/recommend/visitor/consent", { body: { client_id: client_id(), granted } });
  if (granted) localStorage.setItem(CHOICE, "on"); else localStorage.removeItem(CHOICE);
}

export const reset = () => tell("visitor/reset", { client_id: client_id() });

export const button = (id, text, click) => h("button", { type: "button", class: "quiet", id, onclick: click }, text);

// "Not interested" in the foot of a card; `after` shows the list again.
export function away(node, product, after) {
  if (!on()) return node;
  const no = h("button", { type: "button", class: "quiet away" }, "Not interested");
  no.setAttribute("aria-label", `Not interested in ${product.title}`);
  no.addEventListener("click", async () => { await noted(product.id, "not_interested"); after(); });
  node.querySelector(".why")?.append(no);
  return node;
}

// A recommended product, or a video about it: where it is from, why it is here, and a way to be rid
// of it.
export function entry(item, after) {
  const node = card(item.product, async () => `${item.because}.`, "Why am I seeing this?");
  const kind = item.video ? clip(node, item.video) : KIND[item.source] ?? item.source;
  if (kind) node.querySelector(".brand").prepend(h("span", { class: "kind" }, kind));
  return away(node, item.product, after);
}

// What is told of a video: that it was made up, that it is paid for, and what its creator says.
function clip(node, video) {
  const long = video.duration === null ? "" : ` ${Math.floor(video.duration / 60)}:${String(Math.round(video.duration % 60)).padStart(2, "0")}`;
  node.querySelector(".card").classList.add("clip");
  node.querySelector(".art").after(h("span", { class: "play" }, svg("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" }, svg("path", { d: "M8 5.500v13l10.500-6.500z" })),
    `${video.simulated ? "Simulated video" : video.kind === "live" ? "Live" : "Video"}${long}`));
  const paid = video.paid ? h("strong", {}, "Paid partnership. ") : null;
  if (video.caption || paid) node.querySelector("h3").after(h("p", { class: "said", dir: "auto" }, paid, video.caption));
  return "";
}

// --- What was shown and not opened goes down: counted for those who allow it ----------------------

const waiting = new Map(); // card → timer
let seen = [];
const seeing = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    clearTimeout(waiting.get(target));
    waiting.delete(target);
    if (isIntersecting) waiting.set(target, setTimeout(() => { seeing.unobserve(target); shown(target.dataset.id); }, LOOKED));
  }
}, { threshold: 0.5 });

function shown(product_id) {
  seen.push({ product_id, action: "impression" });
  if (seen.length === 1) setTimeout(() => { if (on()) tell("visitor/events", { client_id: client_id(), events: seen.slice(0, 50) }).catch(() => {}); seen = []; }, LOOKED);
}

// --- The feed of the home page ---------------------------------------------------------------------

async function change(granted) {
  await decide(granted);
  await feed();
  $("personal-choice")?.focus();
}

let everybodys = false; // the shopper wants to see the list of everybody for once

function controls(personal) {
  if (unwatched || !usable) return [h("span", {}, "The same for everybody, as your browser asks not to be tracked.")];
  if (!on()) return [h("span", {}, "The same for everybody. "), button("personal-choice", "Make it personal", () => change(true))];
  const other = button("personal-plain", everybodys ? "Show mine" : "Show everybody’s", async () => { everybodys = !everybodys; await feed(); $("personal-plain")?.focus(); });
  return [
    h("span", {}, everybodys ? "The same for everybody. " : personal ? "From what you looked at here. " : "Look at a few products, and this list will follow. "),
    other,
    button("personal-reset", "Start anew", async () => { await reset(); feed(); }),
    button("personal-choice", "Stop and erase", () => change(false)),
    h("a", { class: "quiet", href: "/you" }, "Your data"),
  ];
}

// Fill the section, or leave it hidden where there is nothing to show.
export async function feed() {
  const answer = await tell("feed", { size: SIZE, ...(everybodys ? {} : context()) }).catch(() => null);
  if (!answer?.items.length) return;
  const cards = answer.items.map((item) => entry(item, feed));
  $("feed-items").replaceChildren(...cards);
  if (on() && !everybodys) for (const one of cards) seeing.observe(one.querySelector(".card"));
  cards.forEach((one, i) => listed(one, answer.items[i], answer));
  $("feed-choice").replaceChildren(...controls(answer.personal));
  $("feed-head").textContent = answer.personal ? "For you" : "From the shop";
  $("feed").hidden = false;
}
