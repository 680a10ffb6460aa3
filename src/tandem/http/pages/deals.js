// The inbox of collaborations, for a merchant or a creator: what waits for whom, and each next step.
import { call, few, fewOf, productPath } from "./api.js";
import { h } from "./dom.js";
import { ask, asMoney, capital, chips, day, empty, fill, growing, many, plain, said } from "./center.js";
import { several } from "./picker.js";

const STEPS = ["Agreed", "Sample", "Content", "Live", "Settled"];
const STATUS = {
  INVITED: "Invitation", APPLIED: "Application", ACCEPTED: "Sample under way", CONTENT_DUE: "Content due", CONTENT_LIVE: "Live",
  ENDED: "Ended", DECLINED: "Declined", WITHDRAWN: "Taken back", EXPIRED: "Expired", CANCELLED: "Cancelled",
};
const DONE = new Set(["ENDED", "DECLINED", "WITHDRAWN", "EXPIRED", "CANCELLED"]);
const WORDS = {
  accept: "Accept", decline: "Decline", withdraw: "Take it back", approve_sample: "Approve sample", ship_sample: "Mark as shipped",
  receive_sample: "I have the sample", ask_extension: "Ask for more time", grant_extension: "Grant the time", refuse_extension: "Refuse it",
  publish: "Content is live", change_rate: "Change commission", open_dispute: "Open a dispute", cancel: "Call it off", end: "End it",
};
const DEALS = 8; // at first
const CONTENT_DAYS = 14, ANSWER_DAYS = 7; // unless the parties say otherwise
const MAIN = ["accept", "approve_sample", "ship_sample", "receive_sample", "publish", "grant_extension"];
const ACCOUNTS = { pending: "In the return window", frozen: "Frozen by a dispute", settled: "Settled" };

const deadline = (c) => (c.status === "INVITED" || c.status === "APPLIED" ? c.respond_by : c.status === "CONTENT_DUE" ? c.content_due : null);
// After its deadline nothing can happen any more, whether or not anybody has looked.
const late = (c) => !c.dispute && deadline(c) !== null && new Date(deadline(c)) < Date.now();
const stands = (c) => (!late(c) ? STATUS[c.status] || c.status : c.status === "CONTENT_DUE" ? "No content came" : "No answer came");

// Whose turn it is, so that a list shows what waits for the reader first.
function waits(c, role) {
  if (c.dispute) return "platform";
  if (late(c)) return null;
  if (c.status === "INVITED") return "creator";
  if (c.status === "APPLIED") return "merchant";
  if (c.status === "ACCEPTED") return c.sample === "SHIPPED" ? "creator" : "merchant";
  if (c.status === "CONTENT_DUE") return c.extension_asked ? "merchant" : "creator";
  return null;
}

function due(c) {
  const at = deadline(c);
  if (!at) return null;
  const left = (new Date(at) - Date.now()) / 86_400_000;
  const what = c.status === "CONTENT_DUE" ? "content" : "answer";
  if (late(c)) return h("span", { class: "due over" }, `Was due ${day(at)}`);
  const text = left < 0 ? `${capital(what)} was due ${day(at)}` : left < 1 ? `${capital(what)} due today` : `${capital(what)} due in ${Math.ceil(left)} days`;
  return h("span", { class: `due ${left < 0 ? "late" : left < 3 ? "soon" : ""}` }, text);
}

function place(c) {
  if (c.status === "INVITED" || c.status === "APPLIED") return 0;
  if (c.status === "ACCEPTED") return 1;
  if (c.status === "CONTENT_DUE") return 2;
  return c.status === "CONTENT_LIVE" ? 3 : 4;
}

// When the content is due, as long as it is a number of days and no date yet.
const promised = (c) => (["INVITED", "APPLIED", "ACCEPTED"].includes(c.status) && !late(c) ? `within ${many(c.terms.content_days, "day")} of ${c.terms.sample ? "having the sample" : "the yes"}` : null);

const titles = new Map();
export const title = (id) => titles.get(id) || id;
const MOST_TITLES = 40;

