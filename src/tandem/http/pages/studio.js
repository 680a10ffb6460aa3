// Creator studio: what to make, the brief for it, checks before posting, collaborations, what worked.
import { art } from "./art.js";
import { call, few, productPath } from "./api.js";
import { $, h, icon, svg } from "./dom.js";
import { asMoney, busy, capital, day, empty, failed, fill, growing, many, percent, said, signIn, tabs, waiting } from "./center.js";
import { inbox } from "./deals.js";
import { chooser } from "./picker.js";

const TICK = "m5 12.500 4.500 4.500L19 7.500";
const CROSS = "m6 6 12 12M18 6 6 18";
const DOT = "M12 7v6M12 16.500v.01M12 3.500a8.500 8.500 0 1 1 0 17 8.500 8.500 0 0 1 0-17";
const KEPT = "studio-key";
let me = null;
let creator = "";
let tab = "make";
const drawn = new Set();
const within = (gpm) => (!gpm ? "–" : [gpm.minimum_amount, gpm.maximum_amount].filter((x, i) => i === 0 || (x !== null && x !== gpm.minimum_amount)).map((x) => asMoney(x, gpm.currency)).join(" – ") + (gpm.maximum_amount === null ? " or more" : ""));
const rate = (value) => (value === null ? "–" : percent(value));

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
  creator = me.role === "creator" ? me.tenant : $("creator").value.trim() || sessionStorage.getItem("studio-creator") || "";
  if (!me.permissions.includes("own_reports") || (me.role !== "creator" && !all)) {
    $("sign-error").textContent = `This is a key for a ${me.role.replaceAll("_", " ")}; the studio takes a creator’s.`;
    me = null;
  } else if (!creator) {
    $("creator-field").hidden = false;
    $("creator").required = true;
    $("creator").focus();
    me = null;
  } else {
    sessionStorage.setItem(KEPT, me.key);
    sessionStorage.setItem("studio-creator", creator);
    $("who").replaceChildren(creator, h("small", {}, "Creator studio"));
    $("tools").hidden = false;
    drawn.clear();
    show(tab);
  }
}

$("leave").addEventListener("click", () => {
  sessionStorage.removeItem(KEPT);
  sessionStorage.removeItem("studio-creator");
  location.assign("/studio");
});

const choose = tabs((name) => show(name));

function show(name) {
  tab = name;
  $("sign").hidden = Boolean(me);
  $(`panel-${name}`).hidden = !me;
  if (!me || drawn.has(name)) return;
  drawn.add(name);
  ({ make: home, deals, worked })[name]?.();
}

const label = (simulated) => (simulated ? h("p", { class: "label ask" }, "Simulated creators and content") : null);

// --- What to make ---------------------------------------------------------------------------------

function home() {
  return fill($("home"), async () => {
    const [found, matched] = await Promise.all([
      call("GET", `/v1/studio/home?${new URLSearchParams({ creator })}`, me).catch((error) => { if (error.status !== 404) throw error; }),
      // A shop without a trained matcher proposes by the creator's own history.
      call("GET", `/v1/match/products?${new URLSearchParams({ creator_id: creator, k: 12 })}`, me).catch(() => null)]);
    if (!found) return empty("Your profile is not here yet", "The platform brings creators’ profiles and content to this shop. Until then you can make a brief for any product.");
    const fits = matched?.matches.length ? matched.matches.map(matching) : found.products.map(own);
    return [label(found.simulated),
      h("h2", { class: "section-head" }, "Products that fit you ", h("small", {}, found.topics.length ? `You show ${found.topics.join(", ")}` : "")),
      fits.length ? h("ul", { class: "fits" }, fits.map(fit)) : empty("No products yet", "Products of your topics show up here once you have posted about some."),
      h("section", { class: "panel", "aria-labelledby": "gaps-head" }, h("h2", { id: "gaps-head" }, "Often searched, rarely shown"),
        h("p", { class: "muted" }, "What shoppers type within your topics, and how many videos there are for it."),
        found.gaps.length ? h("ul", { class: "gaps" }, found.gaps.map(gap)) : h("p", {}, "Nothing was asked by enough people yet."))];
  }, waiting(6));
}

