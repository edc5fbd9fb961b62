const found = [];
const shown = (one) => one.getClientRects().length > 0 && getComputedStyle(one).visibility !== "hidden";
const nameOf = (one) => (one.getAttribute("aria-label") || (one.getAttribute("aria-labelledby") || "").split(" ").map((id) => document.getElementById(id)?.innerText || "").join("")
  || [...(one.labels || [])].map((label) => label.textContent).join("") || one.textContent || one.title || one.alt || "").trim();
const at = (one) => one.outerHTML.slice(0, 120);
for (const one of document.querySelectorAll("a[href], button, input:not([type=hidden]), select, textarea, summary, svg[role=img]")) {
  if (shown(one) && !nameOf(one)) found.push(`no name: ${at(one)}`);
}
if (document.querySelectorAll("main").length !== 1) found.push("not one main part");
if (document.querySelectorAll("h1").length !== 1) found.push("not one first heading");
if (!document.documentElement.lang) found.push("no language");
let before = 0;
for (const one of document.querySelectorAll("h1, h2, h3, h4, h5, h6")) {
  const level = Number(one.tagName[1]);
  if (before && level > before + 1) found.push(`h${level} after h${before}: ${one.innerText}`);
  before = level;
}
const ids = new Set();
for (const one of document.querySelectorAll("[id]")) {
  if (ids.has(one.id)) found.push(`twice: #${one.id}`);
  ids.add(one.id);
}
for (const one of document.querySelectorAll("[aria-describedby], [aria-labelledby], label[for]")) {
  const names = [one.getAttribute("aria-describedby"), one.getAttribute("aria-labelledby"), one.getAttribute("for")];
  for (const id of names.filter(Boolean).flatMap((text) => text.split(" "))) {
    if (!document.getElementById(id)) found.push(`names what is not there: #${id}`);
  }
}
// Contrast as WCAG 2 has it, of text on the nearest ground that is not clear.
const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
const channels = (color) => {
  canvas.clearRect(0, 0, 1, 1);
  canvas.fillStyle = color;
  canvas.fillRect(0, 0, 1, 1);
  return [...canvas.getImageData(0, 0, 1, 1).data];
};
const luminance = ([red, green, blue]) => {
  const part = (value) => { const share = value / 255; return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4; };
  return 0.2126 * part(red) + 0.7152 * part(green) + 0.0722 * part(blue);
};
const ground = (one) => {
  for (let place = one; place; place = place.parentElement) {
    const color = channels(getComputedStyle(place).backgroundColor);
    if (color[3] === 255) return color;
  }
  return channels("Canvas");
};
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
for (let text = walker.nextNode(); text; text = walker.nextNode()) {
  const one = text.parentElement;
  if (!text.data.trim() || !shown(one) || one.closest("script, style, svg, .skip, .visually-hidden")) continue;
  const [light, dark] = [luminance(channels(getComputedStyle(one).color)), luminance(ground(one))].sort((a, b) => b - a);
  const contrast = (light + 0.05) / (dark + 0.05);
  if (contrast < 4.5) found.push(`contrast ${contrast.toFixed(2)}: ${text.data.trim().slice(0, 40)}`);
}
return [...new Set(found)];
