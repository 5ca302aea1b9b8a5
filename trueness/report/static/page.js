"use strict";
const PAPER_PX = 1000, HALF_PAPER_PX = 480;
// Figures: drawn when they come into view, in the colours that the reader prefers.
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const plots = [...document.querySelectorAll(".plot")];
const unpacked = async id => {
  const bytes = Uint8Array.from(atob(document.getElementById(id).textContent), letter => letter.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
};
const drawing = async () => {
  const script = document.createElement("script");
  script.textContent = await unpacked("plotly");
  document.head.append(script);
  const content = JSON.parse(await unpacked("figures"));
  const coloured = (part, on) => JSON.parse(on ? JSON.stringify(part).replace(
    /rgba\((\d+,\d+,\d+),/g, (all, light) => `rgba(${content.dark[light] || light},`) : JSON.stringify(part));
  const draw = (plot, on, width) => {
    const figure = coloured(content.figures[plot.dataset.figure], on);
    const base = coloured(content.template, on);
    base.layout.dragmode = window.matchMedia("(pointer: coarse)").matches ? false : "zoom";
    plot.dataset.drawn = "yes";
    Plotly.react(plot, figure.data, { ...figure.layout, template: base, width }, { displayModeBar: false, responsive: true });
  };
  const drawn = () => plots.filter(plot => plot.dataset.drawn);
  const seen = new IntersectionObserver(entries => entries.forEach(entry => {
    if (entry.isIntersecting && !entry.target.dataset.drawn) draw(entry.target, dark.matches);
  }), { rootMargin: "800px" });
  plots.forEach(plot => seen.observe(plot));
  dark.addEventListener("change", () => drawn().forEach(plot => draw(plot, dark.matches)));
  window.addEventListener("beforeprint", () => plots.filter(plot => plot.offsetWidth).forEach(
    plot => draw(plot, false, Math.min(plot.closest(".beside") ? HALF_PAPER_PX : PAPER_PX, plot.offsetWidth))));
  window.addEventListener("afterprint", () => drawn().forEach(plot => draw(plot, dark.matches)));
};
if (plots.length) drawing().catch(error => {
  console.error(error);
  plots.filter(plot => !plot.dataset.drawn).forEach(plot => { plot.textContent = "This browser is too old to draw the figure."; });
});
// Tables: a shadow says that there is more; rows of less interest open with a button.
const frames = [...document.querySelectorAll(".frame")];
const edges = frame => {
  const box = frame.firstElementChild;
  frame.classList.toggle("left", box.scrollLeft > 1);
  frame.classList.toggle("right", box.scrollLeft + box.clientWidth < box.scrollWidth - 1);
};
const sizes = new ResizeObserver(entries => entries.forEach(entry => edges(entry.target.parentElement)));
frames.forEach(frame => {
  frame.firstElementChild.addEventListener("scroll", () => edges(frame), { passive: true });
  sizes.observe(frame.firstElementChild);
  edges(frame);
});
document.querySelectorAll(".all button").forEach(button => {
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
});
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