const between = (e, currency) => (e.low > 0 ? `${asMoney(e.low, currency, 0)} to ${asMoney(e.high, currency, 0)}` : `up to ${asMoney(e.high, currency, 0)}, or nothing`);

// One shape for what a learned matcher expects and for what the creator's own history says.
function own(p) {
  const e = p.earnings;
  return { ...p, usual: e?.middle, currency: e?.currency,
    says: e && `${between(e, e.currency)} for 6 of 10 like it: ${many(e.pieces, "piece")} ${e.own ? "of yours" : "by similar creators, at your reach"}, at ${e.commission_rate / 100}% commission` };
}

function matching(m) {
  const c = m.commission;
  return { ...m, category: [], usual: c?.expected, currency: m.one_piece.currency,
    says: c && `${between(c, m.one_piece.currency)}, 8 times of 10, at ${m.commission_rate / 100}% commission` };
}

function fit(p) {
  return h("li", { class: "fit", data: { id: p.product_id } }, art({ ...p, id: p.product_id, images: [], brand: null }), h("div", {},
    h("h3", { dir: "auto" }, h("a", { href: `/p/${productPath(p.product_id)}` }, p.title)),
    h("p", { class: "muted small", dir: "auto" }, [p.price && asMoney(p.price.amount, p.price.currency), p.merchant].filter(Boolean).join(" · ")),
    p.says ? h("p", { class: "earn" }, `About ${asMoney(p.usual, p.currency, p.usual < 10 ? 2 : 0)} a video`, h("small", {}, capital(p.says)))
      : h("p", { class: "earn" }, "–", h("small", {}, "too little is known to say what it brings")),
    h("ul", {}, p.reasons.map((r) => h("li", {}, r))),
    h("div", { class: "buttons" }, h("button", { type: "button", class: "primary small", onclick: () => brief(p.product_id) }, "Make a brief"),
      me.role === "creator" && p.merchant ? named("secondary", "Apply", `Apply to ${p.merchant} for ${p.title}`, () => apply(p)) : null)));
}

function named(css, text, label, act) {
  const button = h("button", { type: "button", class: css, onclick: act }, text);
  button.setAttribute("aria-label", label);
  return button;
}

function gap(g) {
  const button = named("secondary", "Make a brief", `Make a brief for ${g.title}, for the query ${g.query}`, () => brief(g.product_id));
  return h("li", {}, h("span", {}, h("b", { dir: "auto" }, g.query), h("small", { dir: "auto" }, g.title)),
    h("span", { class: "figures" }, h("strong", {}, g.asked.toLocaleString()), " searches, ", h("strong", {}, g.content.toLocaleString()), g.content === 1 ? " video" : " videos"), button);
}

// --- The brief --------------------------------------------------------------------------------------

const anything = (q, signal) => few(q, {}, signal);
const any = chooser($("any"), $("any-products"), anything, (product) => brief(product.id));
const checked = chooser($("check-product"), $("check-products"), anything, () => $("check-words").focus());
$("pick").addEventListener("submit", (event) => { event.preventDefault(); any.close(); brief(any.id()); });

async function brief(id) {
  const asked = new URLSearchParams({ product_id: id });
  const made = fill($("brief"), async () => {
    const [b, { captions }] = await Promise.all([call("GET", `/v1/studio/brief?${asked}`, me), call("GET", `/v1/studio/captions?${asked}`, me)]);
    checked.take({ id, title: b.title });
    return drawnBrief(b, captions);
  }, busy("Writing your brief …"));
  $("brief").scrollIntoView({ block: "start" });
  await made;
  $("brief").focus({ preventScroll: true });
}

