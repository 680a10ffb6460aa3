// A merchant's campaigns: planned, with what to expect; followed; told on one page.
import { call, fewOf, productPath } from "./api.js";
import { $, h } from "./dom.js";
import { ask, asMoney, busy, day, empty, failed, fill, growing, many, percent, said, waiting } from "./center.js";
import { name, title } from "./deals.js";
import { several } from "./picker.js";

const GOALS = { gmv: "Sales", orders: "Orders", clicks: "Clicks" };
const STATUS = { planned: ["Not begun", ""], running: ["Running", "ok"], ended: ["Ended", ""], cancelled: ["Called off", ""] };
const AT_ONCE = 12;
const PIECES = 12; // of a plan at first
const MOST_PRODUCTS = 50;
const BEST = 0.0005; // a gap below it reads 0.0%
let desk = null; // { me, merchant, invite }

const form = $("plan");
const root = $("campaigns");
const place = $("campaign");
const dates = (asked) => `${day(`${asked.starts}T12:00`)} – ${day(`${asked.ends}T12:00`)}`;
const currencyOf = (c) => c.asked.budget.currency;
const simulated = (view) => (view.campaign.simulated || view.results?.simulated ? h("span", { class: "label ask" }, "Simulated") : null);

function amount(goal, value, currency) {
  return goal === "gmv" ? asMoney(value, currency, 0) : value.toLocaleString(undefined, { maximumFractionDigits: value < 10 ? 1 : 0 });
}

const reachedOf = (results, goal) => (goal === "gmv" ? Number(results.gmv.amount) : results[goal]);
// As creators allow: not told, exact, or from one amount to another.
function soFar(results, goal, currency) {
  const reached = results ? reachedOf(results, goal) : null;
  if (reached === null) return "–";
  const low = amount(goal, reached, currency);
  return goal !== "gmv" || results.gmv_exact ? low : `${low} – ${results.gmv_high ? amount(goal, Number(results.gmv_high.amount), currency) : "more"}`;
}
const range = (goal, e, currency) => (e.low > 0 ? `${amount(goal, e.low, currency)} to ${amount(goal, e.high, currency)}` : `up to ${amount(goal, e.high, currency)}, or nothing`);
const LEGEND = [["now", "Up to now"], ["mean", "Expected of the whole campaign"], ["span", "8 times of 10 it ends here"]];

// What came so far beside the range that is expected of the whole campaign.
function expectation(view, goal) {
  const currency = currencyOf(view.campaign);
  const e = view.campaign.outlook[goal];
  const reached = view.results ? reachedOf(view.results, goal) : null;
  const most = Math.max(e.high, e.expected, reached ?? 0) * 1.05 || 1;
  const says = `expected ${amount(goal, e.expected, currency)}, 8 times of 10 between ${amount(goal, e.low, currency)} and ${amount(goal, e.high, currency)}`;
  const bar = h("div", { class: "expect", role: "img", "aria-label": `${reached === null ? "Not known" : soFar(view.results, goal, currency)} up to now; ${says}` }, h("i", { class: "span" }), h("i", { class: "mean" }), reached === null ? null : h("i", { class: "now" }));
  for (const [key, value] of Object.entries({ low: e.low / most, high: e.high / most, mean: e.expected / most, now: (reached ?? 0) / most })) bar.style.setProperty(`--${key}`, value);
  return [h("p", {}, h("b", {}, soFar(view.results, goal, currency)), h("span", { class: "muted" }, view.results?.status === "planned" ? ` ${GOALS[goal].toLowerCase()}, not begun` : ` ${GOALS[goal].toLowerCase()} up to now`)), bar, h("p", { class: "muted small" }, `In all, ${says}`)];
}

function spending(c) {
  const bar = h("div", { class: "meter thin", "aria-hidden": "true" });
  bar.style.setProperty("--share", Math.min(1, Number(c.cost.amount) / (Number(c.asked.budget.amount) || 1)));
  return [h("p", {}, h("b", {}, asMoney(c.cost.amount, currencyOf(c), 0)), h("span", { class: "muted" }, ` planned of ${asMoney(c.asked.budget.amount, currencyOf(c), 0)} budget`)), bar];
}

// --- The list -------------------------------------------------------------------------------------

// `signed` has me, merchant and invite: how to ask a creator, or null where this key may not.
export function campaigns(signed) {
  desk = signed;
  list();
}

function only(shown) {
  root.hidden = shown !== root;
  form.hidden = shown !== form;
  place.hidden = shown !== place;
}

