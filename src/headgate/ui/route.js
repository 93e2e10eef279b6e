// Where the page is: `#/view/thing?name=value`.  All of a view's state stands there, so every view can be linked to.

export function here() {
  const [path, query] = (location.hash.replace(/^#\/?/, "") || "now").split("?");
  const [view, ...rest] = path.split("/");
  return { view, thing: rest.length ? decoded(rest.join("/")) : null, told: new URLSearchParams(query ?? "") };
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

// The address of a view; values that are null or empty are left out.
export function address(view, told = {}, thing = null) {
  const query = new URLSearchParams(Object.entries(told).filter(([, value]) => value !== null && value !== ""));
  const where = thing === null ? view : `${view}/${encodeURIComponent(thing)}`;
  return query.size ? `#/${where}?${query}` : `#/${where}`;
}

// The same view with some values changed.
export function changed(changes) {
  const { view, thing, told } = here();
  return address(view, { ...Object.fromEntries(told), ...changes }, thing);
}
