// Light, dark, or as the system has it; remembered in this browser.

const KEY = "headgate-theme";

export function chooseTheme(select) {
  select.value = localStorage.getItem(KEY) ?? "";
  apply(select.value);
  select.addEventListener("change", () => {
    localStorage.setItem(KEY, select.value);
    apply(select.value);
  });
}

function apply(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
}