const mayPlan = () => desk.me.permissions.includes("catalogue");
const starter = () => (mayPlan() ? h("button", { type: "button", class: "primary small", id: "new-campaign", onclick: compose }, "New campaign") : null);

function list() {
  only(root);
  return fill(root, async () => {
    const { campaigns: found } = await call("GET", `/v1/seller/campaigns?${new URLSearchParams({ merchant: desk.merchant })}`, desk.me);
    if (!found.length) return empty("No campaign yet", "Say what you want to reach, with which products and for how much: you get a plan of which creators to ask, and what to expect of it.", starter());
    const cards = h("ul", { class: "campaigns" });
    const more = h("button", { type: "button", class: "secondary start", onclick: () => next() }, "Show older ones");
    let at = 0;
    const next = async () => {
      more.disabled = true;
      const views = await Promise.all(found.slice(at, at + AT_ONCE).map(async (campaign) =>
        call("GET", `/v1/seller/campaigns/${campaign.id}`, desk.me).catch(() => ({ campaign, results: null }))));
      at += views.length;
      cards.append(...views.map(card));
      more.disabled = false;
      more.hidden = at >= found.length;
    };
    await next();
    return [h("div", { class: "center-head" }, h("p", { class: "muted" }, many(found.length, "campaign")), starter()), cards, more];
  }, waiting(2));
}

const state = (results) => (results ? h("span", { class: `label ${STATUS[results.status][1]}` }, STATUS[results.status][0]) : null);

function card(view) {
  const { campaign: c, results } = view;
  return h("li", { class: "panel campaign", data: { campaign: c.id } },
    h("div", { class: "campaign-head" }, h("h3", {}, h("button", { type: "button", dir: "auto", onclick: () => open(c.id) }, c.asked.name)), h("span", { class: "labels" }, simulated(view), state(results))),
    h("p", { class: "muted" }, `${dates(c.asked)} · ${many(c.asked.product_ids.length, "product")} · ${results ? `${results.live.toLocaleString()} of ${many(results.planned, "piece")} live` : many(c.pieces.length, "piece")}`),
    h("div", { class: "pair" }, h("div", {}, expectation(view, c.asked.goal)), h("div", {}, spending(c))));
}

// --- A new one ------------------------------------------------------------------------------------

const iso = (days) => new Date(Date.now() + days * 86_400_000).toISOString().slice(0, 10);

function compose() {
  form.reset();
  picked.set([]);
  form.elements.starts.value = iso(1);
  form.elements.ends.value = iso(30);
  $("plan-error").textContent = "";
  only(form);
  form.elements.name.focus();
}

const picked = several($("plan-product"), $("plan-products"), $("plan-chosen"), (q, signal) => fewOf(desk.merchant)(q, signal), {
  most: MOST_PRODUCTS,
  added: (product) => {
    $("plan-error").textContent = "";
    if (product.price && !form.elements.currency.value) form.elements.currency.value = product.price.currency;
  },
  failed: (error) => { $("plan-error").textContent = said(error); },
});
$("plan-add").addEventListener("click", picked.addTyped);
$("plan-cancel").addEventListener("click", list);

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const error = $("plan-error");
  const go = $("plan-go");
  const v = form.elements;
  error.textContent = "";
  go.disabled = true;
  go.textContent = "Looking for the best plan …";
  try {
    const ids = await picked.ids();
    if (!ids.length) throw Object.assign(new Error("no product is chosen"), { remedy: "find one by name, or type its id" });
    const made = await call("POST", "/v1/seller/campaigns", { key: desk.me.key, body: {
      merchant_id: desk.merchant, name: v.name.value.trim(), goal: v.goal.value,
      budget: { amount: v.budget.value, currency: v.currency.value.trim().toUpperCase() },
      starts: v.starts.value, ends: v.ends.value, product_ids: ids,
      creators_per_product: Number(v.creators.value), exploration: Number(v.exploration.value) / 100, holdout: v.regions.checked ? 0 : Number(v.holdout.value) / 100, by_region: v.regions.checked,
    } });
    await open(made.id);
  } catch (problem) {
    error.textContent = said(problem);
  }
  go.disabled = false;
  go.textContent = "Make the plan";
});

// --- One campaign ---------------------------------------------------------------------------------

async function open(id) {
  only(place);
  scrollTo(0, 0);
  await fill(place, async () => {
    const view = await call("GET", `/v1/seller/campaigns/${id}`, desk.me);
    await name([...new Set(view.campaign.pieces.map((p) => p.product_id))]);
    return drawn(view);
  }, busy("Reading the campaign …"));
  if (!place.querySelector(".back")) place.prepend(back());
  place.focus({ preventScroll: true });
}

