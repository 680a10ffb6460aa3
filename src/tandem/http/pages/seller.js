// Seller center: a merchant's month and what is to come, queries, listings, creators, campaigns.
import { call, fewOf, label as attributeName, productPath } from "./api.js";
import { $, h } from "./dom.js";
import { campaigns } from "./campaigns.js";
import { ask, asMoney, busy, capital, chips, dated, day, empty, fill, growing, outlookChart, percent, said, signIn, sparkline, tabs, waiting } from "./center.js";
import { inbox, name, title } from "./deals.js";
import { chooser } from "./picker.js";
import { about, fromAddress, ofMerchant, whyNot } from "./why.js";

const NAMES = {
  gmv: "Sales (GMV)", orders: "Orders", views: "Product views", conversion: "Conversion",
  search_share: "Share of search", creator_gmv: "Sales by creators", return_rate: "Returns",
};
const SAME = 0.0005; // a smaller change reads 0.0
const SHELVES = 12, ROWS = 25, PARTS = 8, SUITING = 8; // at first
const CREATORS = 48; // that are asked for
const KEPT = "seller-key";
const NEEDS_KEY = new Set(["overview", "search", "products", "deals", "campaigns"]);
const OF_A_MONTH = new Set(["overview", "search"]);
let me = null;
let merchant = "";
let tab = "overview";
const drawn = new Set();

const known = (n) => (n === null || n === undefined ? "–" : n.toLocaleString());
const asked = (more = {}) => new URLSearchParams({ merchant, ...($("period").value && { period: $("period").value }), ...more });

// --- Signing in -----------------------------------------------------------------------------------

$("enter").addEventListener("submit", async (event) => {
  event.preventDefault();
  $("sign-error").textContent = "";
  try {
    const key = $("key").value.trim();
    me = { ...(await call("GET", "/v1/me", { key })), key };
    enter();
  } catch (error) {
    $("sign-error").textContent = said(error);
  }
});

function enter() {
  const all = me.permissions.includes("insight");
  merchant = me.role === "merchant" ? me.tenant : $("merchant").value.trim() || sessionStorage.getItem("seller-merchant") || "";
  if (me.role !== "merchant" && !all) {
    $("sign-error").textContent = `This is a key for a ${me.role}; the seller center takes a merchant’s.`;
    me = null;
  } else if (!merchant) {
    $("merchant-field").hidden = false;
    $("merchant").required = true;
    $("merchant").focus();
    me = null;
  } else {
    sessionStorage.setItem(KEPT, me.key);
    sessionStorage.setItem("seller-merchant", merchant);
    ofMerchant(merchant);
    $("who").replaceChildren(merchant, h("small", {}, "Seller center"));
    $("tools").hidden = false;
    drawn.clear();
    show(tab);
  }
}

$("leave").addEventListener("click", () => {
  sessionStorage.removeItem(KEPT);
  sessionStorage.removeItem("seller-merchant");
  location.assign("/seller");
});

$("period").addEventListener("change", () => {
  drawn.delete("overview");
  drawn.delete("search");
  show(tab);
});

const choose = tabs((name) => show(name));

function show(name) {
  tab = name;
  const locked = NEEDS_KEY.has(name) && !me;
  $("sign").hidden = !locked;
  $("period").hidden = !OF_A_MONTH.has(name);
  $(`panel-${name}`).hidden = locked;
  if (locked || drawn.has(name)) return;
  drawn.add(name);
  ({ overview, search: queries, products, deals, campaigns: () => campaigns({ me, merchant, invite: me.role === "merchant" ? invite : null }) })[name]?.();
}

// --- The month ------------------------------------------------------------------------------------

