// Makes one tree like another by changing only what differs, so that focus, selection and scrolling stay where they are.

export function morph(old, fresh) {
  if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName) {
    old.replaceWith(fresh);
    return;
  }
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return;
  }
  morphAttributes(old, fresh);
  morphChildren(old, fresh);
}

function morphAttributes(old, fresh) {
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && !(name === "open" && old.nodeName === "DETAILS")) old.removeAttribute(name);
  }
  for (const { name, value } of [...fresh.attributes]) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
}

export function morphChildren(old, fresh) {
  if (old.nodeName === "SELECT" && old === document.activeElement) return;
  const wanted = [...fresh.childNodes];
  wanted.forEach((child, index) => {
    const present = old.childNodes[index];
    if (present === undefined) old.append(child);
    else morph(present, child);
  });
  while (old.childNodes.length > wanted.length) old.lastChild.remove();
}
