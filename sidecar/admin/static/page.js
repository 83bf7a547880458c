"use strict";
const PERIOD_MS = 5000;
const find = document.getElementById("find");
const live = document.getElementById("live");

function show() {
  const wanted = find.value.trim().toLowerCase();
  for (const service of document.querySelectorAll("section")) {
    service.hidden = !service.textContent.toLowerCase().includes(wanted);
  }
  history.replaceState(null, "", wanted ? "#" + encodeURIComponent(wanted) : location.pathname);
}

find.value = decodeURIComponent(location.hash.slice(1));
find.addEventListener("input", show);
live.checked = sessionStorage.getItem("live") !== "no";
live.addEventListener("change", () => sessionStorage.setItem("live", live.checked ? "yes" : "no"));
document.querySelector(".controls").hidden = false;
show();
setInterval(() => {
  if (live.checked && !document.hidden && document.activeElement !== find) location.reload();
}, PERIOD_MS);
