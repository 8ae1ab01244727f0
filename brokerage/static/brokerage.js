// What pages gain with a script; without one they all work. No state is kept here.
"use strict";

// The server writes times in this zone, unless the customer chose one.
document.cookie = `zone=${Intl.DateTimeFormat().resolvedOptions().timeZone};path=/;max-age=31536000;samesite=lax`;

// "/" goes to the search field, Escape out of it, arrows through what it found.
const finder = document.getElementById("finder");
const found = document.getElementById("found");
document.addEventListener("keydown", (event) => {
  const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName) || event.target.isContentEditable;
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey && finder) {
    event.preventDefault();
    finder.focus();
    finder.select();
  }
  if (event.key === "Escape" && found && event.target.closest(".finder")) {
    found.replaceChildren();
    finder.focus();
  }
  if (/^Arrow(Up|Down)$/.test(event.key) && event.target.closest(".finder")) {
    const places = [finder, ...found.querySelectorAll("a")];
    const next = places.indexOf(document.activeElement) + (event.key === "ArrowDown" ? 1 : -1);
    if (places[next]) {
      event.preventDefault();
      places[next].focus();
    }
  }
});
document.addEventListener("focusin", (event) => {
  if (found && !event.target.closest(".finder")) found.replaceChildren();
});

// A form that moves something is sent once; the key in it would make a second one harmless anyway.
document.addEventListener("submit", (event) => {
  if (!event.target.matches("[data-once]")) return;
  if (event.target.dataset.sent) event.preventDefault();
  event.target.dataset.sent = "1";
});
window.addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("[data-once]")) delete form.dataset.sent;
});

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-print]")) window.print();
});

// Pointing at a chart tells the value and the time there.
const usd = new Intl.NumberFormat("en-US", { style: "currency", currency: "USD" });
const when = new Intl.DateTimeFormat("en-US", { dateStyle: "medium", timeStyle: "short" });
function prepare(root) {
  for (const button of root.querySelectorAll("[data-print]")) button.hidden = false;
  for (const chart of root.querySelectorAll("figure[data-points]")) {
    if (chart.dataset.ready) continue;
    chart.dataset.ready = "1";
    const points = JSON.parse(chart.dataset.points);
    const section = chart.closest("section");
    const figure = section.querySelector("[data-figure]");
    const delta = section.querySelector("[data-delta]");
    const at = section.querySelector("[data-at]");
    const [cross, dot, drawing] = [".cross", ".dot", "svg"].map((name) => chart.querySelector(name));
    const still = figure.textContent;
    const values = points.map((point) => Number(point[1]));
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const [begin, end] = [points[0][0], points.at(-1)[0]];
    chart.addEventListener("pointermove", (event) => {
      const box = drawing.getBoundingClientRect();
      const asked = begin + ((event.clientX - box.left) / box.width) * (end - begin);
      let nearest = 0;
      points.forEach((point, n) => {
        if (Math.abs(point[0] - asked) < Math.abs(points[nearest][0] - asked)) nearest = n;
      });
      const x = ((points[nearest][0] - begin) / (end - begin || 1)) * box.width;
      const y = high === low ? 0.5 : (4 + ((high - values[nearest]) / (high - low)) * 232) / 240;
      cross.style.left = dot.style.left = `${x}px`;
      dot.style.top = `${y * box.height}px`;
      cross.hidden = dot.hidden = at.hidden = false;
      delta.hidden = true;
      figure.textContent = usd.format(values[nearest]);
      at.textContent = when.format(points[nearest][0] * 1000);
    });
    chart.addEventListener("pointerleave", () => {
      cross.hidden = dot.hidden = at.hidden = true;
      delta.hidden = false;
      figure.textContent = still;
    });
  }
}
prepare(document);
document.addEventListener("htmx:after:swap", () => prepare(document));
document.addEventListener("allauth.error", () => {
  const failed = document.getElementById("passkey-failed");
  if (failed) failed.hidden = false;
});