async function overview() {
  let report = null;
  for (const panel of ["moved", "ahead"]) $(`${panel}-panel`).hidden = true;
  const told = await fill($("indicators"), async () => {
    report = await call("GET", `/v1/seller/indicators?${asked()}`, me);
    return [label(report), report.over ? h("p", { class: "muted" }, `${monthName(report.period)}, beside the month before`) : h("p", { class: "change" }, `${monthName(report.period)} is not over. Set what you aim at; the figures come when it is over.`),
      h("div", { class: "cards" }, report.indicators.map((i) => card(i, report))), report.over ? planner() : null];
  }, waiting(7), overview);
  if (!told) return;
  $("period").value = report.period;
  if (!report.over) return;
  for (const panel of ["moved", "ahead"]) $(`${panel}-panel`).hidden = false;
  await fill($("moved"), async () => moved(await call("GET", `/v1/seller/movement?${asked()}`, me)), busy("Working it out …"));
  await fill($("ahead"), async () => ahead(await call("GET", `/v1/seller/forecast?${new URLSearchParams({ merchant, days: 28 })}`, me)), busy("Looking ahead …"));
}

// Targets are set before their month: the way to the one under way.
function planner() {
  const month = new Date().toISOString().slice(0, 7);
  return h("button", { type: "button", class: "quiet start", id: "aim-ahead", onclick: () => { $("period").value = month; overview(); } }, `Set targets for ${monthName(month)}`);
}

const monthName = (period) => dated(`${period}-15T12:00`, { month: "long", year: "numeric" });
const label = (report) => (report.simulated ? h("p", { class: "label ask" }, "Simulated: not of real shoppers") : null);

function shown(value, unit, currency) {
  if (value === null) return "–";
  if (unit === "share") return percent(value);
  return unit === "money" ? asMoney(value, currency, value >= 10_000 ? 0 : undefined) : known(value);
}

function card(i, report) {
  const value = h("span", { class: `value ${i.value === null ? "unknown" : ""}` }, shown(i.value, i.unit, report.currency));
  const course = i.days.length ? sparkline(i.days.map((d) => d.value), `${NAMES[i.name]} by day; days that are not known are left out`) : null;
  return h("section", { class: "stat", data: { indicator: i.name } },
    h("h3", { title: i.means }, NAMES[i.name]), value, h("p", { class: "line" }, delta(i, report)), course, goal(i, report));
}

function delta(i, report) {
  if (!report.over) return h("span", {}, i.before === null ? "not over" : `${shown(i.before, i.unit, report.currency)} in the month before`);
  if (i.value === null) return h("span", {}, "not known");
  if (i.before === null || i.before === 0) return h("span", {}, "nothing to compare with");
  const points = i.unit === "share";
  const change = points ? i.value - i.before : i.value / i.before - 1;
  const before = h("span", {}, `from ${shown(i.before, i.unit, report.currency)}`);
  if (Math.abs(change) < SAME) return [h("span", {}, "About the same,"), before];
  const size = points ? `${(100 * Math.abs(change)).toLocaleString(undefined, { maximumFractionDigits: 1 })} points` : percent(Math.abs(change));
  const good = (change > 0) === (i.better === "up") ? "good" : "poor";
  return [h("span", { class: `delta ${good}` }, `${change > 0 ? "+" : "−"}${size}`), before];
}

function goal(i, report) {
  const change = h("button", { type: "button", class: "quiet", onclick: () => aim(i, report) }, i.target === null ? "Set a target" : "Change");
  change.setAttribute("aria-label", `${i.target === null ? "Set a target for" : "Change the target of"} ${NAMES[i.name]}`);
  if (i.target === null) return change;
  const share = i.value === null || !i.target ? 0 : Math.min(1, i.value / i.target);
  const bar = h("span", { class: "bar", "aria-hidden": "true" });
  bar.style.setProperty("--share", share);
  const reached = i.value === null ? "" : i.better === "up" ? `, ${percent(i.value / (i.target || 1), 0)} reached` : i.value <= i.target ? ", held" : ", missed";
  return h("div", { class: "goal" }, bar, h("span", {}, `Target ${shown(i.target, i.unit, report.currency)}${reached}`), change);
}

async function aim(i, report) {
  const factor = i.unit === "share" ? 100 : 1;
  const set = await ask(`Target for ${NAMES[i.name]}`, `${i.means}. In ${monthName(report.period)}${i.unit === "money" ? `, in ${report.currency}` : ""}.`,
    [{ name: "value", label: i.unit === "share" ? "Percent" : "Value", type: "number", min: 0, max: i.unit === "share" ? 100 : null, step: "any", required: i.target === null, value: i.target === null ? "" : Number((i.target * factor).toFixed(6)), placeholder: "No target" }],
    "Set target", (v) => call("PUT", "/v1/seller/targets", { key: me.key, body: { merchant, period: report.period, indicator: i.name, value: v.value === "" ? null : Number(v.value) / factor } }));
  if (set) { drawn.delete("overview"); show("overview"); }
}

