// Before the first paint: the colours that were chosen in this browser.
{
  const theme = localStorage.getItem("headgate-theme");
  if (theme) document.documentElement.dataset.theme = theme;
}
