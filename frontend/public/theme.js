// Before the first paint: the theme that was chosen here or in the address, else the system's.
(() => {
  const asked = new URLSearchParams(location.search).get("theme");
  let kept = null;
  try {
    kept = localStorage.getItem("saescope.theme");
  } catch {}
  const theme = asked === "light" || asked === "dark" ? asked : kept;
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
})();
