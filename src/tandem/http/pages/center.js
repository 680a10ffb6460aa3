// What the seller center and the creator studio share: signing in, tabs, states, small charts.
import { call } from "./api.js";
import { $, h, svg } from "./dom.js";

export const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
export const many = (n, noun) => `${n.toLocaleString()} ${noun}${n === 1 ? "" : "s"}`;
export const plain = (text) => text.replaceAll("_", " ");
export const percent = (share, digits = 1) => share.toLocaleString(undefined, { style: "percent", minimumFractionDigits: digits, maximumFractionDigits: digits });
// Names of months are words: they are in the page's language, figures as the reader writes them.
export const dated = (at, parts) => new Date(at).toLocaleDateString(document.documentElement.lang, parts);
export const day = (at) => dated(at, { day: "numeric", month: "short", year: "numeric" });
export const asMoney = (amount, currency, digits) => new Intl.NumberFormat(undefined, {
  style: "currency", currency, ...(digits === undefined ? {} : { minimumFractionDigits: digits, maximumFractionDigits: digits }),
}).format(Number(amount));

export function said(error) {
  if (error.status === 401) return "This key does not open this shop.";
  return `${capital(error.message)}.${error.remedy ? ` ${capital(error.remedy)}.` : ""}`;
}

// A remedy that is a command is for those who run the shop.
const plainly = (error) => (error.remedy?.includes("tandem ") ? `${capital(error.message)}. The people who run this shop can change that.` : said(error));

// --- States ---------------------------------------------------------------------------------------

export const busy = (text) => h("p", { class: "busy", role: "status" }, text);
// What went wrong, and a way to try it once more where there is one.
export const failed = (error, again) => h("div", { role: "alert" }, h("p", { class: "error" }, plainly(error)),
  again ? h("button", { type: "button", class: "secondary", onclick: again }, "Try again") : null);
export const waiting = (cards) => [h("p", { class: "hidden", role: "status" }, "Loading …"),
  h("div", { class: "cards", "aria-hidden": "true" }, Array.from({ length: cards }, () => h("div", { class: "skeleton card-skeleton" })))];
export const empty = (title, text, ...more) => h("div", { class: "panel empty" }, h("b", {}, title), h("p", {}, text), ...more);

// Rows a few at a time: `body` gets the first of them, and the button that is given back the rest.
export function growing(body, rows, draw, some) {
  let at = 0;
  const more = h("button", { type: "button", class: "secondary start", onclick: () => next() });
  const next = () => {
    body.append(...rows.slice(at, at + some).flatMap(draw));
    at = Math.min(at + some, rows.length);
    more.hidden = at === rows.length;
    more.textContent = `Show ${Math.min(some, rows.length - at)} more of ${rows.length}`;
  };
  next();
  return more;
}

// Buttons of which one is pressed: options are [name, text, count]; `pick` gets the name.
export function chips(label, options, chosen, pick) {
  const buttons = options.map(([name, text, count]) => h("button", { type: "button", "aria-pressed": String(name === chosen), onclick: (event) => {
    for (const button of buttons) button.setAttribute("aria-pressed", String(button === event.currentTarget));
    pick(name);
  } }, `${text} `, h("span", {}, count.toLocaleString())));
  return h("div", { class: "chips", role: "group", "aria-label": label }, buttons);
}

const newest = new WeakMap(); // what each place was asked for last

// Fill a place with what `work` gives: waiting, then the result or what went wrong. An answer that
// comes after a later question is dropped. `again` is how to try once more. Resolves to whether
// the place has its result.
export async function fill(place, work, before, again = () => fill(place, work, before)) {
  const mine = {};
  newest.set(place, mine);
  const draw = (...nodes) => { if (newest.get(place) === mine) place.replaceChildren(...nodes); };
  draw(...[before ?? busy("Loading …")].flat());
  try {
    draw(...[await work()].flat().filter(Boolean));
    return newest.get(place) === mine;
  } catch (error) {
    // What is not known yet is no error.
    draw(error.status === 404 ? empty("Nothing to show yet", plainly(error)) : failed(error, again));
    return false;
  }
}

// --- Signing in -----------------------------------------------------------------------------------

// Who a key belongs to; kept for this tab of the browser only.
export async function signIn(place, remembered) {
  const key = sessionStorage.getItem(place);
  if (!key) return null;
  try {
    return { ...(await call("GET", "/v1/me", { key })), key };
  } catch (error) {
    if (error.status === 401) sessionStorage.removeItem(place);
    if (remembered) remembered(error);
    return null;
  }
}

// --- Tabs -----------------------------------------------------------------------------------------

// Buttons with role=tab control panels; `shown` is called with the panel's name when it opens.
export function tabs(shown) {
  const buttons = [...document.querySelectorAll("[role=tab]")];
  const choose = (name, focus) => {
    for (const button of buttons) {
      const on = button.dataset.tab === name;
      button.setAttribute("aria-selected", String(on));
      button.tabIndex = on ? 0 : -1;
      $(`panel-${button.dataset.tab}`).hidden = !on;
      if (on && focus) button.focus();
      if (on) button.scrollIntoView({ block: "nearest", inline: "center" });
    }
    shown(name);
  };
  for (const [at, button] of buttons.entries()) {
    button.addEventListener("click", () => choose(button.dataset.tab));
    button.addEventListener("keydown", (event) => {
      const next = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: buttons.length - 1 }[event.key];
      if (next === undefined) return;
      event.preventDefault();
      choose(buttons[(next + buttons.length) % buttons.length].dataset.tab, true);
    });
  }
  return choose;
}

