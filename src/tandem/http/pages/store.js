// The storefront: what is shown is a function of the address, so that links and Back just work.
import { count, facts, isField, milliseconds, search } from "./api.js";
import { card, skeletons } from "./card.js";
import { $, debounce, h, svg } from "./dom.js";
import { searched, watch, whoAsks } from "./events.js";
import { apiFilters, chosenCount, chosenNames, emptyFilters, renderChips, renderFacets, toggled } from "./facets.js";
import { away, button, context, feed, on, reset } from "./personal.js";
import { searchBox } from "./searchbox.js";

const SIZE = 24;
const DEEPEST = 10000;
const SORTS = ["relevance", "price_asc", "price_desc", "rating", "newest"];
let state = fromAddress();
let last = null; // the answer that is shown
let asking = null;
const known = { price: false, rating: false, stock: false }; // seen on any product so far

// --- Address ------------------------------------------------------------------------------------

function fromAddress() {
  const p = new URLSearchParams(location.search);
  const filters = emptyFilters();
  for (const [key, value] of p) {
    const name = isField(key) ? key : key.startsWith("a.") ? key.slice(2) : null;
    if (name) (filters.values[name] ||= []).push(value);
  }
  for (const key of ["price_min", "price_max"]) if (/^\d{1,12}(\.\d{1,2})?$/.test(p.get(key) || "")) filters[key] = p.get(key);
  if (/^[1-4]$/.test(p.get("rating_min") || "")) filters.rating_min = p.get("rating_min");
  filters.in_stock = p.get("in_stock") === "1";
  const page = Math.min(Math.max(1, Number.parseInt(p.get("page"), 10) || 1), Math.floor(DEEPEST / SIZE));
  return { q: (p.get("q") || "").slice(0, 512), filters, sort: SORTS.includes(p.get("sort")) ? p.get("sort") : "relevance", page, exact: p.get("exact") === "1", plain: p.get("plain") === "1" };
}

function address(s) {
  const p = new URLSearchParams();
  if (s.q) p.set("q", s.q);
  for (const [name, values] of Object.entries(s.filters.values)) for (const v of values) p.append(isField(name) ? name : `a.${name}`, v);
  for (const key of ["price_min", "price_max", "rating_min"]) if (s.filters[key]) p.set(key, s.filters[key]);
  if (s.filters.in_stock) p.set("in_stock", "1");
  if (s.sort !== "relevance") p.set("sort", s.sort);
  if (s.page > 1) p.set("page", s.page);
  if (s.exact) p.set("exact", "1");
  if (s.plain) p.set("plain", "1"); // everybody's order, where the shopper has an own one
  const text = p.toString();
  return text ? `/?${text}` : "/";
}

// A finished step is a step back; single letters while typing are not.
function go(change, { replace = false, top = false } = {}) {
  const next = { ...state, page: 1, ...change };
  if ("q" in change && change.q !== state.q) next.exact = change.exact || false;
  const same = address(next) === address(state);
  state = next;
  if (!same) history[replace ? "replaceState" : "pushState"](null, "", address(state));
  show({ top });
}

addEventListener("popstate", () => { state = fromAddress(); box.set(state.q); show(); });

// --- Search -------------------------------------------------------------------------------------

function request(explain = false) {
  const who = { ...whoAsks().context, ...context().context };
  return { q: state.q, filters: apiFilters(state.filters), facets: facts.facets.slice(0, 16), sort: state.sort, page: state.page, size: SIZE, rewrite: !state.exact, ...(who.client_id && { context: { ...who, ...(state.plain && { personal: false }) } }), ...(explain && { explain, facets: [] }) };
}

async function show({ top = false } = {}) {
  asking?.abort();
  const mine = (asking = new AbortController());
  document.title = state.q ? `${state.q} · ${facts.name}` : facts.name;
  $("sort").value = state.sort;
  if (top) scrollTo({ top: 0 });
  // A skeleton only where nothing is shown yet; otherwise the old results wait, dimmed.
  if (!last) $("hits").replaceChildren(...skeletons(12));
  const dim = setTimeout(() => $("hits").classList.add("waiting"), 150);
  try {
    const started = performance.now();
    const answer = await search(request(), mine.signal);
    if (asking !== mine) return;
    last = answer;
    searched(answer, { q: state.q, filters: chosenNames(state.filters), waited: performance.now() - started });
    render(answer);
  } catch (error) {
    if (error.name === "AbortError" || asking !== mine) return;
    fail(error);
  } finally {
    clearTimeout(dim);
    if (asking === mine) $("hits").classList.remove("waiting");
  }
}