// To the cent, so that parts visibly add up.
const signedMoney = (amount, currency) => `${Number(amount) < 0 ? "−" : "+"}${asMoney(Math.abs(Number(amount)), currency)}`;

function moved(m) {
  const change = Number(m.change);
  const sum = (factor) => m.by_channel.reduce((total, row) => total + Number(row[factor]), 0);
  const factors = [["traffic", "Traffic", "how many product pages were opened"], ["conversion", "Conversion", "how many of these led to an order"], ["basket", "Basket", "how much an order line brought"]];
  if (Math.abs(sum("untracked")) > 0) factors.push(["untracked", "Untracked", "orders of which no view was recorded"]);
  const most = Math.max(...factors.map(([name]) => Math.abs(sum(name))), 1);
  return [
    h("p", { class: "muted" }, `From ${asMoney(m.gmv_before, m.currency)} to ${asMoney(m.gmv, m.currency)}: `, h("b", { class: `delta ${change >= 0 ? "good" : "poor"}` }, signedMoney(change, m.currency)), ". The parts add up to it."),
    h("ul", { class: "moves", "aria-label": "By cause" }, factors.map(([name, title, says]) => bar(h("span", {}, h("b", {}, title), h("span", { class: "muted" }, ` – ${says}`)), sum(name), most, m.currency))),
    parts("By channel", m.by_channel, m.currency),
    parts("By product", folded(m.by_product), m.currency),
  ];
}

function bar(name, amount, most, currency, row) {
  const mark = h("i", { class: amount >= 0 ? "up" : "" });
  mark.style.setProperty("--share", Math.abs(amount) / most);
  return h("li", {}, h("span", { class: "name", dir: "auto" }, name), h("span", { class: "signed", "aria-hidden": "true" }, mark),
    h("span", { class: `delta ${amount > 0 ? "good" : amount < 0 ? "poor" : ""}` }, signedMoney(amount, currency)),
    row ? h("span", { class: "parts" }, ["traffic", "conversion", "basket", "untracked"].filter((f) => Number(row[f])).map((f) => h("span", {}, `${capital(f)} ${signedMoney(row[f], currency)}`))) : null);
}

// The largest rows one by one, the others as one, so that what is shown still adds up.
function folded(rows) {
  if (rows.length <= PARTS) return rows;
  const others = rows.slice(PARTS - 1);
  const sum = (name) => others.reduce((total, row) => total + Number(row[name]), 0);
  const names = ["amount", "traffic", "conversion", "basket", "untracked"];
  return [...rows.slice(0, PARTS - 1), { title: `All others (${others.length})`, ...Object.fromEntries(names.map((name) => [name, sum(name)])) }];
}

function parts(title, rows, currency) {
  const most = Math.max(...rows.map((r) => Math.abs(Number(r.amount))), 1);
  return h("details", { class: "more-tried" }, h("summary", {}, title),
    h("ul", { class: "moves" }, rows.map((r) => bar(r.title, Number(r.amount), most, currency, r))));
}

function ahead(o) {
  const kept = Math.round(o.level * 10);
  const weekly = o.step === "week";
  const span = weekly ? `${o.days.length} weeks` : `${o.days.length} days`;
  return [
    h("p", { class: "figure" }, h("b", {}, asMoney(o.total, o.currency, 0))),
    h("p", { class: "muted" }, `expected in the ${span} from ${day(`${o.days[0].day}T12:00`)}, ${kept} times of 10 between ${asMoney(o.total_low, o.currency, 0)} and ${asMoney(o.total_high, o.currency, 0)}`),
    h("p", { class: "legend" }, h("span", {}, h("i", {}), `Sales by ${o.step}`), h("span", {}, h("i", { class: "ahead" }), "Expected"), h("span", {}, h("i", { class: "band" }), "Interval")),
    outlookChart(o.past, o.days, `Sales by ${o.step}, and ${span} to come with their interval`),
    h("p", { class: "axis", "aria-hidden": "true" }, h("span", {}, o.past[0]?.day || ""), h("span", {}, o.days[0].day), h("span", {}, o.days.at(-1).day)),
    h("p", { class: "muted" }, o.origins ? `The interval’s width was measured on ${o.origins} earlier forecasts of your own sales.` : "Too little is known yet to measure the interval; it is the model’s own.", weekly ? " By week, since too few people bought on many a day for it to be told." : null,
      o.shared_out ? ` ${o.shared_out.toLocaleString()} of the ${o.step}s before are withheld, and share what is left of their month.` : null),
  ];
}