const back = () => h("button", { type: "button", class: "quiet back start", onclick: list }, "‹ All campaigns");

function drawn(view) {
  const { campaign: c, results } = view;
  const goal = c.asked.goal;
  const rows = h("ul", { class: "items" });
  const best = [...c.pieces].sort((a, b) => worth(b, goal) - worth(a, goal));
  const tile = (text, ...content) => h("section", { class: "stat" }, h("h3", {}, text), content.flat());
  return [
    back(),
    h("div", { class: "campaign-head" }, h("h2", { dir: "auto" }, c.asked.name), h("span", { class: "labels" }, simulated(view), state(results))),
    h("div", { class: "center-head" }, h("p", { class: "muted" }, `${dates(c.asked)} · ${course(view)}`), closing(view)),
    h("p", { class: "legend" }, LEGEND.map(([mark, text]) => h("span", {}, h("i", { class: mark }), text))),
    h("div", { class: "cards results" },
      tile(`${GOALS[goal]}, the goal`, expectation(view, goal)),
      Object.keys(GOALS).filter((g) => g !== goal).map((g) => tile(GOALS[g], expectation(view, g))),
      tile("Cost", spending(c), h("p", { class: "muted small" }, "Expected commissions, and samples"),
        h("p", {}, h("b", {}, results.commission ? asMoney(results.commission.amount, results.commission.currency) : "–"), h("span", { class: "muted" }, " commissions so far, in your books")),
        results.samples && Number(results.samples.amount) > 0 && h("p", {}, h("b", {}, asMoney(results.samples.amount, results.samples.currency)), h("span", { class: "muted" }, " of samples sent"))),
      tile("Content", h("p", {}, h("b", {}, results.live.toLocaleString()), h("span", { class: "muted" }, ` of ${many(results.planned, "planned piece")} live`)), h("p", { class: "muted small" }, results.live ? `by ${many(results.creators, "creator")}` : "Nothing is published yet"))),
    h("div", { class: "two" },
      h("section", { class: "panel", "aria-labelledby": "pieces-head" }, h("h2", { id: "pieces-head" }, "Who shows what"),
        h("p", { class: "muted" }, desk.invite ? "Nobody is asked before you invite them." : "Nobody is asked before the merchant invites them."),
        rows, growing(rows, best, (p) => piece(p, c, results.pieces.find((r) => r.creator_id === p.creator_id && r.product_id === p.product_id)), PIECES)),
      h("div", { class: "stack" }, trial(c), h("section", { class: "panel", "aria-labelledby": "sure-head" }, h("h2", { id: "sure-head" }, "How good is this plan?"), h("ul", { class: "items" }, sure(c).map(([head, text]) => h("li", {}, h("b", {}, head), h("span", { class: "muted" }, text))))))),
    told(c),
  ];
}

function course({ campaign, results }) {
  const days = Math.round((new Date(campaign.asked.ends) - new Date(campaign.asked.starts)) / 86_400_000) + 1;
  if (results.status === "cancelled") return `called off on ${day(`${campaign.cancelled}T12:00`)}`;
  if (results.status === "planned") return `${many(days, "day")}, not begun`;
  return results.status === "ended" ? `${many(days, "day")}, over` : `day ${Math.round(results.progress * days)} of ${days}`;
}

const worth = (p, goal) => p.one_piece[goal]?.expected ?? 0;

// How it ends before its time, or leaves the list.
function closing({ campaign: c, results }) {
  if (!mayPlan()) return null;
  const act = (text, title, says, verb, send, then) => h("button", { type: "button", class: "quiet danger", onclick: async () => { if (await ask(title, says, [], verb, send)) then(); } }, text);
  const off = act("Call it off", "Call this campaign off?", "From tomorrow on nothing counts. What you agreed with creators stays agreed: end that under Creators.", "Call it off",
    () => call("POST", `/v1/seller/campaigns/${c.id}/cancel`, desk.me), () => open(c.id));
  const remove = act("Remove", "Remove this campaign?", "It goes off your list for good, with its plan. Your collaborations stay.", "Remove it",
    async () => { await call("DELETE", `/v1/seller/campaigns/${c.id}`, desk.me); return true; }, list);
  return h("div", { class: "buttons" }, results.status === "planned" || results.status === "running" ? off : null, results.status === "running" ? null : remove);
}

