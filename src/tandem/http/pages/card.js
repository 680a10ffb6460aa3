// One product in a grid.
import { art } from "./art.js";
import { count, label, money, productPath, valueText } from "./api.js";
import { h } from "./dom.js";

export function rating(product) {
  if (product.rating === null) return null;
  const stars = h("span", { class: "stars", "aria-hidden": "true" });
  stars.style.setProperty("--share", `${product.rating * 20}%`);
  const many = product.rating_count === null ? "" : `(${count(product.rating_count)})`;
  return h("span", { class: "rating" }, stars,
    h("span", { class: "hidden" }, `Rated ${product.rating} of 5 `), h("b", { "aria-hidden": "true" }, product.rating.toFixed(1)), many);
}

export function price(product) {
  return product.price
    ? h("span", { class: "price" }, money(product.price))
    : h("span", { class: "price unknown" }, "Price not given");
}

// Text properties say most in little room; numbers without their unit say little.
function facts(product) {
  const values = Object.entries(product.attributes)
    .filter(([, v]) => typeof v === "string" && v.length <= 28)
    .slice(0, 3).map(([, v]) => v);
  return values.length ? h("p", { class: "facts", title: Object.entries(product.attributes).slice(0, 3).map(([k, v]) => `${label(k)}: ${valueText(v)}`).join("\n") }, values.join(" · ")) : null;
}

// `why` gives the explanation sentence of a product, when asked for.
export function card(product, why, asked = "Why this result?") {
  const title = h("h3", { dir: "auto", lang: product.language || null },
    h("a", { class: "card-link", href: `/p/${productPath(product.id)}` }, product.title));
  const text = h("div", { class: "card-text" },
    h("p", { class: "brand" }, product.brand || product.category.at(-1) || ""), title, facts(product), rating(product),
    h("div", { class: "card-foot" }, price(product), product.stock === 0 ? h("span", { class: "stock" }, "Out of stock") : null));
  const item = h("article", { class: "card", data: { id: product.id } }, art(product), text);
  if (why) item.append(reason(product, why, asked));
  return h("li", {}, item);
}

function reason(product, why, asked) {
  const said = h("p", { hidden: true });
  const button = h("button", { type: "button", "aria-expanded": "false" }, asked);
  button.setAttribute("aria-label", `${asked} ${product.title}`);
  button.addEventListener("click", async () => {
    const open = said.hidden;
    button.setAttribute("aria-expanded", String(open));
    said.hidden = !open;
    if (open && !said.textContent) {
      said.textContent = "…";
      said.textContent = await why(product.id).catch((error) => error.message);
    }
  });
  return h("div", { class: "why" }, button, said);
}

export function skeletons(n) {
  return Array.from({ length: n }, () => h("li", { "aria-hidden": "true" },
    h("div", { class: "card skeleton-card" }, h("div", { class: "skeleton art" }),
      h("div", { class: "card-text" }, h("div", { class: "skeleton line short" }), h("div", { class: "skeleton line" }),
        h("div", { class: "skeleton line" }), h("div", { class: "skeleton line short" })))));
}