// --- What shoppers search for -----------------------------------------------------------------------

let filter = "found";

function queries() {
  let period = "";
  const told = fill($("queries"), async () => {
    const report = await call("GET", `/v1/seller/queries?${asked()}`, me);
    period = report.period;
    if (!report.queries.length) return [label(report), empty("No queries to tell of", "No query was asked by enough people in this month.")];
    if (!report.queries.some(FILTERS[0][2])) filter = "all";
    const place = h("div", { class: "stack" });
    const draw = (name) => { filter = name; place.replaceChildren(queryTable(report)); };
    draw(filter);
    return [label(report), chips("Which queries", FILTERS.map(([name, text, fits]) => [name, text, report.queries.filter(fits).length]), filter, draw), place];
  }, busy("Counting …"));
  return told.then((done) => { if (done) $("period").value = period; });
}

const FILTERS = [
  ["found", "You are found", (q) => q.place !== null || q.own !== null], ["opportunity", "Could stand higher", (q) => q.chance === "opportunity"],
  ["rising", "Rising", (q) => q.rising], ["supply_gap", "Nobody offers it", (q) => q.chance === "supply_gap"],
  ["all", "All", () => true],
];

const QUERY_HEADS = ["Query", "Asked", "Month before", "Clicks", "Your clicks", "Your share", "Your place", ""];
const STEPS = [["impressions", "Seen"], ["clicks", "Clicked"], ["carts", "Put in the cart"], ["purchases", "Bought"]];
// A phone shows a row as a list, each value with the head of its column.
const cell = (head, css, ...content) => h("td", { class: css, data: { head } }, ...content);

function queryTable(report) {
  const rows = report.queries.filter(FILTERS.find(([name]) => name === filter)[2]);
  const body = h("tbody", {});
  const withheld = Object.values(report.withheld).reduce((a, b) => a + b, 0);
  return h("section", { class: "panel", "aria-label": "Search query performance" },
    rows.length ? h("div", { class: "wide" }, h("table", { class: "grid-table stacks" },
      h("thead", {}, h("tr", {}, QUERY_HEADS.map((t, i) => h("th", { scope: "col", class: i && i < 7 ? "num" : null }, t || h("span", { class: "hidden" }, "What to do"))))),
      body)) : h("p", {}, "None of these in this month."),
    rows.length ? growing(body, rows, queryRow, ROWS) : null,
    h("p", { class: "muted" }, `${report.queries.length} queries in ${report.period}. ${withheld.toLocaleString()} figures are withheld: they are of fewer than ${report.k} people or would give somebody away.`));
}

function queryRow(q) {
  const act = q.chance === "opportunity"
    ? h("button", { type: "button", class: "quiet", onclick: () => { choose("why"); whyNot(q); } }, `Why only #${q.place}?`)
    : q.chance === "supply_gap" ? h("span", { class: "label ask" }, "Nobody offers it") : null;
  const steps = h("tr", { class: "steps-row", hidden: true }, h("td", { colSpan: QUERY_HEADS.length }, funnel(q)));
  const opener = h("button", { type: "button", class: "opens", dir: "auto", "aria-expanded": "false", onclick: () => {
    steps.hidden = !steps.hidden;
    opener.setAttribute("aria-expanded", String(!steps.hidden));
  } }, q.query);
  return [h("tr", {}, h("th", { scope: "row" }, opener, q.rising ? [" ", h("span", { class: "label ok" }, "Rising")] : null),
    [q.search_query_volume, q.volume_before, q.market.clicks, q.own?.clicks].map((n, i) => cell(QUERY_HEADS[i + 1], "num", known(n))),
    cell("Your share", "num", q.click_share === null ? "–" : `${Math.round(q.click_share * 100)}%`), cell("Your place", "num", q.place === null ? "–" : `#${q.place}`), h("td", {}, act)), steps];
}

