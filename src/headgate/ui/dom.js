// Nodes from data.  Text only ever becomes text: nothing here, or anywhere in the page, parses markup.

const SVG = "http://www.w3.org/2000/svg";

function build(node, properties, children) {
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    node.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false) {
      node.append(child instanceof Node ? child : String(child));
    }
  }
  return node;
}

// h("p", {class: "soft"}, "text", node, [more]) is an element; what is null or false is left out.
export function h(tag, properties, ...children) {
  return build(document.createElement(tag), properties, children);
}

export function svg(tag, properties, ...children) {
  return build(document.createElementNS(SVG, tag), properties, children);
}

export function section(title, ...children) {
  return h("section", null, h("h2", null, title), children);
}

// Pairs of a name and a value, as a list of definitions.
export function facts(pairs, properties) {
  const told = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return h("dl", { class: "facts", ...properties }, told.map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, value))));
}