// Names of the products that are spoken of; one that is gone keeps its id.
export async function name(ids) {
  await Promise.all(ids.filter((id) => !titles.has(id)).slice(0, MOST_TITLES).map(async (id) => {
    const found = await call("GET", `/v1/products/${productPath(id)}`).catch(() => null);
    titles.set(id, found?.product.title || id);
  }));
}

// `me` has role, tenant and key. Returns how to begin a new one.
export function inbox(root, me) {
  const list = h("div", { class: "stack" });
  const money = h("div", { class: "cards" });
  const filters = h("div", {});
  let shown = "turn";
  let all = [];
  let handles = {};

  const load = () => fill(root, async () => {
    const [{ collaborations, handles: known }, books] = await Promise.all([
      call("GET", "/v1/collaborations?limit=200", me), call("GET", "/v1/collaborations/settlements", me)]);
    all = collaborations;
    handles = known;
    await name([...new Set(all.flatMap((c) => c.product_ids))]);
    money.replaceChildren(...earnings(books, me));
    if (shown === "turn" && !groups().turn.length) shown = groups().running.length ? "running" : "all";
    draw();
    return [money, h("div", { class: "center-head" }, filters, starter()), list];
  });

  const groups = () => ({
    turn: all.filter((c) => waits(c, me.role) === me.role),
    running: all.filter((c) => !DONE.has(c.status) && !late(c)),
    all,
  });

  function draw() {
    const found = groups();
    filters.replaceChildren(chips("Which ones", [["turn", "Your turn"], ["running", "Running"], ["all", "All"]].map(([name, text]) => [name, text, found[name].length]), shown, (name) => { shown = name; rows_(); }));
    rows_();
  }

  function rows_() {
    const found = groups()[shown];
    const body = h("div", { class: "stack" });
    list.replaceChildren(...(found.length ? [body, growing(body, found, deal, DEALS)] : [empty(
      shown === "turn" ? "Nothing waits for you" : "No collaborations yet",
      me.role === "merchant" ? "Invite a creator with your product and a commission." : "Apply to a merchant for a product that fits you.")]));
  }

  const merchant = me.role === "merchant";

  // Who may be meant: those who suit, and those one worked with.
  async function others() {
    const query = merchant ? `creators?${new URLSearchParams({ merchant: me.tenant, k: 50 })}` : `brands?${new URLSearchParams({ creator_id: me.tenant, k: 50 })}`;
    const suits = await call("GET", `/v1/match/${query}`, me).catch(() => ({ matches: [] }));
    const called = (id) => [id, handles[id] ?? id];
    return [...new Map([...all.map((c) => called(merchant ? c.creator_id : c.merchant_id)), ...suits.matches.map((m) => (merchant ? [m.creator.id, m.creator.handle] : called(m.merchant)))])];
  }

  // A field for products that finds them by name.
  function goods(known, find) {
    const input = h("input", { name: "products", type: "text", autocomplete: "off", placeholder: "Name, or product id", role: "combobox", "aria-expanded": "false", "aria-controls": "ask-products", "aria-autocomplete": "list" });
    const list = h("span", { id: "ask-products", class: "choices", role: "listbox", "aria-label": "Products", hidden: true });
    const shown = h("ul", { class: "picked", "aria-label": "Chosen products" });
    const failed = (error) => { input.setCustomValidity(said(error)); input.reportValidity(); };
    const field = several(input, list, shown, find, { failed, added: (product) => {
      const other = input.form?.elements.other;
      if (!merchant && other && !other.value) other.value = product.merchant || product.brand || "";
    } });
    input.addEventListener("input", () => input.setCustomValidity(""));
    field.set(known);
    return { name: "products", node: h("div", { class: "stack tight" }, h("label", { class: "field" }, "Products", input, list), shown), read: field.ids };
  }

  // Ask the other side; `known` fills the form in.
  async function begin(known = {}) {
    const ids = known.products ? [known.products] : [];
    const [among] = await Promise.all([others(), name(ids)]);
    const fields = [
      { name: "other", label: merchant ? "Creator" : "Merchant", maxlength: 200, value: known.other || "", among },
      goods(ids.map((id) => ({ id, title: title(id) })), merchant ? fewOf(me.tenant) : (q, signal) => few(q, {}, signal)),
      { name: "rate", label: "Commission, percent of sales", type: "number", min: 0, max: 100, step: 0.5, value: known.rate ?? 15 },
      { name: "sample", label: "With a free sample", type: "checkbox" },
      { name: "content", label: "Content due, days after they say yes or have the sample", type: "number", min: 1, max: 365, step: 1, value: CONTENT_DAYS },
      { name: "answer", label: "Answer due, days from now", type: "number", min: 1, max: 365, step: 1, value: ANSWER_DAYS },
    ];
    const send = (v) => call("POST", "/v1/collaborations", { key: me.key, body: {
      action: merchant ? "invite" : "apply", [merchant ? "creator_id" : "merchant_id"]: v.other,
      product_ids: v.products, commission_rate: Math.round(Number(v.rate) * 100), terms: { sample: v.sample, content_days: Number(v.content), respond_days: Number(v.answer) },
    } });
    const made = await ask(merchant ? "Invite a creator" : "Apply to a merchant", merchant ? "The commission is theirs on every order that their content brings." : "", fields, merchant ? "Send invitation" : "Send application", send);
    if (made) { shown = "running"; load(); }
  }

  const starter = () => h("button", { type: "button", class: "primary small", id: "begin", onclick: () => begin() }, merchant ? "Invite a creator" : "Apply to a merchant");

  function deal(c) {
    const creator = handles[c.creator_id] ?? c.creator_id;
    const other = me.role === "merchant" ? creator : me.role === "creator" ? c.merchant_id : `${c.merchant_id} and ${creator}`;
    const rate = c.rates.at(-1).commission_rate / 100;
    const turn = waits(c, me.role) === me.role;
    const body = h("div", { class: "body" });
    const node = h("details", { class: "deal", data: { id: c.id } },
      h("summary", {}, h("span", { class: "whom", dir: "auto" }, other), due(c) || h("span", {}),
        h("span", { class: `label ${turn ? "ask" : c.status === "CONTENT_LIVE" ? "ok" : ""}` }, c.dispute ? "Dispute" : stands(c)),
        h("span", { class: "terms" }, h("span", {}, `${rate}% commission`), h("span", { dir: "auto" }, c.product_ids.slice(0, 3).map((p) => title(p)).join(", ") + (c.product_ids.length > 3 ? ` and ${c.product_ids.length - 3} more` : "")),
          c.sample ? h("span", {}, `Sample: ${plain(c.sample).toLowerCase()}`) : null,
          promised(c) ? h("span", {}, `Content ${promised(c)}`) : null)), body);
    node.addEventListener("toggle", () => { if (node.open && !body.childElementCount) open(c, body); });
    return node;
  }

  const open = (c, body) => fill(body, async () => {
    const [{ possible, balances, history, collaboration }, { orders }] = await Promise.all([
      call("GET", `/v1/collaborations/${c.id}`, me), call("GET", `/v1/collaborations/${c.id}/orders`, me)]);
    const main = possible.filter((a) => MAIN.includes(a) && (a !== "publish" || collaboration.status === "CONTENT_DUE"));
    const others = possible.filter((a) => !main.includes(a) && WORDS[a]);
    const note = h("p", { class: "error", role: "alert" });
    const step = (action, css) => h("button", { type: "button", class: css, data: { action }, onclick: (event) => take(collaboration, action, note, event.target) }, action === "publish" && collaboration.status === "CONTENT_LIVE" ? "Add content" : WORDS[action]);
    const at = place(collaboration);
    return [
      h("ol", { class: "steps", "aria-label": "How far it is" }, STEPS.map((s, i) => h("li", { class: i < at ? "done" : i === at && !["DECLINED", "WITHDRAWN", "EXPIRED", "CANCELLED"].includes(c.status) ? "now" : "" }, s))),
      main.length || others.length ? h("div", { class: "buttons" }, main.map((a, i) => step(a, i ? "secondary" : "primary small")), others.map((a) => step(a, ["cancel", "open_dispute", "decline"].includes(a) ? "quiet danger" : "quiet"))) : null,
      note,
      collaboration.dispute ? h("p", { class: "change" }, `Dispute: ${collaboration.dispute.reason}`) : null,
      h("dl", { class: "facts-list" }, facts(collaboration, balances, orders)),
      h("details", {}, h("summary", {}, "What happened"), h("ol", { class: "history" }, history.map((e) => h("li", {}, `${day(e.at)}: ${capital(plain(e.action.action || ""))}, by the ${e.party.role}`)))),
    ];
  });

  function facts(c, balances, orders) {
    const rows = [["Products", c.product_ids.map((p) => title(p)).join(", ")], ["Began", day(c.created)]];
    if (["INVITED", "APPLIED"].includes(c.status)) rows.push(["Answer due", day(c.respond_by)]);
    if (promised(c)) rows.push(["Content due", promised(c)]);
    if (c.content_due) rows.push(["Content due", day(c.content_due)]);
    if (c.rate_locked_until) rows.push(["Commission cannot be lowered before", day(c.rate_locked_until)]);
    if (c.content.length) rows.push(["Content", c.content.map((x) => x.content_id).join(", ")]);
    if (orders.length) rows.push(["Orders credited", String(orders.length)]);
    for (const b of balances.filter((x) => ACCOUNTS[x.account])) rows.push([ACCOUNTS[b.account], asMoney(0 - Number(b.amount), b.currency)]);
    return rows.flatMap(([name, value]) => [h("dt", {}, name), h("dd", { dir: "auto" }, value)]);
  }

  async function take(c, action, note, button) {
    const send = (body) => call("POST", `/v1/collaborations/${c.id}/actions`, { key: me.key, body: { action, ...body } });
    const reason = [{ name: "reason", label: "Why?", maxlength: 500 }];
    const asked = {
      publish: () => ask("Content is live", "Viewers have to be told that it is paid for: by the platform’s label, or a hashtag in the caption.", [
        { name: "content_id", label: "Number or address of the video, as the platform names it", pattern: "[A-Za-z0-9._:\\/\\-]{1,128}" },
        { name: "by", label: "How are viewers told?", type: "select", value: "platform_label", options: [["platform_label", "The platform’s label for paid content"], ["hashtag", "A hashtag in the caption"]] },
        { name: "caption", label: "Caption", type: "textarea", maxlength: 4000 },
        { name: "hashtag", label: "The hashtag, if any (as ad)", required: false, maxlength: 100 }], "Report it",
      (v) => send({ content_id: v.content_id, caption: v.caption, disclosure: v.by === "hashtag" ? { by: "hashtag", hashtag: v.hashtag.replace(/^#/, "") } : { by: "platform_label" } })),
      ask_extension: () => ask("Ask for more time", "", [{ name: "days", label: "Days", type: "number", min: 1, max: 90, value: 7 }], "Ask", (v) => send({ days: Number(v.days) })),
      change_rate: () => ask("Change the commission", "Orders get it from now on; while it is locked it can only be raised.", [{ name: "rate", label: "Percent", type: "number", min: 0, max: 100, step: 0.5, value: c.rates.at(-1).commission_rate / 100 }], "Change it", (v) => send({ commission_rate: Math.round(Number(v.rate) * 100) })),
      cancel: () => ask("Call it off?", "The other side is told why.", reason, "Call it off", send),
      open_dispute: () => ask("Open a dispute?", "Everything that is not settled is frozen until the platform decides.", reason, "Open it", send),
    }[action];
    button.disabled = true;
    try {
      const done = asked ? await asked() : await send({});
      if (done) await load();
    } catch (error) {
      note.textContent = said(error);
    }
    button.disabled = false;
  }

  load();
  return begin;
}

function earnings({ balances, settlements }, me) {
  const of = (name) => balances.filter((b) => b.account === name && Number(b.amount) !== 0);
  const tiles = Object.entries(ACCOUNTS).map(([name, text]) => [text, of(name)]);
  if (!tiles.some(([, found]) => found.length)) return [];
  return [...tiles.map(([text, found]) => h("section", { class: "stat" }, h("h3", {}, text),
    h("span", { class: "value" }, found.length ? found.map((b) => asMoney(0 - Number(b.amount), b.currency)).join(" + ") : "–"))),
  h("section", { class: "stat" }, h("h3", {}, me.role === "merchant" ? "Settlements to creators" : "Settlements to you"), h("span", { class: "value" }, settlements.length))];
}