// How far shoppers went who asked this: with all products, and with the merchant's.
function funnel(q) {
  const share = (step) => (q.own && q.own[step] !== null && q.market[step] ? percent(q.own[step] / q.market[step]) : "–");
  return [h("table", { class: "grid-table funnel" }, h("caption", { class: "hidden" }, `From seen to bought, for ${q.query}`),
    h("thead", {}, h("tr", {}, ["Products that were", "All", "Yours", "Your share"].map((t, i) => h("th", { scope: "col", class: i ? "num" : null }, t)))),
    h("tbody", {}, STEPS.map(([step, text]) => h("tr", {}, h("th", { scope: "row" }, text), [known(q.market[step]), known(q.own?.[step]), share(step)].map((value) => h("td", { class: "num" }, value)))))),
  q.own ? null : h("p", { class: "muted" }, q.place === null ? "None of your products stands in this search today." : "Too few people came to your products by it to be told.")];
}

// --- Prices and listings ----------------------------------------------------------------------------

function products() {
  return fill($("assortment"), async () => {
    const a = await call("GET", `/v1/seller/assortment?${new URLSearchParams({ merchant })}`, me);
    const body = h("tbody", {});
    const more = growing(body, a.products, (s) => shelf(s, a.shop_has_images), SHELVES);
    const tile = (name, value, says) => h("section", { class: "stat" }, h("h3", {}, name), h("span", { class: "value" }, value), h("p", { class: "line" }, says));
    return [label(a), h("div", { class: "stack" }, h("div", { class: "cards" },
      tile("Products", known(a.count), "in this shop"),
      tile("With a price", percent(a.with_price, 0), "shoppers filter by it"),
      tile("With an image", a.shop_has_images || a.with_image ? percent(a.with_image, 0) : "–", a.shop_has_images || a.with_image ? "of your products" : "this shop shows no images"),
      tile("Attributes stated", a.attribute_completeness === null ? "–" : percent(a.attribute_completeness, 0), "of those that most of their kind state")),
    h("section", { class: "panel", "aria-label": "Products" }, h("p", { class: "muted" }, `${a.count > a.products.length ? `The ${a.products.length} that lack most of ${a.count.toLocaleString()}` : "What lacks most comes first"}. The mark shows where your price stands among others of its kind.`),
      h("div", { class: "wide" }, h("table", { class: "grid-table stacks shelves" },
        h("thead", {}, h("tr", {}, ["Product", "Price", "Others", "Where you stand", "Listing"].map((t, i) => h("th", { scope: "col", class: i === 1 || i === 2 ? "num" : null }, t)))),
        body)), more))];
  }, waiting(4));
}

function shelf(s, images) {
  const c = s.comparable, currency = s.currency; // which need not be the shop’s
  const mark = c ? h("i", {}) : null;
  if (mark) mark.style.setProperty("--at", c.position);
  return h("tr", {}, h("th", { scope: "row", dir: "auto" }, h("a", { href: `/p/${productPath(s.product_id)}` }, s.title)),
    cell("Price", "num", s.price === null ? "–" : asMoney(s.price, currency)), cell("Others", "num", c ? `${asMoney(c.low, currency)} – ${asMoney(c.high, currency)}` : "–"),
    cell("Where you stand", null, c ? h("div", { class: "rangebar", role: "img", "aria-label": `${percent(c.position, 0)} of ${c.products} comparable products cost less` }, mark) : h("span", { class: "muted" }, "too few to compare")),
    cell("Listing", null, listing(s, images)));
}

