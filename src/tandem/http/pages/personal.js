// The shopper's own lists. Nothing about a shopper is kept before the shopper says so, and one
// button ends it: then the shop erases what it kept, and every list is everybody's again.
import { call } from "./api.js";
import { art } from "./art.js";
import { card } from "./card.js";
import { $, h, svg } from "./dom.js";
import { listed, whoAsks } from "./events.js";

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
  const kind = item.video ? clip(node, item) : KIND[item.source] ?? item.source;
  if (kind) node.querySelector(".brand").prepend(h("span", { class: "kind" }, kind));
  return away(node, item.product, after);
}

// What is told of a video: that it was made up, that it is paid for, and what its creator says.
function clip(node, item) {
  const { video } = item;
  const long = video.duration === null ? "" : ` ${Math.floor(video.duration / 60)}:${String(Math.round(video.duration % 60)).padStart(2, "0")}`;
  node.querySelector(".card").classList.add("clip");
  const playable = video.media_url && !video.simulated;
  const mark = svg("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" }, svg("path", { d: "M8 5.500v13l10.500-6.500z" }));
  const name = `${video.simulated ? "Simulated video" : video.kind === "live" ? "Live" : playable ? "Play" : "Video"}${long}`;
  const pill = playable
    ? h("button", { type: "button", class: "play", "aria-label": `Play the video about ${item.product.title}`, onclick: () => play(node, item) }, mark, name)
    : h("span", { class: "play" }, mark, name);
  node.querySelector(".art").after(pill);
  const paid = video.paid ? h("strong", {}, "Paid partnership. ") : null;
  if (video.caption || paid) node.querySelector("h3").after(h("p", { class: "said", dir: "auto" }, paid, video.caption));
  return "";
}

// The player comes when it is asked for: nothing is fetched from where the video lies before that.
// What was watched is told to the list (`watched`, with seconds) whenever it stops.
function play(node, item) {
  const { video, product } = item;
  const player = h("video", { class: "art", src: video.media_url, controls: true, playsinline: true, preload: "none" });
  player.setAttribute("aria-label", video.caption ? `Video: ${video.caption}` : `Video about ${product.title}`);
  let at = 0, seconds = 0, told = 0;
  const tell = () => {
    if (seconds <= told) return;
    told = seconds;
    node.dispatchEvent(new CustomEvent("watched", { detail: Math.round(seconds * 10) / 10 }));
  };
  player.addEventListener("timeupdate", () => { // jumps are not watched
    const passed = player.currentTime - at;
    if (passed > 0 && passed < 2) seconds += passed;
    at = player.currentTime;
  });
  for (const end of ["pause", "ended"]) player.addEventListener(end, tell);
  addEventListener("pagehide", tell);
  player.addEventListener("error", () => { player.replaceWith(art(product), h("p", { class: "unplayed", role: "status" }, "This video cannot be played.")); });
  node.querySelector(".play").remove();
  node.querySelector(".art").replaceWith(player);
  player.focus();
  player.play().catch(() => {}); // the browser may want another click
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

// What a shopper can do about any list: see everybody's, start anew, have it personal or not, and
// see what is kept. `list`: its id, whether it is `plain` (everybody's for once), what is `said` of it
// where it is the shopper's own, and `show(plain)`, which shows it again.
export function tools({ id, plain, said, show }) {
  if (unwatched || !usable) return [h("span", {}, "The same for everybody, as your browser asks not to be tracked.")];
  const again = async (name, next) => { await show(next); $(`${id}-${name}`)?.focus(); };
  const change = async (granted) => { await decide(granted); await again("choice", false); };
  if (!on()) return [h("span", {}, "The same for everybody. "), button(`${id}-choice`, "Make it personal", () => change(true))];
  return [
    h("span", {}, plain ? "The same for everybody. " : said),
    button(`${id}-plain`, plain ? "Show mine" : "Show everybody’s", () => again("plain", !plain)),
    button(`${id}-reset`, "Start anew", async () => { await reset(); await again("reset", plain); }),
    button(`${id}-choice`, "Stop and erase", () => change(false)),
    h("a", { class: "quiet", href: "/you" }, "Your data"),
  ];
}

// Fill the section, or leave it hidden where there is nothing to show.
export async function feed(plain = false) {
  // Who is recorded is named also where the list is everybody's: a slot may try something there.
  const who = { ...whoAsks().context, ...(plain ? {} : context().context) };
  const answer = await tell("feed", { size: SIZE, ...(who.client_id && { context: { ...who, personal: on() && !plain } }) }).catch(() => null);
  if (!answer?.items.length) return;
  const cards = answer.items.map((item) => entry(item, () => feed(plain)));
  $("feed-items").replaceChildren(...cards);
  if (on() && !plain) for (const one of cards) seeing.observe(one.querySelector(".card"));
  cards.forEach((one, i) => listed(one, answer.items[i], answer));
  const said = answer.personal ? "From what you looked at here. " : "Look at a few products, and this list will follow. ";
  $("feed-choice").replaceChildren(...tools({ id: "personal", plain, said, show: feed }));
  $("feed-head").textContent = answer.personal ? "For you" : "From the shop";
  $("feed").hidden = false;
}
