// A field that finds products while one types, worked by arrows, Escape and the pointer.
import { call, productPath } from "./api.js";
import { CROSS, debounce, h, icon } from "./dom.js";

// `find` gives products for a text, given a signal; `pick` gets the one that was chosen from `list`.
export function picker(input, list, find, pick) {
  let asking = null;
  let settled = false;

  const close = () => {
    list.hidden = true;
    input.setAttribute("aria-expanded", "false");
  };

  const choose = (product) => {
    settled = true;
    close();
    pick(product);
  };

  const offer = debounce(160, async () => {
    const text = input.value.trim();
    if (!text || settled) return close();
    asking?.abort();
    const mine = (asking = new AbortController());
    try {
      const found = await find(text, mine.signal);
      if (asking !== mine || settled) return;
      list.replaceChildren(...found.map((product) =>
        h("button", { type: "button", role: "option", onclick: () => choose(product) }, product.title,
          h("small", {}, [product.merchant || product.brand, product.id].filter(Boolean).join(" · ")))));
      list.hidden = !found.length;
      input.setAttribute("aria-expanded", String(!list.hidden));
    } catch (error) {
      if (error.name !== "AbortError") close();
    }
  });

  input.addEventListener("input", () => { settled = false; offer(); });
  input.addEventListener("keydown", (event) => {
    if (event.key === "Escape") close();
    if (event.key === "ArrowDown" && !list.hidden) { event.preventDefault(); list.querySelector("button")?.focus(); }
  });
  list.addEventListener("keydown", (event) => {
    const at = document.activeElement;
    if (event.key === "ArrowDown") { event.preventDefault(); at.nextElementSibling?.focus(); }
    if (event.key === "ArrowUp") { event.preventDefault(); (at.previousElementSibling || input).focus(); }
    if (event.key === "Escape") { close(); input.focus(); }
  });
  document.addEventListener("click", (event) => { if (!event.target.closest(".field")?.contains(input)) close(); });
  return { close: () => { settled = true; close(); } };
}

// A field for one product, found by its name; `id` is what was chosen, or typed.
export function chooser(input, list, find, then = () => {}) {
  let chosen = null;
  const take = (product) => { chosen = product; input.value = product.title; };
  const { close } = picker(input, list, find, (product) => { take(product); then(product); });
  input.addEventListener("input", () => { chosen = null; });
  return { close, take, chosen: () => chosen, id: () => chosen?.id || input.value.trim() };
}

// A field for several products, shown as they are chosen. What was typed and not chosen is taken as
// an id, or several with commas between. `failed` gets what went wrong with these.
export function several(input, list, shown, find, { most = 50, added = () => {}, failed = () => {} } = {}) {
  let chosen = [];

  const draw = () => shown.replaceChildren(...chosen.map((p) => {
    const button = h("button", { type: "button", class: "drop", onclick: () => { chosen = chosen.filter((x) => x !== p); draw(); input.focus(); } }, icon(CROSS));
    button.setAttribute("aria-label", `Leave out ${p.title}`);
    return h("li", {}, h("span", { dir: "auto" }, p.title), button);
  }));

  const add = (product) => {
    input.value = "";
    if (chosen.length < most && !chosen.some((p) => p.id === product.id)) chosen.push(product);
    added(product);
    draw();
    input.focus();
  };
  const { close } = picker(input, list, find, add);

  const typed = async () => {
    close();
    const ids = input.value.split(",").map((id) => id.trim()).filter(Boolean);
    for (const id of ids) add((await call("GET", `/v1/products/${productPath(id)}`)).product);
  };
  const addTyped = () => typed().catch(failed);
  input.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    addTyped();
  });
  return {
    addTyped,
    ids: async () => { await typed(); return chosen.map((p) => p.id); },
    set: (products) => { chosen = [...products]; draw(); },
  };
}
