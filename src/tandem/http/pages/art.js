// A picture for a product that has none: a glyph of its kind, or its initials, on a quiet ground.
import { h, svg } from "./dom.js";

// Drawn on a 24 × 24 grid. The first kind whose words are in the category or title is taken.
const KINDS = [
  [/headphone|earbud|headset|earphone/, "M4 14v-2a8 8 0 0 1 16 0v2M4 14h3v6H5.5A1.5 1.5 0 0 1 4 18.500zM20 14h-3v6h1.500a1.500 1.500 0 0 0 1.500-1.500z"],
  [/speaker|soundbar|loudspeaker/, "M7 3h10v18H7zM12 17.500a3 3 0 1 0 0-6 3 3 0 0 0 0 6M12 7.500v.01"],
  [/toner|ink cartridge|cartridge/, "M4 9h16v9H4zM7 9V6h10v3M8 13h8M8 15.500h5"],
  [/printer|scanner|multifunction|\bmfp\b|copier/, "M7 9V3h10v6M7 17H4V9h16v8h-3M7 14h10v7H7z"],
  [/laptop|notebook|ultrabook|chromebook/, "M5 5h14v10H5zM2.500 19h19l-2.500-4H5z"],
  [/\btv\b|television|monitor|display|\blcd\b|\bled tv/, "M3 5h18v11H3zM9 20h6M12 16v4"],
  [/projector/, "M3 8h18v9H3zM15.500 15a2.500 2.500 0 1 0 0-5 2.500 2.500 0 0 0 0 5M6 11h3M6 17v2M18 17v2"],
  [/\bcases?\b|\bcovers?\b|sleeve|pouch|folio/, "M7 3h10v18H7zM7 7h10M10 11h4"],
  [/phone|smartphone|handset/, "M8 2.500h8v19H8zM11 18.500h2"],
  [/tablet|ipad|kindle|e-reader/, "M5 3h14v18H5zM11 18h2"],
  [/camera|camcorder|lens|webcam/, "M3 8h4l2-3h6l2 3h4v11H3zM12 16.500a3.500 3.500 0 1 0 0-7 3.500 3.500 0 0 0 0 7"],
  [/keyboard/, "M2.500 7h19v10h-19zM6 10.500h.01M9 10.500h.01M12 10.500h.01M15 10.500h.01M18 10.500h.01M8 14h8"],
  [/\bmouse\b|\bmice\b|trackball/, "M12 3a6 6 0 0 0-6 6v6a6 6 0 0 0 12 0V9a6 6 0 0 0-6-6zM12 3v6"],
  [/server|rack|workstation|desktop|\bpc\b|barebone|computer/, "M7 3h10v18H7zM10 6.500h4M10 9.500h4M12 17v.01"],
  [/cable|adapter|adaptor|connector|patch|hdmi|usb hub|splitter/, "M9 3v4M15 3v4M7 7h10v4a5 5 0 0 1-10 0zM12 16v5"],
  [/drive|\bssd\b|\bhdd\b|storage|flash|memory|\bram\b|module/, "M5 4h14v16H5zM8 8h8M8 11h8M8 17v.01M11 17v.01"],
  [/router|switch|wireless access|wlan|network|modem|\blan\b/, "M3 14h18v6H3zM7 17v.01M10 17v.01M17 14V8M13.500 7.500a5 5 0 0 1 7 0"],
  [/battery|power bank|\bups\b|charger|power supply/, "M3 8h15v8H3zM18 11h3v2h-3M11 9.500 9 12h3l-2 2.500"],
  [/\bwatch(es)?\b|smartwatch|wearable|fitness band/, "M12 17a5 5 0 1 0 0-10 5 5 0 0 0 0 10M9.500 7.500 10 3h4l.5 4.500M9.500 16.500 10 21h4l.5-4.500M12 10v2l1.500 1"],
  [/shoe|sneaker|\bboots?\b|sandal|slipper/, "M3 17V9l3 1 3-2 4 5 6 1.500a2 2 0 0 1 2 2V19H3z"],
  [/shirt|hoodie|jacket|\bdress|clothing|sweater|\bcoats?\b|blouse|\bpants?\b|jeans|apparel/, "M8 3 3 6l2 4 2-1v12h10V9l2 1 2-4-5-3a4 4 0 0 1-8 0z"],
  [/backpack|\bbag\b|purse|luggage|suitcase|tote/, "M5 9h14l1 12H4zM8.500 12V7a3.500 3.500 0 0 1 7 0v5"],
  [/\blamps?\b|\blight(s|ing)?\b|bulb|chandelier|lantern/, "M8 3h8l3 9H5zM12 12v8M8.500 20.500h7"],
  [/coffee|espresso|mug|\bcup\b|tea\b|kettle/, "M4 8h13v7a5 5 0 0 1-5 5H9a5 5 0 0 1-5-5zM17 10h1.500a2.500 2.500 0 0 1 0 5H17M8 2.500V5M12.500 2.500V5"],
  [/\bbeds?\b|mattress|pillow|bed sheet|blanket|bedding/, "M3 19V6M3 15h18v4M21 15v-2a3 3 0 0 0-3-3H9v5M6 12.500v.01"],
  [/sofa|chair|couch|furniture|\bbench|stool|\btables?\b|\bdesks?\b|shelf|cabinet/, "M6 11V5h12v6M4 10.500A2 2 0 0 1 6 12.500V14h12v-1.500a2 2 0 0 1 4 0V18H2v-5.500a2 2 0 0 1 2-2zM5 18v2.500M19 18v2.500"],
  [/book|novel|paperback|notepad|journal/, "M5 4h11a3 3 0 0 1 3 3v14H8a3 3 0 0 1-3-3zM5 18a3 3 0 0 1 3-3h11"],
  [/\btoys?\b|\bgames?\b|puzzle|lego|doll|console|controller/, "M7 8h10a5 5 0 0 1 4.500 7.500c-1 2-3 1.500-4.500-.5H7c-1.500 2-3.500 2.500-4.500.5A5 5 0 0 1 7 8zM7.500 10.500v3M6 12h3M15.500 11v.01M17.500 13v.01"],
  [/\bdrill|wrench|\btools?\b|screw|hammer|\bsaw\b/, "M14.500 6.500a4 4 0 0 1 5-3.500l-2.500 3 1 2 2.500.500 2-1.500a4 4 0 0 1-5.500 3.500L8 19.500A2.100 2.100 0 1 1 5 16.500l9-8z"],
  [/towel|curtain|rug|carpet|textile|fabric|linen/, "M6 4h10v16H6zM16 7h3v13h-3M6 16h10M6 18h10"],
  [/shampoo|lotion|\bcreams?\b|beauty|makeup|perfume|\bsoaps?\b|serum|skin care/, "M8 10h8v11H8zM10 10V6h4v4M10 3h4v3M8 14h8"],
  [/bottle|\bdrink|\bwine|juice|flask/, "M10 2.500h4V6l2 4v11H8V10l2-4zM8 13h8"],
  [/kitchen|pan\b|\bpot\b|cookware|knife|blender|oven|microwave/, "M4 10h13v5a5 5 0 0 1-5 5H9a5 5 0 0 1-5-5zM17 12h5M8 3v3M12.500 3v3"],
  [/\bdogs?\b|\bcats\b|\bpets?\b|aquarium/, "M12 20c-3 0-5-1.500-5-3.500S10 12 12 12s5 2.500 5 4.500-2 3.500-5 3.500M5.500 11v.5M9.500 7v.5M14.500 7v.5M18.500 11v.5"],
  [/bike|bicycle|cycling/, "M6 19a3.500 3.500 0 1 0 0-7 3.500 3.500 0 0 0 0 7M18 19a3.500 3.500 0 1 0 0-7 3.500 3.500 0 0 0 0 7M6 15.500 9.500 8h5l3.500 7.500M9.500 8l3 7.500L15 9"],
  [/\bplants?\b|garden|flower|\btrees?\b|\bseeds?\b/, "M12 21v-9M12 13c0-4-3-6-7-6 0 4 3 6 7 6M12 12c0-4 3-7 7-7 0 4-3 7-7 7M8 21h8"],
];

