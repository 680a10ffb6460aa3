// Filters: what can be chosen, with counts, and what is chosen, as chips.
import { count, facts, isField, label, money, valueText } from "./api.js";
import { $, CROSS, debounce, h, icon } from "./dom.js";

const FEW = 7;
const opened = new Map(); // facet -> open or not, as the shopper left it
const expanded = new Set();

export function emptyFilters() {
  return { values: {}, price_min: "", price_max: "", rating_min: "", in_stock: false };
}

export function chosenCount(filters) {
  return Object.values(filters.values).reduce((n, v) => n + v.length, 0)
    + ["price_min", "price_max", "rating_min", "in_stock"].filter((k) => filters[k]).length;
}

// What is filtered on, without the values, in names that an event may carry.
export function chosenNames(filters) {
  const fields = ["price_min", "price_max", "rating_min", "in_stock"].filter((k) => filters[k]);
  const values = Object.entries(filters.values).filter(([, v]) => v.length).map(([name]) => name);
  return [...values, ...fields].map((name) => (/^[A-Za-z0-9._:/-]{1,128}$/.test(name) ? name : "attribute")).slice(0, 32);
}

// As the API wants them.
export function apiFilters(filters) {
  const sent = { attributes: {} };
  for (const [name, values] of Object.entries(filters.values)) {
    if (!values.length) continue;
    if (isField(name)) sent[name] = values;
    else sent.attributes[name] = values;
  }
  if (filters.price_min) sent.price_min = filters.price_min;
  if (filters.price_max) sent.price_max = filters.price_max;
  if (filters.rating_min) sent.rating_min = Number(filters.rating_min);
  if (filters.in_stock) sent.in_stock = true;
  return sent;
}

export function toggled(filters, name, value) {
  let values = filters.values[name] || [];
  if (values.includes(value)) values = values.filter((v) => v !== value);
  else {
    // A category includes what lies below it, so that one choice replaces its parents and parts.
    if (name === "category") values = values.filter((v) => !value.startsWith(`${v} > `) && !v.startsWith(`${value} > `));
    values = [...values, value];
  }
  return { ...filters, values: { ...filters.values, [name]: values } };
}

const ends = (path) => path.split(" > ").at(-1);
export const shownValue = (name, value) => (name === "category" ? ends(value) : valueText(value));

export function renderChips(filters, change) {
  const chips = [];
  const chip = (text, after) => chips.push(h("button", { type: "button", class: "chip", "aria-label": `Remove filter ${text}`, onclick: () => change(after) }, h("span", { dir: "auto" }, text), icon(CROSS)));
  for (const [name, values] of Object.entries(filters.values)) {
    for (const value of values) chip(`${label(name)}: ${shownValue(name, value)}`, (f) => toggled(f, name, value));
  }
  const priced = (amount) => money({ amount, currency: facts.currency });
  if (filters.price_min || filters.price_max) {
    const text = filters.price_min && filters.price_max ? `${priced(filters.price_min)} to ${priced(filters.price_max)}`
      : filters.price_min ? `From ${priced(filters.price_min)}` : `Up to ${priced(filters.price_max)}`;
    chip(text, (f) => ({ ...f, price_min: "", price_max: "" }));
  }
  if (filters.rating_min) chip(`${filters.rating_min} stars and up`, (f) => ({ ...f, rating_min: "" }));
  if (filters.in_stock) chip("In stock", (f) => ({ ...f, in_stock: false }));
  $("chips").replaceChildren(...chips);
  $("chips").hidden = !chips.length;
}

// `change` takes a function from filters to filters: two quick choices both count, although the
// second is made before the first has been answered.
// `known` says what the catalogue knows of its products: no filter by what it never has.
export function renderFacets(facets, filters, known, change) {
  const focused = document.activeElement?.closest("#facets [data-key]")?.dataset.key;
  const groups = [];
  for (const name of facts.facets) {
    const chosen = filters.values[name] || [];
    // Chosen values come from the address, as text; flags and numbers are compared as such.
    const counts = (facets[name] || []).map((c) => ({ ...c, value: String(c.value) }));
    if (!counts.length && !chosen.length) continue;
    groups.push(group(name, label(name), groups.length < 4 || chosen.length > 0,
      name === "category" ? tree(counts, chosen, filters, change) : list(name, counts, chosen, filters, change)));
  }
  const more = [];
  if (known.price || filters.price_min || filters.price_max) more.push(group("price", "Price", true, [priceRange(filters, change)]));
  if (known.rating || filters.rating_min) more.push(group("rating", "Rating", true, ratings(filters, change)));
  if (known.stock || filters.in_stock) more.push(group("stock", "Availability", true, [option("checkbox", "stock", "stock", "In stock only", null, filters.in_stock, () => change((f) => ({ ...f, in_stock: !f.in_stock })))]));
  groups.splice(Math.min(2, groups.length), 0, ...more);
  $("facets").replaceChildren(...groups);
  if (focused) $("facets").querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
}

