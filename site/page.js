"use strict";
// A link to a scene opens it beside the text. Without this script, it opens the page of the replay.
const aside = document.getElementById("scene"), frame = aside.querySelector("iframe");
document.addEventListener("click", event => {
  const link = event.target.closest("main a");
  const scene = link && /\/replay\/index\.html#/.test(link.href) && !event.ctrlKey && !event.metaKey && !event.shiftKey;
  if (!scene && event.target.id !== "close") return;
  event.preventDefault();
  frame.src = "about:blank"; // The same page with another # would not load again.
  if (scene) setTimeout(() => { frame.src = document.getElementById("full").href = link.href; });
  aside.hidden = !scene;
  document.body.classList.toggle("beside", Boolean(scene));
  (scene ? link : document.querySelector("main")).scrollIntoView({ block: "nearest" });
});
// The contents show where the reader is: at the last heading above the first third.
const entries = [...document.querySelectorAll("#contents a")];
function mark() {
  const above = entries.filter(a => document.getElementById(decodeURIComponent(a.hash.slice(1))).getBoundingClientRect().top < innerHeight / 3);
  const here = above.pop() || entries[0];
  for (const a of entries) a === here ? a.setAttribute("aria-current", "true") : a.removeAttribute("aria-current");
  if (here) here.parentElement.scrollTop = here.offsetTop - here.parentElement.clientHeight / 2;
}
addEventListener("scroll", mark, { passive: true });
mark();