// --- Charts ---------------------------------------------------------------------------------------

// Runs of known values: what is not known is a gap in the line and never zero.
function runs(values) {
  const found = [];
  values.forEach((value, i) => {
    if (value === null) return;
    if (i && values[i - 1] !== null && found.length) found.at(-1).push([i, value]);
    else found.push([[i, value]]);
  });
  return found;
}

const path = (points) => points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(2)} ${y.toFixed(2)}`).join("");

export function sparkline(values, label) {
  const known = values.filter((v) => v !== null);
  if (known.length < 2) return null;
  const top = Math.max(...known) || 1;
  const width = 100, height = 40;
  const at = ([i, v]) => [(i / (values.length - 1)) * width, height - 2 - (v / top) * (height - 4)];
  const node = svg("svg", { class: "spark", viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img", "aria-label": label });
  for (const run of runs(values)) {
    const points = run.length === 1 ? [at(run[0]), [at(run[0])[0] + 0.5, at(run[0])[1]]] : run.map(at);
    node.append(svg("path", { class: "fill", d: `${path(points)}L${points.at(-1)[0].toFixed(2)} ${height}L${points[0][0].toFixed(2)} ${height}Z` }));
    node.append(svg("path", { d: path(points) }));
  }
  return node;
}

// Days that were, then days to come with their interval.
export function outlookChart(past, ahead, label) {
  const values = [...past.map((d) => d.value), ...ahead.map((d) => d.mean)];
  const top = Math.max(...past.map((d) => d.value ?? 0), ...ahead.map((d) => d.high)) || 1;
  const width = 600, height = 200;
  const x = (i) => (i / (values.length - 1)) * width;
  const y = (v) => height - (v / top) * (height - 8) - 2;
  const node = svg("svg", { class: "chart", viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img", "aria-label": label });
  const from = past.length;
  const band = [...ahead.map((d, i) => [x(from + i), y(d.high)]), ...ahead.map((d, i) => [x(from + i), y(d.low)]).reverse()];
  node.append(svg("path", { class: "band", d: `${path(band)}Z` }), svg("path", { class: "split", d: `M${x(from - 0.5)} 0V${height}` }));
  for (const run of runs(past.map((d) => d.value))) node.append(svg("path", { class: "past", d: path(run.map(([i, v]) => [x(i), y(v)])) }));
  node.append(svg("path", { class: "ahead", d: path(ahead.map((d, i) => [x(from + i), y(d.mean)])) }));
  return node;
}

// --- Asking for a few values ----------------------------------------------------------------------

// A dialog with `fields`; resolves to their values, or null when it is closed. `send` may refuse.
export function ask(title, text, fields, verb, send) {
  return new Promise((resolve) => {
    const error = h("p", { class: "error", role: "alert" });
    const go = h("button", { type: "submit", class: "primary" }, verb);
    const close = (value) => { dialog.close(); dialog.remove(); resolve(value); };
    const form = h("form", {}, h("h2", { id: "ask-head" }, title), text ? h("p", { class: "muted" }, text) : null,
      fields.map((f) => (f.node ? f.node : f.type === "checkbox"
        ? h("label", { class: "tick" }, h("input", { type: "checkbox", name: f.name, checked: Boolean(f.value) }), f.label)
        : h("label", {}, f.label, ...[control(f)].flat()))),
      error, h("div", { class: "dialog-foot" }, h("button", { type: "button", class: "quiet", onclick: () => close(null) }, "Cancel"), go));
    const dialog = h("dialog", { "aria-labelledby": "ask-head" }, form);
    dialog.addEventListener("cancel", (event) => { event.preventDefault(); close(null); });
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      go.disabled = true;
      try {
        const values = {};
        for (const f of fields) values[f.name] = f.read ? await f.read() : f.type === "checkbox" ? form.elements[f.name].checked : form.elements[f.name].value.trim();
        close(await send(values));
      } catch (problem) {
        error.textContent = said(problem);
        go.disabled = false;
      }
    });
    document.body.append(dialog);
    dialog.showModal();
    form.querySelector("input, textarea, select")?.focus();
  });
}

function control({ name, type = "text", value = "", options, among, ...more }) {
  if (type === "select") return h("select", { name }, options.map(([v, text]) => h("option", { value: v, selected: v === value }, text)));
  if (type === "textarea") return h("textarea", { name, ...more }, value);
  const input = h("input", { name, type, value: String(value), autocomplete: "off", required: more.required !== false, ...more });
  if (!among?.length) return input;
  input.setAttribute("list", `among-${name}`);
  return [input, h("datalist", { id: `among-${name}` }, among.map(([value, says]) => h("option", { value, label: says === value ? null : says })))];
}