function hash(text) {
  let value = 2166136261;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 16777619);
  return value >>> 0;
}

function initials(product) {
  const words = (product.brand || product.category.at(-1) || product.title).match(/[\p{L}\p{N}]+/gu);
  return (words || ["?"]).slice(0, 2).map((w) => [...w][0].toUpperCase()).join("");
}

export function art(product) {
  const url = product.images.find((u) => u.startsWith("https://"));
  if (url) {
    const image = h("img", { class: "art", src: url, alt: "", loading: "lazy", decoding: "async", referrerpolicy: "no-referrer" });
    image.addEventListener("error", () => image.replaceWith(drawn(product)), { once: true });
    return image;
  }
  return drawn(product);
}

// The narrowest category that says something; a title mentions too much besides what it is for,
// so it is read only where there is no category, and only its start.
function kindOf(product) {
  const start = product.title.split(/\s+/).slice(0, 7).join(" ");
  const texts = product.category.length ? [...product.category].reverse() : [start];
  for (const text of texts) {
    const kind = KINDS.find(([words]) => words.test(text.toLowerCase()));
    if (kind) return kind;
  }
  return null;
}

function drawn(product) {
  const seed = hash(product.category.join(">") || product.brand || product.title);
  const own = hash(product.id);
  const kind = kindOf(product);
  const node = svg("svg", { class: "art", viewBox: "0 0 160 120", preserveAspectRatio: "xMidYMid slice", "aria-hidden": "true" });
  node.style.setProperty("--h", String(seed % 360));
  const x = 24 + (own % 112);
  const y = own % 2 ? 10 : 110;
  node.append(
    svg("circle", { class: "a", cx: x, cy: y, r: 42 + (own % 17) }),
    svg("circle", { class: "b", cx: 160 - x, cy: 120 - y, r: 22 + (own % 13) }),
  );
  if (kind) {
    node.append(svg("g", { class: "glyph", transform: "translate(52 32) scale(2.35)" }, svg("path", { d: kind[1] })));
  } else {
    const letters = svg("text", { x: 80, y: 72, "text-anchor": "middle" });
    letters.textContent = initials(product);
    node.append(letters);
  }
  return node;
}
