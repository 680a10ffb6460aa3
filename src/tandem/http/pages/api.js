// The HTTP API, and the shop's facts that the server wrote into the page.

export const facts = JSON.parse(document.getElementById("facts").textContent);

export class Failure extends Error {
  constructor(status, problem) {
    super(problem.detail || "the server could not answer");
    this.status = status;
    this.remedy = problem.remedy || "";
  }
}

export async function call(method, path, { body, signal, key } = {}) {
  const headers = { Accept: "application/json" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (key) headers["X-API-Key"] = key;
  let response;
  try {
    response = await fetch(path, { method, headers, signal, body: body && JSON.stringify(body) });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Failure(0, { detail: "the server cannot be reached", remedy: "check that it is running" });
  }
  if (!response.ok) throw new Failure(response.status, await response.json().catch(() => ({})));
  return response.status === 204 ? null : response.json();
}

export const search = (body, signal) => call("POST", "/v1/search", { body, signal });
// Products for a field that offers a few while one types.
export const few = async (q, filters, signal) => (await search({ q, size: 6, filters }, signal)).hits.map((hit) => hit.product);
// A merchant's own products; one that names no merchant is its brand's.
export const fewOf = (merchant) => async (q, signal) => {
  const sold = await few(q, { merchant: [merchant] }, signal);
  return sold.length ? sold : (await few(q, { brand: [merchant] }, signal)).filter((p) => !p.merchant);
};
export const suggest = (q, signal) => call("GET", `/v1/suggest?limit=8&q=${encodeURIComponent(q)}`, { signal });
// Slashes stay: an id may hold them, and the address matches it as a path.
export const productPath = (id) => id.split("/").map(encodeURIComponent).join("/");

const formats = new Map();
export function money({ amount, currency }) {
  if (!formats.has(currency)) {
    formats.set(currency, new Intl.NumberFormat(undefined, { style: "currency", currency }));
  }
  return formats.get(currency).format(Number(amount));
}
export const count = (n) => n.toLocaleString();

// How long the shop took for an answer.
export const milliseconds = ({ timings_ms: t }) => t.total ?? Object.values(t).reduce((a, b) => a + b, 0);

const FIELDS = { brand: "Brand", merchant: "Seller", category: "Category", language: "Language" };
export const isField = (name) => name in FIELDS;

// "contrast_ratio__typical_" reads "Contrast ratio (typical)".
export function label(name) {
  if (FIELDS[name]) return FIELDS[name];
  const words = name.replace(/__(.+?)_?$/, " ($1)").replaceAll("_", " ").trim();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

export function valueText(value) {
  if (value === true || value === "true") return "Yes";
  if (value === false || value === "false") return "No";
  if (typeof value === "number") return value.toLocaleString(undefined, { maximumFractionDigits: 4 });
  return String(value);
}