function fail(error) {
  last = null;
  $("hits").replaceChildren();
  $("pages").hidden = $("empty").hidden = true;
  $("count").textContent = "Search is not available right now";
  $("notices").replaceChildren(h("div", { class: "notice bad", role: "alert" }, `${error.message}. ${error.remedy || ""}`, h("a", { href: address(state) }, "Try again")));
}

function render(answer) {
  const home = !state.q && !chosenCount(state.filters) && state.page === 1;
  $("hero").hidden = !home;
  if (home) ideas($("ideas"), answer.facets);
  if (!home) $("feed").hidden = true;
  else if ($("feed").hidden) feed();
  heading(answer, home);
  notices(answer);
  renderChips(state.filters, change);
  for (const { product } of answer.hits) for (const name in known) known[name] ||= product[name] !== null;
  renderFacets(answer.facets, state.filters, known, change);
  const chosen = chosenCount(state.filters);
  $("clear-all").hidden = !chosen;
  $("filter-count").textContent = chosen ? ` (${chosen})` : "";
  $("show-results").textContent = `Show ${count(answer.total)} results`;
  const why = explainer();
  const cards = answer.hits.map((hit) => away(card(hit.product, state.q ? why : null, hit.because ? "Why am I seeing this?" : undefined), hit.product, show));
  $("hits").replaceChildren(...cards);
  cards.forEach((item, i) => watch(item, answer.hits[i], answer));
  $("hits").start = answer.hits[0]?.position ?? 1;
  empty(answer);
  pages(answer);
}

function heading(answer, home) {
  const n = count(answer.total);
  const results = answer.total === 1 ? "result" : "results";
  const took = milliseconds(answer);
  const related = answer.related && answer.hits.length ? ` and ${count(answer.related)} related` : "";
  const asked = answer.understanding.corrected || state.q;
  $("count").replaceChildren(home ? `All ${n} products` : asked ? `${n} ${results} for “${asked}”` : `${n} ${answer.total === 1 ? "product" : "products"}`,
    h("small", {}, `${related} · ${took < 10 ? took.toFixed(1) : Math.round(took)} ms`));
  say(answer.total || answer.hits.length ? `${n} ${results}${related}` : "No results");
}

const say = debounce(500, (text) => { $("live").textContent = text; });

function notices(answer) {
  const u = answer.understanding;
  const link = (text, change) => h("a", { href: address({ ...state, page: 1, ...change }), onclick: (event) => { event.preventDefault(); go(change, { top: true }); box.set(state.q); } }, text);
  const found = [];
  if (u.corrected && !state.exact) {
    found.push(h("p", { class: "notice", id: "corrected" }, h("span", {}, "Showing results for ", h("strong", {}, u.corrected), "."), h("span", {}, "Search instead for ", link(state.q, { exact: true }))));
  } else if (u.suggestion) {
    found.push(h("p", { class: "notice", id: "did-you-mean" }, h("span", {}, "Did you mean ", link(u.suggestion, { q: u.suggestion }), "?")));
  }
  const read = u.intents.filter((i) => i.hard && i.text);
  if (read.length && !state.exact) {
    found.push(h("p", { class: "notice", id: "understood" }, h("span", {}, "Understood as a filter: ", h("strong", {}, read.map((i) => i.text).join(", ")), "."), link("Search for the words only", { exact: true })));
  }
  if (answer.relaxed && answer.hits.length) found.push(h("p", { class: "notice warm", id: "relaxed" }, h("span", {}, sentence(answer.relaxed))));
  if (answer.personal) {
    found.push(h("p", { class: "notice", id: "personal" }, h("span", {}, "In your own order, from what you looked at here."), link("Show everybody’s order", { plain: true }),
      button("personal-again", "Start anew", async () => { await reset(); show(); }), h("a", { href: "/you" }, "Your data")));
  } else if (state.plain && on()) {
    found.push(h("p", { class: "notice", id: "personal" }, h("span", {}, "In everybody’s order."), link("Show my own", { plain: false })));
  }
  $("notices").replaceChildren(...found);
}

function sentence(text) {
  const start = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(start) ? start : `${start}.`;
}

// Explanations cost something and few are read: all of a page are fetched when the first is opened.
function explainer() {
  let answers = null;
  return async (id) => {
    answers ||= search(request(true)).catch((error) => { answers = null; throw error; });
    const hit = (await answers).hits.find((x) => x.product.id === id);
    if (!hit) return "The order has changed since; search again.";
    return [hit.because, hit.explanation?.sentence].filter(Boolean).join(" ");
  };
}

