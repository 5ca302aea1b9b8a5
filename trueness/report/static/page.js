"use strict";
const PAPER_PX = 1000, HALF_PAPER_PX = 480;
// Figures: drawn when they come into view, in the colours that the reader prefers.
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const contents = new WeakMap();  // picture -> the figures of its part of the page
const unpacked = async id => {
  const bytes = Uint8Array.from(atob(document.getElementById(id).textContent), letter => letter.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
};
// The library that draws is in a page that stands alone; a live page loads it from its server.
let loaded = null;
const library = () => loaded ??= (async () => {
  const script = document.createElement("script");
  if (document.getElementById("plotly")) {
    script.textContent = await unpacked("plotly");
    document.head.append(script);
    return;
  }
  script.src = "/static/plotly-basic.min.js";
  await new Promise((done, failed) => { script.onload = done; script.onerror = failed; document.head.append(script); });
})();
const coloured = (part, on, shades) => JSON.parse(on ? JSON.stringify(part).replace(
  /rgba\((\d+,\d+,\d+),/g, (all, light) => `rgba(${shades[light] || light},`) : JSON.stringify(part));
const draw = (plot, on, width) => {
  const content = contents.get(plot);
  const figure = coloured(content.figures[plot.dataset.figure], on, content.dark);
  const base = coloured(content.template, on, content.dark);
  base.layout.dragmode = window.matchMedia("(pointer: coarse)").matches ? false : "zoom";
  const first = !plot.dataset.drawn;
  plot.dataset.drawn = "yes";
  Plotly.react(plot, figure.data, { ...figure.layout, template: base, width }, { displayModeBar: false, responsive: true });
  if (first) plot.on("plotly_click", event => {  // marks of runs lead to them on a live page
    const place = event.points[0].customdata;
    if (typeof place === "string" && place.startsWith("/run/")) location.href = place;
  });
};
const plots = () => [...document.querySelectorAll(".plot")].filter(plot => contents.has(plot));
const drawn = () => plots().filter(plot => plot.dataset.drawn);
const seen = new IntersectionObserver(entries => entries.forEach(entry => {
  if (entry.isIntersecting && !entry.target.dataset.drawn) draw(entry.target, dark.matches);
}), { rootMargin: "800px" });
const drawing = async root => {
  const plain = root.querySelector("script.figures");
  const content = JSON.parse(plain ? plain.textContent : await unpacked("figures"));
  await library();
  root.querySelectorAll(".plot").forEach(plot => {
    if (contents.has(plot)) return;
    contents.set(plot, content);
    seen.observe(plot);
  });
};
dark.addEventListener("change", () => drawn().forEach(plot => draw(plot, dark.matches)));
window.addEventListener("beforeprint", () => plots().filter(plot => plot.offsetWidth).forEach(
  plot => draw(plot, false, Math.min(plot.closest(".beside") ? HALF_PAPER_PX : PAPER_PX, plot.offsetWidth))));
window.addEventListener("afterprint", () => drawn().forEach(plot => draw(plot, dark.matches)));
// Tables: a shadow says that there is more; rows of less interest open with a button.
const edges = frame => {
  const box = frame.firstElementChild;
  frame.classList.toggle("left", box.scrollLeft > 1);
  frame.classList.toggle("right", box.scrollLeft + box.clientWidth < box.scrollWidth - 1);
};
const sizes = new ResizeObserver(entries => entries.forEach(entry => edges(entry.target.parentElement)));
const framed = frame => {
  frame.firstElementChild.addEventListener("scroll", () => edges(frame), { passive: true });
  sizes.observe(frame.firstElementChild);
  edges(frame);
};
const folding = button => {
  const frame = button.parentElement.previousElementSibling;
  const more = frame.querySelectorAll("tbody.more");
  const label = button.textContent;
  const toggle = hidden => {
    more.forEach(body => { body.hidden = hidden; });
    button.textContent = hidden ? label : "Show fewer rows";
    button.setAttribute("aria-expanded", String(!hidden));
    edges(frame);
  };
  button.hidden = false;
  button.addEventListener("click", () => toggle(!more[0].hidden));
  toggle(true);
};
// What a page, or a part of it that came later, needs to work.
const start = root => {
  if (root.querySelector(".plot")) drawing(root).catch(error => {
    console.error(error);
    root.querySelectorAll(".plot:not([data-drawn])").forEach(plot => { plot.textContent = "This browser is too old to draw the figure."; });
  });
  root.querySelectorAll(".frame").forEach(framed);
  root.querySelectorAll(".all button").forEach(folding);
};
start(document);
// A link into a closed detail opens it; paper shows tables in their whole width.
const reveal = () => {
  const place = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let node = place; node; node = node.parentElement) if (node.tagName === "DETAILS") node.open = true;
  if (place) place.scrollIntoView();
};
window.addEventListener("hashchange", reveal);
if (location.hash) reveal();
window.addEventListener("beforeprint", () => document.querySelectorAll("table").forEach(table => {
  table.style.zoom = Math.min(1, PAPER_PX / table.scrollWidth);
}));
window.addEventListener("afterprint", () => document.querySelectorAll("table").forEach(table => { table.style.zoom = ""; }));