const DEALS = { INVITED: "Invited", APPLIED: "Applied", ACCEPTED: "Agreed", CONTENT_DUE: "Content due", CONTENT_LIVE: "Live", ENDED: "Ended", DECLINED: "Declined", WITHDRAWN: "Taken back", EXPIRED: "No answer", CANCELLED: "Called off" };

// What came of one piece: its content's figures as its creator allows, and what the books say.
function came(r) {
  if (!r || (!r.content_ids.length && !r.collaboration)) return null;
  const sales = r.gmv_low && (r.gmv_high && r.gmv_high.amount === r.gmv_low.amount ? asMoney(r.gmv_low.amount, r.gmv_low.currency, 0) : `${asMoney(r.gmv_low.amount, r.gmv_low.currency, 0)} – ${r.gmv_high ? asMoney(r.gmv_high.amount, r.gmv_high.currency, 0) : "more"}`);
  const facts = [r.content_ids.length ? many(r.content_ids.length, "video") : null, r.clicks === null ? null : many(r.clicks, "click"), r.orders === null ? null : many(r.orders, "order"), sales && `${sales} sold`, r.commission && `${asMoney(r.commission.amount, r.commission.currency)} commission`].filter(Boolean);
  return h("p", { class: "came" }, h("span", { class: `label ${r.content_ids.length || r.collaboration === "CONTENT_LIVE" ? "ok" : ""}` }, r.content_ids.length ? "Live" : DEALS[r.collaboration]), h("span", {}, facts.join(" · ")));
}

const added = (t) => [h("p", { class: "figure" }, h("b", {}, t.added.toLocaleString()), ` orders added, 9 times of 10 between ${t.low.toLocaleString()} and ${t.high.toLocaleString()}`)];
const rests = (t) => [
  t.low <= 0 && t.high >= 0 ? h("p", {}, "It may be chance: nothing at all lies within the range.") : null,
  (t.doubts ?? []).map((d) => h("p", {}, d)),
  h("details", {}, h("summary", {}, "What this rests on"), h("ul", { class: "items" }, t.assumptions.map((a) => h("li", { class: "muted" }, a))))];

// A trial by regions: where it is to be shown, what it can find, and what it found.
function byRegion(c) {
  const r = c.regions;
  const t = c.region_trial;
  const where = [h("p", {}, h("b", {}, t ? "Shown in " : "Show it in "), r.shown.join(", ")), h("p", {}, h("b", {}, t ? "Not shown in " : "and not in "), r.not_shown.join(", "))];
  const few = (n) => n.toLocaleString(undefined, { maximumFractionDigits: 0 });
  const body = !t ? [...where, h("p", { class: "muted" }, `Drawn by lot. About ${few(r.usual)} orders would come from the first anyway. Eight times of ten you will see it if the campaign adds ${few(r.detectable)} orders there; what the plan expects would be seen ${percent(r.power, 0)} of the time. When the campaign is over you see here what it added.`)]
    : t.reason ? [h("p", {}, `Not known: ${t.reason}.`), ...where]
      : [added(t), h("p", { class: "muted" }, `${many(t.shown_orders, "order")} came from where it was shown; without it about ${few(t.usual)} would have, as the regions where it was not shown say.`), rests(t), ...where];
  return h("section", { class: "panel", "aria-labelledby": "trial-head" }, h("h2", { id: "trial-head" }, t ? "What it added" : "Where it is shown"), body);
}

function trial(c) {
  if (c.regions) return byRegion(c);
  if (!c.held_out.length) return null;
  const names = [...new Set(c.held_out.map((p) => p.creator_id))];
  const t = c.trial;
  const goal = c.asked.goal;
  const cost = `They were expected to bring ${amount(goal, c.trial_cost, currencyOf(c))}${goal === "gmv" ? " in sales" : ` ${goal}`}.`;
  const body = !t ? [h("p", { class: "muted" }, `${many(names.length, "creator")} of the plan, drawn by lot, are not asked: ${names.join(", ")}. ${cost} When the campaign is over you see here what it added.`)]
    : t.reason ? [h("p", {}, `Not known: ${t.reason}.`)]
      : [added(t),
        h("p", { class: "muted" }, `${t.asked_rate} orders by 1,000 people who had watched one of the ${many(t.asked_creators, "creator")} you asked; ${t.held_rate} by 1,000 who had watched one of the ${many(t.held_creators, "creator")} left out by lot.`),
        rests(t)];
  return h("section", { class: "panel", "aria-labelledby": "trial-head" }, h("h2", { id: "trial-head" }, "What it added"), body);
}

