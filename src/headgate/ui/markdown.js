// The little Markdown that our own runbooks are written in, as nodes: headings, paragraphs, lists, code, tables, links.

import { h } from "./dom.js";
import { address } from "./route.js";

// `links` leads from a word in code, such as a rule's name, to an address.
export function markdown(text, links = new Map()) {
  const nodes = blocks(text);
  for (const node of nodes) {
    for (const code of node.querySelectorAll("code:not(pre code)")) {
      const to = links.get(code.textContent);
      if (to !== undefined) code.replaceWith(h("a", { href: to }, code.cloneNode(true)));
    }
  }
  return nodes;
}

function blocks(text) {
  const lines = text.split("\n");
  const nodes = [];
  while (lines.length) {
    const line = lines[0];
    if (!line.trim() || line.startsWith("<!--")) lines.shift();
    else if (line.startsWith("```")) nodes.push(code(lines));
    else if (/^#{2,4} /.test(line)) nodes.push(heading(lines.shift()));
    else if (/^(?:[-*]|\d+\.) /.test(line)) nodes.push(list(lines));
    else if (line.startsWith("|")) nodes.push(grid(lines));
    else nodes.push(h("p", null, inline(taken(lines, (next) => next.trim() && !/^(?:```|#{2,4} |[-*] |\d+\. |\|)/.test(next)).join(" "))));
  }
  return nodes;
}

// The first line, and those after it of which `goes` holds.
function taken(lines, goes) {
  const found = [lines.shift()];
  while (lines.length && goes(lines[0])) found.push(lines.shift());
  return found;
}

function heading(line) {
  const [, marks, words] = /^(#+) (.*)$/.exec(line);
  return h(`h${marks.length}`, null, inline(words));
}

function code(lines) {
  lines.shift();
  const block = [];
  while (lines.length && !lines[0].startsWith("```")) block.push(lines.shift());
  lines.shift();
  return h("pre", { tabindex: 0 }, h("code", null, block.join("\n")));
}

function list(lines) {
  const kind = /^\d/.test(lines[0]) ? "ol" : "ul";
  const items = [];
  while (lines.length && /^(?:[-*]|\d+\.) /.test(lines[0])) {
    const [first, ...rest] = taken(lines, (next) => /^\s+\S/.test(next));
    items.push(h("li", null, inline([first.replace(/^(?:[-*]|\d+\.) /, ""), ...rest.map((line) => line.trim())].join(" "))));
  }
  return h(kind, null, items);
}

function grid(lines) {
  const rows = taken(lines, (next) => next.startsWith("|")).map((line) => line.slice(1, line.trimEnd().lastIndexOf("|")).split("|").map((cell) => cell.trim()));
  const [head, , ...body] = rows;
  return h("div", { class: "scroll", role: "region", tabindex: 0, "aria-label": head.join(", ") },
    h("table", null,
      h("thead", null, h("tr", null, head.map((cell) => h("th", { scope: "col" }, inline(cell))))),
      h("tbody", null, body.map((row) => h("tr", null, row.map((cell) => h("td", null, inline(cell))))))));
}

const PARTS = /`([^`]+)`|\*\*([^*]+)\*\*|\*([^*\s][^*]*)\*|\[([^\]]+)\]\(([^)\s]+)\)/g;

export function inline(text) {
  const nodes = [];
  let from = 0;
  for (const found of text.matchAll(PARTS)) {
    const [whole, code, strong, stressed, words, target] = found;
    nodes.push(text.slice(from, found.index));
    if (code !== undefined) nodes.push(h("code", null, code));
    else if (strong !== undefined) nodes.push(h("strong", null, strong));
    else if (stressed !== undefined) nodes.push(h("em", null, stressed));
    else nodes.push(link(words, target));
    from = found.index + whole.length;
  }
  return [...nodes, text.slice(from)];
}

// Only to other runbooks; whatever else a page links to, it is its words that count.
function link(words, target) {
  const other = /^(?:\.\/)?([a-z0-9_-]+)\.md$/.exec(target);
  return other ? h("a", { href: address("runbooks", {}, other[1]) }, words) : words;
}
