// A field that finds products while one types, worked by arrows, Escape and the pointer.
import { debounce, h } from "./dom.js";

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
