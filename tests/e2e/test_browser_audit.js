// What an accessibility checker would say about the page as it is now; returns complaints.
const complaints = [];
const say = (what, element) => complaints.push(`${what}: ${element.outerHTML.slice(0, 140)}`);
const visible = (element) => element.checkVisibility({ checkVisibilityCSS: true, checkOpacity: true });
const named = (element) =>
  element.getAttribute("aria-label")?.trim() ||
  (element.getAttribute("aria-labelledby") && document.getElementById(element.getAttribute("aria-labelledby"))?.textContent.trim()) ||
  element.textContent.trim() || element.title;

for (const e of document.querySelectorAll("input, select, textarea")) {
  if (visible(e) && !e.labels?.length && !e.getAttribute("aria-label")) say("no label", e);
}
for (const e of document.querySelectorAll("button, a[href], [role=button]")) if (visible(e) && !named(e) && !e.querySelector("img[alt]:not([alt=''])")) say("no name", e);
for (const e of document.querySelectorAll("img:not([alt])")) say("no alt", e);
for (const e of document.querySelectorAll("svg:not([aria-hidden]):not([aria-label])")) say("unnamed picture", e);
for (const e of document.querySelectorAll("[aria-controls], [aria-labelledby]")) {
  for (const id of (e.getAttribute("aria-controls") || e.getAttribute("aria-labelledby")).split(" ")) if (!document.getElementById(id)) say("refers to nothing", e);
}
const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
for (const id of new Set(ids.filter((id, i) => ids.indexOf(id) !== i))) complaints.push(`id twice: ${id}`);
if ([...document.querySelectorAll("h1")].filter(visible).length !== 1) complaints.push("not exactly one h1");
for (const name of ["main", "header", "footer"]) if (document.querySelectorAll(`body > ${name}`).length !== 1) complaints.push(`not one ${name}`);
if (!document.documentElement.lang) complaints.push("no language");
for (const e of document.querySelectorAll("ol > :not(li), ul > :not(li), dl > :not(dt):not(dd)")) say("not a list item", e);

// Contrast by WCAG 2.2, 1.4.3. A canvas turns any CSS colour into red, green, blue and opacity.
const context = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
const rgba = (colour) => {
  context.clearRect(0, 0, 1, 1);
  context.fillStyle = colour;
  context.fillRect(0, 0, 1, 1);
  return [...context.getImageData(0, 0, 1, 1).data];
};
const over = ([r, g, b, a], below) => [r, g, b].map((c, i) => (c * a + below[i] * (255 - a)) / 255);
const luminance = (colour) => {
  const [r, g, b] = colour.map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const ground = (element) => {
  if (!element) return [255, 255, 255];
  const colour = rgba(getComputedStyle(element).backgroundColor);
  return colour[3] === 255 ? colour.slice(0, 3) : over(colour, ground(element.parentElement));
};
const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
const seen = new Set();
while (texts.nextNode()) {
  const element = texts.currentNode.parentElement;
  if (!texts.currentNode.data.trim() || seen.has(element) || !visible(element)) continue;
  if (element.closest("svg, script, .hidden, .skip, option, .option.none, [aria-hidden=true], .banner")) continue;
  seen.add(element);
  const style = getComputedStyle(element);
  const behind = ground(element);
  const [lighter, darker] = [luminance(over(rgba(style.color), behind)), luminance(behind)].sort((a, b) => b - a);
  const ratio = (lighter + 0.05) / (darker + 0.05);
  const size = Number.parseFloat(style.fontSize);
  const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
  if (ratio < (large ? 3 : 4.5)) say(`contrast ${ratio.toFixed(2)}`, element);
}
return complaints;