function drawnBrief(b, captions) {
  const words = (k) => (k.asked === null ? k.text : `${k.text} · ${k.asked.toLocaleString()}`);
  const hook = (x, i) => h("label", {}, h("input", { type: "radio", name: "hook", value: String(i), checked: i === 0 }), h("span", { class: "kind" }, x.kind), h("span", { dir: "auto" }, `“${x.say}”`), h("small", {}, capital(x.show)));
  const list = (css, rows) => h("ul", { class: `plain-list ${css}` }, rows.map((r) => h("li", { dir: "auto" }, capital(r))));
  const said_ = () => script(b, b.hooks[Number(document.querySelector("input[name=hook]:checked")?.value || 0)], captions[0]);
  return h("article", { class: "panel brief", data: { product: b.product_id } },
    h("div", { class: "brief-head" }, h("div", {}, h("p", { class: "muted" }, "Brief for ", h("a", { href: `/p/${productPath(b.product_id)}`, dir: "auto" }, b.title)), h("p", { class: "message", dir: "auto" }, b.key_message)),
      h("div", { class: "buttons" }, copier("Copy the brief", said_), h("button", { type: "button", class: "secondary", onclick: () => print() }, "Print"))),
    h("fieldset", { class: "plain" }, h("legend", {}, "Choose a hook"), h("div", { class: "hooks" }, b.hooks.map(hook))),
    h("div", { class: "two" },
      h("div", {}, h("h3", {}, "Scene by scene"), h("ol", { class: "scenes" }, b.scenes.map((s) => h("li", {}, h("span", { class: "when" }, `${s.seconds[0]}–${s.seconds[1]} s`), h("div", {}, h("b", {}, s.name), h("p", {}, `Show: ${s.show}`), h("p", { class: "muted" }, `Say: ${s.say}`)))))),
      h("div", { class: "stack" },
        h("div", {}, h("h3", {}, "Words to say and show"), h("p", { class: "words" }, b.keywords.map((k) => h("span", { dir: "auto" }, words(k))))),
        h("div", {}, h("h3", {}, "Do"), list("yes", b.do)), h("div", {}, h("h3", {}, "Don’t"), list("no", b.dont)),
        h("div", {}, h("h3", {}, "Facts you may state"), list("", b.facts)),
        b.unknown.length ? h("p", { class: "muted" }, `The listing does not say ${b.unknown.join(", ")}: leave it out.`) : null,
        h("p", { class: "change" }, b.disclosure))),
    h("div", {}, h("h3", {}, "Captions, ready to post"), captions.map((c) => h("div", { class: "caption" }, h("p", { dir: "auto" }, c.text), h("div", { class: "buttons" }, copier("Copy", () => c.text),
      h("button", { type: "button", class: "quiet", onclick: () => { $("check-words").value = c.text; checked.take({ id: b.product_id, title: b.title }); choose("check"); } }, "Check it"))))));
}

function copier(text, give) {
  const button = h("button", { type: "button", class: "secondary" }, text);
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(give());
      button.textContent = "Copied";
    } catch {
      button.textContent = "Copying is not allowed here";
    }
    setTimeout(() => { button.textContent = text; }, 1800);
  });
  return button;
}

function script(b, hook, caption) {
  return [b.title, "", b.key_message, "", `Hook: ${hook.say} (${hook.show})`, "", ...b.scenes.map((s) => `${s.seconds[0]}–${s.seconds[1]} s, ${s.name}: ${s.show}. ${s.say}`),
    "", "Do:", ...b.do.map((x) => `- ${x}`), "Don't:", ...b.dont.map((x) => `- ${x}`), "", `Facts: ${b.facts.join("; ")}`, b.disclosure, "", caption?.text || ""].join("\n");
}

// --- Checks -----------------------------------------------------------------------------------------

function findings(report) {
  const order = (c) => (c.passed ? 2 : c.must ? 0 : 1);
  const rows = [...report.checks].sort((a, b) => order(a) - order(b));
  return [
    h("p", { class: `verdict ${report.ready ? "ok" : "todo"}` }, icon(report.ready ? TICK : CROSS), report.ready ? "Ready to post" : "Not ready yet"),
    h("ul", { class: "items" }, rows.map((c) => h("li", { class: `check ${c.passed ? "ok" : c.must ? "must" : "todo"}` }, icon(c.passed ? TICK : c.must ? CROSS : DOT),
      h("div", {}, h("b", {}, c.name), ` – ${c.says}`, c.passed ? null : h("p", { class: "muted" }, `${capital(c.remedy)}.`))))),
  ];
}

