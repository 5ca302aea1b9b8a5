"use strict";
// Pages that wait for a judgement ask again, less and less often, and are replaced when it is there.
const swap = text => {
  const next = new DOMParser().parseFromString(text, "text/html");
  const ticked = new Set([...document.querySelectorAll('input[name="run"]:checked')].map(box => box.value));
  document.querySelector("main").replaceWith(next.querySelector("main"));
  document.querySelectorAll("body > script.figures").forEach(script => script.remove());
  next.querySelectorAll("body > script.figures").forEach(script => document.body.append(script));
  document.body.toggleAttribute("data-waits", next.body.hasAttribute("data-waits"));
  document.querySelectorAll('input[name="run"]').forEach(box => { box.checked = ticked.has(box.value); });
  if (next.body.dataset.events && !document.body.dataset.events) document.body.dataset.events = next.body.dataset.events;
  start(document);
  begin(document);
};
const wait = async pause => {
  if (!document.body.hasAttribute("data-waits")) return;
  await new Promise(done => setTimeout(done, pause));
  const busy = document.activeElement && /^(INPUT|SELECT)$/.test(document.activeElement.tagName) && document.activeElement.type !== "checkbox";
  if (!busy) try {
    const answer = await fetch(location.href, { headers: { accept: "text/html" } });
    const text = await answer.text();
    if (text.includes("<main")) swap(text);
  } catch { /* the server is gone for now; it is asked again */ }
  wait(Math.min(pause * 1.5, 8000));
};
wait(700);
// Places that change: the server sends them whole.
const listen = () => {
  if (!document.body.dataset.events) return;
  const source = new EventSource(document.body.dataset.events);
  const lost = document.createElement("p");
  lost.className = "lost";
  lost.setAttribute("role", "status");
  source.onmessage = event => {
    lost.remove();
    for (const [place, html] of Object.entries(JSON.parse(event.data))) {
      const element = document.getElementById(place);
      if (!element) continue;
      if (place === "over") { location.reload(); return; }
      element.innerHTML = html;
      start(element);
    }
  };
  source.onerror = () => {
    lost.textContent = "The server does not answer; what stands here may be old.";
    document.querySelector("main").prepend(lost);
  };
};
listen();
// Sliders: every position was computed by the server; moving it shows one of them.
const sliding = slider => {
  const content = JSON.parse(slider.querySelector("script.positions").textContent);
  const range = slider.querySelector("input"), cells = slider.querySelectorAll("dd"), list = slider.querySelector("ol");
  const show = () => {
    const at = Number(range.value);
    cells.forEach((cell, i) => { cell.textContent = content.rows[at][i]; });
    range.setAttribute("aria-valuetext", content.rows[at].join(", "));
    if (!list) return;
    list.replaceChildren(...content.units.slice(0, content.raised[at]).map(([name, positive]) => {
      const item = document.createElement("li");
      item.textContent = name;
      if (positive) item.className = "hit";
      return item;
    }));
  };
  range.addEventListener("input", show);
  range.addEventListener("change", () => {
    const place = new URL(location.href);
    place.searchParams.set("at", range.value);
    history.replaceState(null, "", place);
  });
  show();
};
// Copy buttons, and forms that leave out what is empty.
const begin = root => {
  root.querySelectorAll(".slider").forEach(sliding);
  root.querySelectorAll("[data-copy]").forEach(button => {
    if (!navigator.clipboard) return;
    button.hidden = false;
    button.onclick = async () => {
      await navigator.clipboard.writeText(button.dataset.copy);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy as command"; }, 1500);
    };
  });
  root.querySelectorAll("form.ask[method=get]").forEach(form => {
    form.addEventListener("submit", () => form.querySelectorAll("input, select").forEach(field => {
      if (!field.value) field.disabled = true;
    }));
    form.querySelectorAll("select").forEach(field => field.addEventListener("change", () => form.requestSubmit()));
  });
};
begin(document);
// "/" leads to the search, "g" and the first letter of a page to it.
let before = "";
document.addEventListener("keydown", event => {
  if (/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) || event.ctrlKey || event.metaKey || event.altKey) return;
  const search = document.querySelector('input[type="search"]');
  if (event.key === "/" && search) { event.preventDefault(); search.focus(); }
  if (before === "g") {
    const link = [...document.querySelectorAll("nav.site a")].find(one => one.textContent[0].toLowerCase() === event.key);
    if (link) link.click();
  }
  before = event.key;
});