function group(name, title, open, body) {
  const node = h("details", { class: "facet", data: { facet: name } }, h("summary", { data: { key: `head:${name}` } }, title), h("div", { class: "facet-body" }, body));
  node.open = opened.get(name) ?? open;
  node.addEventListener("toggle", () => opened.set(name, node.open));
  return node;
}

function option(type, key, name, text, n, checked, toggle, depth = 0) {
  const box = h("input", { type, name: `facet-${name}`, data: { key } });
  box.checked = checked;
  box.addEventListener("change", toggle);
  const node = h("label", { class: n === 0 ? "option none" : "option" }, box, h("span", { class: "label", dir: "auto", title: typeof text === "string" ? text : null }, text),
    n === null ? null : h("span", { class: "n" }, count(n)));
  if (depth) node.style.paddingInlineStart = `${depth * 18}px`;
  return node;
}

function list(name, counts, chosen, filters, change) {
  // A chosen value stays in sight, also when other filters leave nothing of it.
  const missing = chosen.filter((v) => !counts.some((c) => c.value === v)).map((value) => ({ value, count: 0 }));
  const all = [...missing, ...counts];
  const shown = expanded.has(name) ? all : all.filter((c, i) => i < FEW || chosen.includes(c.value));
  const nodes = shown.map((c) => option("checkbox", `${name}:${c.value}`, name, shownValue(name, c.value), c.count, chosen.includes(c.value), () => change((f) => toggled(f, name, c.value))));
  return withMore(name, all.length - shown.length, nodes);
}

function withMore(name, left, nodes) {
  if (left <= 0 && !expanded.has(name)) return nodes;
  const button = h("button", { type: "button", class: "quiet more-values", data: { key: `more:${name}` } }, expanded.has(name) ? "Show fewer" : `Show ${left} more`);
  button.addEventListener("click", () => {
    if (expanded.has(name)) expanded.delete(name);
    else expanded.add(name);
    document.dispatchEvent(new CustomEvent("facets-again"));
  });
  return [...nodes, button];
}

// Paths as a tree: the top levels, and below them what leads to a choice.
function tree(counts, chosen, filters, change) {
  const all = new Map(counts.map((c) => [c.value, c.count]));
  for (const value of chosen) if (!all.has(value)) all.set(value, 0);
  const paths = [...all.keys()];
  const parent = (path) => { const above = path.split(" > ").slice(0, -1).join(" > "); return all.has(above) ? above : null; };
  const below = (path) => paths.filter((p) => parent(p) === path);
  let roots = below(null);
  const onWay = (path) => chosen.some((c) => c === path || c.startsWith(`${path} > `));
  const nodes = [];
  const visit = (path, depth) => {
    nodes.push(option("checkbox", `category:${path}`, "category", ends(path), all.get(path), chosen.includes(path), () => change((f) => toggled(f, "category", path)), depth));
    if (onWay(path) || roots.length === 1) for (const child of below(path)) visit(child, depth + 1);
  };
  const left = expanded.has("category") ? 0 : Math.max(0, roots.length - FEW);
  if (left) roots = roots.filter((r, i) => i < FEW || onWay(r));
  for (const root of roots) visit(root, 0);
  return withMore("category", left, nodes);
}

function priceRange(filters, change) {
  const field = (key, text) => {
    const input = h("input", { type: "text", inputmode: "decimal", "aria-label": text, placeholder: text.split(" ")[0], data: { key: `price:${key}` } });
    input.value = filters[key];
    input.addEventListener("input", debounce(450, () => {
      const value = input.value.trim().replace(",", ".");
      if (value === "" || /^\d{1,12}(\.\d{1,2})?$/.test(value)) change((f) => ({ ...f, [key]: value }));
    }));
    return input;
  };
  return h("div", { class: "range" }, field("price_min", `Min price in ${facts.currency}`), h("span", { "aria-hidden": "true" }, "–"), field("price_max", `Max price in ${facts.currency}`));
}

function ratings(filters, change) {
  return ["4", "3", "2", ""].map((value) => {
    const stars = h("span", { class: "stars", "aria-hidden": "true" });
    stars.style.setProperty("--share", `${value * 20}%`);
    const text = value ? h("span", { class: "stars-row" }, stars, h("span", {}, "& up"), h("span", { class: "hidden" }, `${value} stars and up`)) : "Any rating";
    return option("radio", `rating:${value}`, "rating", text, null, filters.rating_min === value, () => change((f) => ({ ...f, rating_min: value })));
  });
}