$("check-text").addEventListener("submit", (event) => {
  event.preventDefault();
  fill($("text-report"), async () => {
    const report = await call("POST", "/v1/studio/check", { key: me.key, body: { product_id: checked.id(), text: $("check-words").value, labelled: $("labelled").checked } });
    return [...findings(report), report.claims.length ? h("p", { class: "muted" }, "Claims that were found") : null,
      report.claims.length ? h("ul", { class: "items" }, report.claims.map((c) => h("li", {}, h("div", { class: "row" }, h("span", { dir: "auto" }, `“${c.text}”`), h("span", { class: `label ${c.verdict === "supported" ? "ok" : "ask"}` }, c.verdict)), h("span", { class: "muted" }, [c.evidence, c.remedy].filter(Boolean).join(". "))))) : null];
  }, busy("Reading it …"));
});

$("video").addEventListener("change", () => {
  const file = $("video").files[0];
  $("video-name").textContent = file ? `${file.name}, ${(file.size / 1e6).toFixed(1)} MB` : "MP4, MOV, WebM or Matroska, up to 128 MB";
});
for (const kind of ["dragover", "dragleave", "drop"]) {
  $("drop").addEventListener(kind, (event) => {
    event.preventDefault();
    $("drop").classList.toggle("over", kind === "dragover");
    if (kind === "drop" && event.dataTransfer.files.length) {
      $("video").files = event.dataTransfer.files;
      $("video").dispatchEvent(new Event("change"));
    }
  });
}

$("check-video").addEventListener("submit", (event) => {
  event.preventDefault();
  fill($("video-report"), async () => {
    const response = await fetch("/v1/studio/video", { method: "POST", headers: { "X-API-Key": me.key, "Content-Type": "application/octet-stream" }, body: $("video").files[0] });
    const report = await response.json();
    if (!response.ok) return failed({ status: response.status, message: report.detail, remedy: report.remedy });
    return [...findings(report), strip(report.facts)];
  }, busy("Watching it …"));
});

function strip(f) {
  const mark = (css, from, to) => {
    const node = h("i", { class: css });
    node.style.setProperty("--from", from / f.seconds);
    node.style.setProperty("--share", Math.max(0, to - from) / f.seconds);
    return node;
  };
  return h("div", {}, h("div", { class: "strip", role: "img", "aria-label": `${f.seconds} seconds with ${f.cuts.length} cuts` },
    f.black.map((s) => mark("black", s.start, s.end)), f.frozen.map((s) => mark("frozen", s.start, s.end)), f.cuts.map((c) => mark("", c, c))),
  h("p", { class: "axis", "aria-hidden": "true" }, h("span", {}, "0 s"), h("span", {}, `${f.cuts.length} cuts`), h("span", {}, `${f.seconds} s`)));
}

// --- Collaborations -----------------------------------------------------------------------------------

let begin = null;

function deals() {
  if (me.role !== "creator") return $("deals").replaceChildren(empty("A creator’s own inbox", "Invitations and deadlines are between a merchant and a creator: a creator’s key opens them."));
  begin = inbox($("deals"), me);
}

// From a product that fits to the inbox, with an application filled in.
function apply(p) {
  choose("deals");
  begin({ other: p.merchant, products: p.product_id, ...(p.commission_rate ? { rate: p.commission_rate / 100 } : {}) });
}

// --- What worked --------------------------------------------------------------------------------------

const MEASURES = [
  ["hook_rate", "Hook", "still there after 2 seconds, of those it was shown to"], ["hold_rate", "Hold", "reach a quarter, of those who stayed 2 seconds"],
  ["ctr", "Clicks", "opened the product, of those it was shown to"], ["ctor", "Orders", "ordered, of those who clicked"],
  ["gpm", "Sales", "sold by 1,000 views"],
];
const measured = (watching, name) => (!watching ? "–" : name === "gpm" ? within(watching.gpm) : rate(watching[name]));

