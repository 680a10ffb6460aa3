// One product.
import { call, label, productPath, valueText } from "./api.js";
import { art } from "./art.js";
import { price, rating } from "./card.js";
import { $, h } from "./dom.js";
import "./events.js"; // the shopper's choice in the foot of the page
import { context, entry, tell, tools, viewed } from "./personal.js";
import { searchBox } from "./searchbox.js";

const FEW = 14; // properties shown at first
const ALIKE = 5;
const store = (parameters) => `/?${new URLSearchParams(parameters)}`;
const box = searchBox({
  chosen: (text) => location.assign(text.trim() ? store({ q: text.trim() }) : "/"),
  picked: (kind, text) => location.assign(store({ [kind]: text })),
});
box.set("");

// Back to the very list that the shopper came from, where there is one.
if (document.referrer.startsWith(`${location.origin}/?`) && history.length > 1) {
  $("back").textContent = "← Back to results";
  $("back").addEventListener("click", (event) => { event.preventDefault(); history.back(); });
}

const id = decodeURIComponent(location.pathname.slice("/p/".length));

async function show() {
  const place = $("product");
  try {
    const { product } = await call("GET", `/v1/products/${productPath(id)}`);
    document.title = `${product.title} · ${document.title}`;
    place.replaceChildren(h("div", { class: "product-art" }, art(product)), text(product));
    beside(product);
    viewed(product.id);
  } catch (error) {
    place.replaceChildren(h("div", { class: "product-text" }, h("h1", {}, error.status === 404 ? "This product is not here" : "The product cannot be shown"),
      h("p", {}, error.status === 404 ? "It may have been removed. Search for something like it." : `${error.message}. ${error.remedy}`)));
  } finally {
    place.removeAttribute("aria-busy");
  }
}

function text(product) {
  const crumbs = product.category.map((name, i) => h("li", {}, h("a", { href: store({ category: product.category.slice(0, i + 1).join(" > ") }) }, name)));
  const stock = product.stock === null ? null : product.stock === 0 ? h("p", { class: "out" }, "Out of stock") : h("p", { class: "in" }, "In stock");
  const attributes = Object.entries(product.attributes).sort(([a], [b]) => a.localeCompare(b));
  const seller = product.merchant && product.merchant !== product.brand ? h("span", {}, " · sold by ", h("a", { href: store({ merchant: product.merchant }) }, product.merchant)) : null;
  return h("div", { class: "product-text" },
    crumbs.length ? h("nav", { "aria-label": "Category" }, h("ol", { class: "crumbs" }, crumbs)) : null,
    h("h1", { dir: "auto", lang: product.language, class: product.title.length > 90 ? "long" : null }, product.title),
    product.brand ? h("p", { class: "by" }, "By ", h("a", { href: store({ brand: product.brand }) }, product.brand), seller) : null,
    rating(product), h("p", {}, price(product)), stock,
    product.description ? h("h2", {}, "About this product") : null, description(product),
    attributes.length ? h("h2", {}, "Properties") : null, ...properties(attributes),
    h("p", { class: "muted" }, `Product ${product.id}`));
}

function properties(attributes) {
  if (!attributes.length) return [];
  const terms = (some) => some.flatMap(([name, value]) => [h("dt", {}, label(name)), h("dd", { dir: "auto" }, valueText(value))]);
  const list = h("dl", { class: "properties" }, terms(attributes.slice(0, FEW)));
  if (attributes.length <= FEW + 2) { list.append(...terms(attributes.slice(FEW))); return [list]; }
  const all = h("button", { type: "button", class: "quiet" }, `Show all ${attributes.length} properties`);
  all.addEventListener("click", () => { list.append(...terms(attributes.slice(FEW))); all.remove(); list.tabIndex = -1; list.focus(); });
  return [list, h("p", {}, all)];
}

function description(product) {
  const lines = product.description.split(/\n+/).map((line) => line.trim()).filter(Boolean);
  if (lines.length < 2) return lines.length ? h("p", { class: "description", dir: "auto" }, lines[0]) : null;
  return h("ul", { class: "description", dir: "auto" }, lines.map((line) => h("li", {}, line)));
}

// A row of recommended products; without any there is no row. plain: everybody's, for once.
async function row(section, list, kind, product_id, plain = false) {
  const show = (next) => row(section, list, kind, product_id, next);
  const { items } = await tell(kind, { product_id, size: ALIKE, ...(plain ? {} : context()) }).catch(() => ({ items: [] }));
  $(list).replaceChildren(...items.map((item) => entry(item, () => show(plain))));
  $(`${section}-choice`).replaceChildren(...tools({ id: kind, plain, said: "Without what you do not want to see. ", show }));
  $(section).hidden = !items.length;
}

const beside = (product) => Promise.all([["more", "similar", "similar"], ["with", "along", "complementary"]].map(
  ([section, list, kind]) => row(section, list, kind, product.id)));

show();