function piece(p, c, result) {
  const goal = c.asked.goal;
  const e = p.one_piece[goal];
  const button = desk.invite ? h("button", { type: "button", class: "secondary", onclick: () => desk.invite({ other: p.creator_id, products: p.product_id }) }, "Invite") : h("span", {});
  if (desk.invite) button.setAttribute("aria-label", `Invite ${p.creator_id}`);
  return h("li", { data: { creator: p.creator_id } },
    h("div", { class: "row" }, h("span", {}, h("b", { dir: "auto" }, p.creator_id), h("span", { class: "muted" }, " shows "), h("a", { href: `/p/${productPath(p.product_id)}`, dir: "auto" }, title(p.product_id))), button),
    h("p", {}, e ? [h("b", {}, `About ${amount(goal, e.expected, currencyOf(c))}`), h("span", { class: "muted" }, `${goal === "gmv" ? " in sales" : ` ${goal}`}, 8 times of 10 ${range(goal, e, currencyOf(c))}`)] : h("span", { class: "muted" }, "not known what it brings"), h("span", { class: "muted" }, `, for about ${asMoney(p.cost.amount, p.cost.currency)}`), p.exploring ? [" ", h("span", { class: "label ask" }, "To find out")] : null),
    came(result),
    p.reasons.length ? h("span", { class: "muted small" }, p.reasons.join(" · ")) : null);
}

// The plan's certificate, its range and its exploring, in plain words.
function sure(c) {
  const goal = c.asked.goal;
  const currency = currencyOf(c);
  const tried = c.pieces.filter((p) => p.exploring).length;
  const fits = Number(c.cost.amount) <= Number(c.asked.budget.amount);
  return [
    c.gap < BEST ? ["The best there is", "No other plan within this budget and these limits is expected to bring more. This is proven, by what is known of the creators today."]
      : [`At least ${percent(1 - c.gap)} of the best`, `This plan lacks ${percent(c.gap)} at most of what the best possible one is expected to bring. This is proven, by what is known of the creators today.`],
    [fits ? "Within the budget" : "Over the budget", `${asMoney(c.cost.amount, currency)} of ${asMoney(c.asked.budget.amount, currency)} are planned, at most ${many(c.asked.creators_per_product, "creator")} a product.`],
    ["Eight times of ten inside the range", "If pieces succeed independently of one another. A season that lifts or sinks all of them makes it wider."],
    c.asked.exploration === 0 ? ["Nothing is set apart to find out", "Only what is expected to bring most is in the plan."]
      : [`Up to ${percent(c.asked.exploration, 0)} of the budget to find out`, `${many(tried, "piece")} of ${c.pieces.length} ${tried === 1 ? "goes" : "go"} to creators who are not known well. It is expected to cost ${c.exploration_cost > 0 ? `${amount(goal, c.exploration_cost, currency)}${goal === "gmv" ? " in sales" : ` ${goal}`}` : "nothing"}, and makes the next plan better.`],
  ];
}

// --- The one page ---------------------------------------------------------------------------------

function told(c) {
  const viewer = h("div", { class: "told" });
  const buttons = h("div", { class: "buttons" }, h("button", { type: "button", class: "secondary", id: "read-report", onclick: () => read() }, "Read the report"));
  const read = async () => {
    viewer.replaceChildren(busy("Reading the report …"));
    try {
      const response = await fetch(`/v1/seller/campaigns/${c.id}/report`, { headers: { "X-API-Key": desk.me.key } });
      if (!response.ok) throw Object.assign(new Error("the report cannot be read"), { remedy: "open the campaign again" });
      const page = await response.text();
      // No script, no form, no way to the shop's own pages.
      const frame = h("iframe", { class: "report", title: `Report of ${c.asked.name}` });
      frame.setAttribute("sandbox", "allow-same-origin allow-modals"); // this page prints it
      frame.srcdoc = page;
      const keep = h("button", { type: "button", class: "secondary", onclick: () => save(page, c) }, "Save it, to forward");
      buttons.replaceChildren(keep, h("button", { type: "button", class: "secondary", id: "print-report", onclick: () => frame.contentWindow.print() }, "Print"));
      viewer.replaceChildren(frame);
      keep.focus();
    } catch (error) {
      viewer.replaceChildren(failed(error));
    }
  };
  return h("section", { class: "panel", "aria-labelledby": "told-head" }, h("h2", { id: "told-head" }, "On one page"), h("p", { class: "muted" }, "What was planned and what came of it, to print or forward."),
    buttons, viewer);
}

function save(page, c) {
  const address = URL.createObjectURL(new Blob([page], { type: "text/html" }));
  h("a", { href: address, download: `campaign-${c.id}.html` }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