function ideas(place, facets) {
  const top = (name, n) => (facets[name] || []).filter((c) => !String(c.value).includes(" > ")).slice(0, n).map((c) => [name, c]);
  const chosen = [...top("category", 6), ...top("brand", 5)];
  place.replaceChildren(...chosen.map(([name, c]) => {
    const filters = toggled(emptyFilters(), name, c.value);
    return h("a", { class: "idea", href: address({ ...state, q: "", filters, page: 1, exact: false }), onclick: (event) => { event.preventDefault(); go({ q: "", filters }, { top: true }); box.set(""); } },
      c.value, h("small", {}, count(c.count)));
  }));
}

async function empty(answer) {
  const place = $("empty");
  place.hidden = answer.hits.length > 0;
  if (!place.hidden) {
    const chosen = chosenCount(state.filters);
    const beyond = answer.total > 0;
    const offered = h("div", { class: "ideas" });
    place.replaceChildren(
      svg("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" }, svg("circle", { cx: 10.5, cy: 10.5, r: 6.5 }), svg("path", { d: "m15.500 15.500 5 5M8 10.500h5" })),
      h("h3", {}, beyond ? "There is no such page" : !state.q ? "Nothing matches these filters" : chosen ? `Nothing matches “${state.q}” with these filters` : `Nothing matches “${state.q}”`),
      h("ul", {}, [chosen ? "Remove a filter" : null, state.q ? "Check the spelling, or use fewer or more general words" : null, "Look through what the shop has:"].filter(Boolean).map((t) => h("li", {}, t))),
      h("p", {}, chosen ? h("button", { type: "button", class: "primary", onclick: () => go({ filters: emptyFilters() }) }, "Clear all filters") : null), offered);
    const shop = await search({ q: "", facets: ["category", "brand"].filter((f) => facts.facets.includes(f)), size: 1 }).catch(() => null);
    if (shop && last === answer) ideas(offered, shop.facets);
  }
}

function pages(answer) {
  const all = Math.min(Math.ceil((answer.total + answer.related) / SIZE), Math.floor(DEEPEST / SIZE));
  const place = $("pages");
  place.hidden = all < 2 || !answer.hits.length;
  if (place.hidden) return;
  const wanted = [...new Set([1, 2, state.page - 1, state.page, state.page + 1, all])].filter((p) => p >= 1 && p <= all).sort((a, b) => a - b);
  const link = (page, text, name) => h("a", { href: address({ ...state, page }), "aria-label": name, "aria-current": page === state.page && text === String(page) ? "page" : null, onclick: (event) => { event.preventDefault(); go({ page }, { top: true }); $("results").focus({ preventScroll: true }); } }, text);
  const nodes = [];
  if (state.page > 1) nodes.push(link(state.page - 1, "‹", "Previous page"));
  wanted.forEach((page, i) => {
    if (i && page > wanted[i - 1] + 1) nodes.push(h("span", { "aria-hidden": "true" }, "…"));
    nodes.push(link(page, String(page), `Page ${page}`));
  });
  if (state.page < all) nodes.push(link(state.page + 1, "›", "Next page"));
  place.replaceChildren(...nodes);
}

const change = (update) => go({ filters: update(state.filters) });

// --- Controls -----------------------------------------------------------------------------------

const box = searchBox({
  typed: debounce(130, (text) => { if (text.trim() !== state.q) go({ q: text.trim() }, { replace: Boolean(state.q) }); }),
  chosen: (text) => go({ q: text.trim() }, { top: true }),
  picked: (kind, text) => { go({ q: "", filters: toggled(emptyFilters(), kind, text) }, { top: true }); box.set(""); $("q").value = ""; },
});
$("sort").addEventListener("change", () => go({ sort: $("sort").value }));
$("clear-all").addEventListener("click", () => go({ filters: emptyFilters() }));
document.addEventListener("facets-again", () => last && renderFacets(last.facets, state.filters, known, change));
document.querySelector(".mark").addEventListener("click", (event) => {
  if (event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  go({ q: "", filters: emptyFilters(), sort: "relevance" }, { top: true });
  $("q").value = "";
  box.set("");
});

// Filters as a sheet on a phone.
function sheet(open) {
  document.documentElement.classList.toggle("filters-open", open);
  $("open-filters").setAttribute("aria-expanded", String(open));
  $(open ? "close-filters" : "open-filters").focus();
}
$("open-filters").addEventListener("click", () => sheet(true));
$("close-filters").addEventListener("click", () => sheet(false));
$("show-results").addEventListener("click", () => sheet(false));
document.addEventListener("keydown", (event) => { if (event.key === "Escape" && document.documentElement.classList.contains("filters-open")) sheet(false); });

// Arrows walk over the results.
$("hits").addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step || !event.target.matches(".card-link")) return;
  const links = [...$("hits").querySelectorAll(".card-link")];
  links[links.indexOf(event.target) + step]?.focus();
});

box.set(state.q);
show();