// How good the listing is; what to do about it when it is asked for.
function listing(s, images) {
  const todo = (s.quality?.checks || []).filter((c) => c.suggestion);
  const unsaid = [...(s.images || !images ? [] : ["Image"]), ...s.missing.map(attributeName)];
  const ask = h("button", { type: "button", class: "quiet", onclick: () => { choose("why"); about({ id: s.product_id, title: s.title }); } }, "Why doesn’t it rank?");
  ask.setAttribute("aria-label", `Why doesn’t ${s.title} rank?`);
  return h("details", { class: "unsaid" }, h("summary", {}, s.quality ? h("b", {}, `${Math.round(s.quality.score)} of 100`) : "Not known", " ", h("span", {}, todo.length ? `${todo.length} to do` : "all is well")),
    h("ul", { class: "plain-items" }, todo.map((c) => h("li", {}, h("b", {}, capital(c.name)), `: ${c.suggestion}`))),
    unsaid.length ? h("p", { class: "muted small" }, `Left unsaid: ${unsaid.join(", ")}`) : null, ask);
}

// --- Creators ---------------------------------------------------------------------------------------

let begin = null;

// From a plan to the inbox, with an invitation filled in.
function invite(known) {
  choose("deals");
  begin(known);
}

function deals() {
  if (me.role !== "merchant") return $("deals").replaceChildren(empty("A merchant’s own inbox", "Invitations and deadlines are between a merchant and a creator: a merchant’s key opens them."));
  begin = inbox($("deals"), me);
  $("find-panel").hidden = false;
  find();
}

const wanted = chooser($("find-product"), $("find-products"), (q, signal) => fewOf(merchant)(q, signal), () => find());
// Enter takes what was typed for an id; an empty field stands for all products.
$("find-product").addEventListener("keydown", (event) => { if (event.key === "Enter") { wanted.close(); find(); } });
$("find-product").addEventListener("input", () => { if (!$("find-product").value) find(); });

function find() {
  const id = wanted.id();
  return fill($("find"), async () => {
    const found = await call("GET", `/v1/match/creators?${new URLSearchParams({ ...(id ? { product_id: id } : { merchant }), k: CREATORS })}`, me);
    await name([...new Set(found.matches.map((m) => m.product_id))]);
    if (!found.matches.length) return h("p", {}, id ? "Nobody is known who suits this product." : "Nobody is known who suits your products.");
    const list = h("ul", { class: "items" });
    const more = growing(list, found.matches, (m) => suiting(m, begin, !id), SUITING);
    return [found.simulated ? h("p", { class: "label ask" }, "Simulated creators") : null, list, more];
  });
}

const counted = (range) => (range === null ? null : range.minimum === range.maximum ? known(range.minimum) : `${known(range.minimum)} – ${range.maximum === null ? "more" : known(range.maximum)}`);

function suiting(m, begin, named) {
  const c = m.creator;
  const gmv = m.one_piece.gmv;
  const currency = m.one_piece.currency;
  const brings = gmv ? `About ${asMoney(gmv.expected, currency, 0)}` : "–";
  const range = gmv && `, 8 times of 10 ${gmv.low > 0 ? `${asMoney(gmv.low, currency, 0)} to ${asMoney(gmv.high, currency, 0)}` : `up to ${asMoney(gmv.high, currency, 0)}, or nothing`}`;
  const facts = [c.follower_count && `${counted(c.follower_count)} followers`, c.post_rate !== null && `${percent(c.post_rate, 0)} of samples led to content`].filter(Boolean);
  const button = h("button", { type: "button", class: "secondary", onclick: () => begin({ other: c.id, products: m.product_id, rate: c.commission_rate === null ? 15 : c.commission_rate / 100 }) }, "Invite");
  button.setAttribute("aria-label", `Invite ${c.handle}`);
  return h("li", { class: "suits" }, h("div", { class: "row" }, h("span", {}, h("b", { dir: "auto" }, c.handle), h("span", { class: "muted" }, facts.length ? ` – ${facts.join(", ")}` : "")), button),
    h("span", {}, h("b", {}, brings), h("span", { class: "muted" }, ` sold by one video${range || ""}${named ? `; best with ${title(m.product_id)}` : ""}`)), h("span", { class: "muted" }, m.reasons.join(" · ")));
}

// --- Begin ------------------------------------------------------------------------------------------

if (fromAddress()) choose("why");
signIn(KEPT, (error) => { $("sign-error").textContent = said(error); }).then((found) => {
  if (found) { me = found; enter(); } else show(tab);
});
