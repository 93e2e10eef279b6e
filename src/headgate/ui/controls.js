// Choices that stand in the page's address; `app.js` listens to all of them.

import { h } from "./dom.js";
import { here } from "./route.js";

export const SPANS = [["15m", "15 minutes"], ["1h", "1 hour"], ["24h", "24 hours"], ["7d", "7 days"], ["30d", "30 days"]];

// A select that sets `name` in the address.
export function choice(label, name, options, fallback) {
  const current = here().told.get(name) ?? fallback;
  return h("label", { class: "choice" }, h("span", null, label),
    h("select", { "data-sets": name }, options.map(([value, text]) => h("option", { value, selected: value === current }, text))));
}

export function controls(...children) {
  return h("div", { class: "controls" }, children);
}
