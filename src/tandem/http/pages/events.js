// What shoppers do, sent to the shop under a random id of this browser: searches, what was seen of
// the results, clicks. Nothing is kept or sent where the browser asks not to be tracked (Do Not
// Track, Global Privacy Control), where the shopper switched it off, or the server takes no events.
import { facts } from "./api.js";
import { $, h } from "./dom.js";

const CHOICE = "tandem.recording"; // "off" when the shopper does not want it
const CLIENT = "tandem.client";
const SESSION = "tandem.session";
const IDLE = 30 * 60 * 1000; // a visit ends after so long without an event
const SETTLED = 1000; // results that stand for so long were meant, not typed through
const EVERY = 2000;
const MOST_AT_ONCE = 50; // sendBeacon takes 64 KiB
const MOST_WAITING = 500;

const asked = navigator.doNotTrack === "1" || navigator.globalPrivacyControl === true;
const usable = (() => { try { localStorage.getItem(CHOICE); return true; } catch { return false; } })();
const recording = () => facts.events && usable && !asked && localStorage.getItem(CHOICE) !== "off";

let waiting = [];
let shown = null; // the search whose results are on the page

const random = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");

function client() {
  if (!localStorage.getItem(CLIENT)) localStorage.setItem(CLIENT, random());
  return localStorage.getItem(CLIENT);
}

// Of a search: the random id by which a running experiment picks its variant; nothing where nothing is recorded.
export const whoAsks = () => (recording() ? { context: { client_id: client() } } : {});

function session() {
  const [id, last] = (sessionStorage.getItem(SESSION) || "").split(" ");
  const current = id && Date.now() - Number(last) < IDLE ? id : random();
  sessionStorage.setItem(SESSION, `${current} ${Date.now()}`);
  return current;
}

function device() {
  if (!matchMedia("(pointer: coarse)").matches) return "desktop";
  return Math.min(screen.width, screen.height) < 600 ? "mobile" : "tablet";
}

function record(kind, values) {
  const language = navigator.language.split("-")[0].toLowerCase();
  return {
    kind, event_id: random(), timestamp: new Date().toISOString(), client_id: client(), session_id: session(),
    user_agent: navigator.userAgent.slice(0, 1000), device: device(), ...(/^[a-z]{2,3}$/.test(language) && { language }), ...values,
  };
}

function add(...records) {
  if (!recording()) return;
  waiting = [...waiting, ...records].slice(-MOST_WAITING);
}

export function flush() {
  if (!recording()) waiting = [];
  while (waiting.length) {
    const batch = waiting.slice(0, MOST_AT_ONCE);
    const body = JSON.stringify({ sent_at: new Date().toISOString(), records: batch });
    // Also when the page is being left; what the browser does not take now is tried again.
    if (!navigator.sendBeacon("/v1/events", new Blob([body], { type: "application/json" }))) return;
    waiting = waiting.slice(batch.length);
  }
}

// --- Searches and what was seen of them -----------------------------------------------------------

// An answer is on the page. `asked` has q and the names of the filters; `waited` is in milliseconds.
export function searched(answer, { q, filters, waited }) {
  clearTimeout(shown?.timer);
  shown = null;
  if (!recording() || !q) return;
  const query = record("query", {
    query_id: answer.query_id, user_query: q, object_ids: answer.hits.map((hit) => hit.product.id),
    total: answer.total, filters, latency_ms: Math.round(waited),
  });
  shown = { query, query_id: answer.query_id, seen: new Map(), settled: false };
  shown.timer = setTimeout(settle, SETTLED);
}

// The search counts from here on, with what was seen so far.
function settle() {
  if (!shown || shown.settled) return;
  clearTimeout(shown.timer);
  shown.settled = true;
  add(shown.query, ...shown.seen.values());
}

const about = (hit) => ({ query_id: shown.query_id, object_id: hit.product.id, position: hit.position });

const seeing = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (!entry.isIntersecting || !shown || !recording()) continue;
    seeing.unobserve(entry.target);
    const hit = hits.get(entry.target);
    if (!hit || shown.query_id !== hit.query_id || shown.seen.has(hit.product.id)) continue;
    const seen = record("event", { action_name: "impression", ...about(hit) });
    shown.seen.set(hit.product.id, seen);
    if (shown.settled) add(seen);
  }
}, { threshold: 0.5 });

const hits = new WeakMap();

// A result is on the page: an impression once half of it was in view, a click when it is opened.
export function watch(element, hit, answer) {
  hits.set(element, { ...hit, query_id: answer.query_id });
  seeing.observe(element);
  element.addEventListener("click", (event) => opened(event, hit, answer));
  element.addEventListener("auxclick", (event) => event.button === 1 && opened(event, hit, answer));
}

function opened(event, hit, answer) {
  if (!event.target.closest(".card-link") || shown?.query_id !== answer.query_id) return;
  settle();
  add(record("event", { action_name: "click", ...about(hit) }));
  flush();
}

// --- The feed: what was seen of it, and what was opened -------------------------------------------

const places = new WeakMap();
const looking = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (!isIntersecting) continue;
    looking.unobserve(target);
    add(record("event", { action_name: "impression", ...places.get(target) }));
  }
}, { threshold: 0.5 });

// An entry of the feed is on the page.
export function listed(element, item, answer) {
  if (!recording()) return;
  const about = { query_id: answer.query_id, object_id: item.video ? item.video.id : item.product.id, position: item.position };
  places.set(element, about);
  looking.observe(element);
  element.addEventListener("click", (event) => {
    if (!event.target.closest(".card-link")) return;
    add(record("event", { action_name: "click", ...about }));
    flush();
  });
  element.addEventListener("watched", ({ detail: seconds }) => {
    const { kind: content, creator_id, duration } = item.video;
    add(record("event", { action_name: "watch", ...about, watch: { content, creator_id, product_ids: [item.product.id], seconds, ...(duration && { duration }) } }));
    flush();
  });
}

// --- The shopper's choice -------------------------------------------------------------------------

function choice() {
  const place = $("recording");
  place.hidden = !facts.events;
  if (asked || !usable) {
    place.textContent = "Searches and clicks are not recorded, as your browser asks.";
    return;
  }
  const on = recording();
  const button = h("button", { type: "button", class: "quiet", id: "recording-choice" }, on ? "Turn off" : "Turn on");
  button.addEventListener("click", () => {
    localStorage.setItem(CHOICE, on ? "off" : "on");
    if (on) {
      localStorage.removeItem(CLIENT);
      sessionStorage.removeItem(SESSION);
      waiting = [];
      shown = null;
    }
    choice();
    $("recording-choice").focus();
  });
  place.replaceChildren(on ? "Searches and clicks are recorded under a random id to improve search. " : "Searches and clicks are not recorded. ", button);
}

choice();
setInterval(flush, EVERY);
addEventListener("pagehide", () => { settle(); flush(); });
document.addEventListener("visibilitychange", () => document.visibilityState === "hidden" && flush());
