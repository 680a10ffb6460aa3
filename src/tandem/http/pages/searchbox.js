// The search box with completions: the combobox pattern of the ARIA Authoring Practices Guide.
import { productPath, suggest } from "./api.js";
import { $, debounce, h, icon } from "./dom.js";

const ICONS = {
  query: "M11 4.500a6.500 6.500 0 1 1 0 13 6.500 6.500 0 0 1 0-13M16 16l4.500 4.500",
  category: "M4 5h7v6H4zM13 5h7v6h-7zM4 13h7v6H4zM13 13h7v6h-7z",
  brand: "M4 4h8l8.500 8.500-8 8L4 12zM8 8v.01",
  product: "M4 8l8-4 8 4v8l-8 4-8-4zM4 8l8 4 8-4M12 12v8",
};
const KINDS = { query: "", category: "Category", brand: "Brand", product: "Product" };

// typed(text): while typing; chosen(text): Enter or a completion; picked(kind, text): a facet.
export function searchBox({ typed = () => {}, chosen, picked }) {
  const input = $("q");
  const form = input.form;
  const list = $("suggestions");
  const clear = form.querySelector(".clear");
  let shown = [];
  let at = -1;
  let asking = null;
  let own = "";

  const close = () => {
    asking?.abort();
    asking = null;
    list.hidden = true;
    at = -1;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  };

  const ask = debounce(70, async () => {
    const text = input.value.trim();
    asking?.abort();
    if (!text || document.activeElement !== input) return close();
    const mine = (asking = new AbortController());
    try {
      const { suggestions } = await suggest(text, mine.signal);
      if (asking === mine) render(suggestions, text.toLowerCase());
    } catch (error) {
      if (error.name !== "AbortError" && asking === mine) close();
    }
  });

  function render(suggestions, text) {
    shown = suggestions;
    at = -1;
    input.removeAttribute("aria-activedescendant");
    list.replaceChildren(...suggestions.map((s, i) => {
      const item = h("li", { id: `s${i}`, role: "option", "aria-selected": "false" }, icon(ICONS[s.kind] || ICONS.query),
        h("span", { class: "what", dir: "auto" }, ...completed(s.text, text)), KINDS[s.kind] ? h("span", { class: "kind" }, KINDS[s.kind]) : null);
      // Before the input loses focus, so that the list is still there.
      item.addEventListener("mousedown", (event) => { event.preventDefault(); choose(i); });
      return item;
    }));
    list.hidden = !suggestions.length;
    input.setAttribute("aria-expanded", String(!list.hidden));
  }

  function move(step) {
    if (list.hidden) return ask();
    list.children[at]?.setAttribute("aria-selected", "false");
    const n = shown.length + 1; // one more place: back in the box
    at = ((at + 1 + step + n) % n) - 1;
    const item = list.children[at];
    item?.setAttribute("aria-selected", "true");
    item?.scrollIntoView({ block: "nearest" });
    if (item) input.setAttribute("aria-activedescendant", item.id);
    else input.removeAttribute("aria-activedescendant");
    input.value = item && shown[at].kind === "query" ? shown[at].text : own;
  }

  function choose(i) {
    const s = shown[i];
    close();
    if (s.kind === "product" && s.product_id) location.assign(`/p/${productPath(s.product_id)}`);
    else if (s.kind === "brand" || s.kind === "category") picked(s.kind, s.text);
    else { input.value = s.text; show(); chosen(s.text); }
  }

  const show = () => { clear.hidden = !input.value; own = input.value; };

  input.addEventListener("input", () => { show(); typed(input.value); ask(); });
  input.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") { event.preventDefault(); move(event.key === "ArrowDown" ? 1 : -1); }
    else if (event.key === "Enter") {
      event.preventDefault();
      if (at >= 0) choose(at);
      else { close(); chosen(input.value); }
    } else if (event.key === "Escape" && !list.hidden) { event.preventDefault(); input.value = own; close(); }
    else if (event.key === "Escape") input.blur();
  });
  input.addEventListener("blur", close);
  form.addEventListener("submit", (event) => { event.preventDefault(); close(); chosen(input.value); });
  clear.addEventListener("click", () => { input.value = ""; show(); input.focus(); typed(""); });
  document.addEventListener("keydown", (event) => {
    const inField = event.target.closest?.("input, select, textarea, dialog");
    if (event.key === "/" && !inField && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      input.focus();
      input.select();
    }
  });
  return { set(text) { if (document.activeElement !== input || input.value.trim() !== text) input.value = text; show(); }, close };
}

// What was typed stays plain, what completes it is bold.
function completed(text, typed) {
  const from = text.toLowerCase().indexOf(typed);
  if (from < 0) return [text];
  const to = from + typed.length;
  return [from ? h("b", {}, text.slice(0, from)) : null, text.slice(from, to), h("b", {}, text.slice(to))];
}