function worked() {
  return fill($("worked"), async () => {
    const w = await call("GET", `/v1/studio/worked?${new URLSearchParams({ creator })}`, me).catch((error) => { if (error.status !== 404) throw error; });
    if (!w?.pieces.length) return empty("Nothing posted yet", "What you post shows up here with how it was watched and what it sold.");
    const rows = h("tbody", {});
    const more = growing(rows, w.pieces, piece, PIECES);
    return [label(w.simulated),
      h("div", { class: "cards" }, MEASURES.map(([name, title, says]) => h("section", { class: "stat" }, h("h3", { title: says }, title), h("span", { class: "value" }, measured(w.recent, name)),
        h("div", { class: "beside" }, h("div", {}, "Your earlier ones", h("b", {}, measured(w.past, name))), h("div", {}, w.similar ? `${w.similar.creators} similar creators` : "Similar creators", h("b", {}, measured(w.similar, name)))),
        h("p", { class: "line" }, capital(says))))),
      h("div", { class: "two" }, curve(w), h("section", { class: "panel" }, h("h2", {}, "What stands out"),
        w.says.length ? h("ul", { class: "items" }, w.says.map((s) => h("li", {}, s))) : h("p", { class: "muted" }, "No topic of yours is watched differently than the others, beyond chance."),
        h("p", { class: "muted" }, `Your last ${w.recent.pieces} pieces beside ${w.past ? `the ${w.past.pieces} before` : "nothing before yet"}. Pieces with fewer than ${w.k} views are left out.`))),
      h("section", { class: "panel", "aria-label": "Your content" }, h("div", { class: "wide" }, h("table", { class: "grid-table stacks pieces" },
        h("thead", {}, h("tr", {}, PIECE_HEADS.map((t, i) => h("th", { scope: "col", class: i > 1 ? "num" : null }, t)))),
        rows)), more)];
  }, waiting(4));
}

const PIECES = 12; // at first
const PIECE_HEADS = ["Content", "Posted", "Views", "Hook", "Hold", "Clicks", "Orders", "Sales"];

function piece(p) {
  const sales = p.gmv_low === null ? "–" : p.gmv_high === p.gmv_low ? asMoney(p.gmv_low, p.currency, 0) : `${asMoney(p.gmv_low, p.currency, 0)}${p.gmv_high === null ? " +" : ` – ${asMoney(p.gmv_high, p.currency, 0)}`}`;
  const number = (n) => (n === null ? "–" : n.toLocaleString());
  const values = [day(p.published), number(p.views), rate(p.hook_rate), rate(p.hold_rate), number(p.clicks), number(p.orders), sales];
  return h("tr", {}, h("th", { scope: "row", dir: "auto" }, p.caption || p.title || p.content_id),
    values.map((value, i) => h("td", { class: i ? "num" : "when", data: { head: PIECE_HEADS[i + 1] } }, value)));
}

function curve(w) {
  const marks = ["2 s", "25%", "50%", "75%", "end"];
  const width = 600, height = 200;
  const node = svg("svg", { class: "chart curve", viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img", "aria-label": `Share of viewers still there: ${w.recent.retention.map((v, i) => `${marks[i]} ${rate(v)}`).join(", ")}` });
  for (const [css, part] of [["similar", w.similar], ["past", w.past], ["ahead", w.recent]]) {
    if (!part) continue;
    const known = [1, ...part.retention].map((v, i) => [v, i]).filter(([v]) => v !== null);
    node.append(svg("path", { class: css, d: known.map(([v, i], n) => `${n ? "L" : "M"}${(i / 5) * width} ${height - 4 - v * (height - 8)}`).join("") }));
  }
  return h("section", { class: "panel" }, h("h2", {}, "How long viewers stay"),
    h("p", { class: "legend" }, h("span", {}, h("i", { class: "ahead" }), "Your last ones"), h("span", {}, h("i", {}), "Your earlier ones"), h("span", {}, h("i", { class: "similar" }), "Similar creators")), node,
    h("p", { class: "axis", "aria-hidden": "true" }, h("span", {}, "start"), marks.map((m) => h("span", {}, m))));
}

// --- Begin --------------------------------------------------------------------------------------------

signIn(KEPT, (error) => { $("sign-error").textContent = said(error); }).then((found) => {
  if (found) { me = found; enter(); } else show(tab);
});
