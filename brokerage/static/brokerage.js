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

// Pointing at a chart, or going through it with the keyboard, tells the value and the time there.
const usd = new Intl.NumberFormat("en-US", { style: "currency", currency: "USD" });
const signed = (format) => (value) => `${value > 0 ? "+" : value < 0 ? "−" : ""}${format.format(Math.abs(value))}`;
const signedUsd = signed(usd);
const percent = signed(new Intl.NumberFormat("en-US", { style: "percent", minimumFractionDigits: 2, maximumFractionDigits: 2 }));
const when = new Intl.DateTimeFormat("en-US", { dateStyle: "medium", timeStyle: "short" });
const tone = (value) => (value > 0 ? "gain" : value < 0 ? "loss" : "flat");

function prepareChart(chart) {
  const points = JSON.parse(chart.dataset.points);
  const section = chart.closest("section");
  const [figure, delta, at] = ["figure", "delta", "at"].map((name) => section.querySelector(`[data-${name}]`));
  const [cross, dot, drawing, reader] = [".cross", ".dot", "svg", ".chart-reader"].map((name) => chart.querySelector(name));
  let still = null;
  const show = (number) => {
    const [moment, amount, change, x, y] = points[number];
    still ??= figure.textContent;
    cross.style.left = dot.style.left = `${x * 100}%`;
    dot.style.top = `${y * drawing.clientHeight}px`;
    cross.hidden = dot.hidden = at.hidden = false;
    delta.hidden = true;
    figure.textContent = usd.format(amount);
    at.textContent = `${percent(change)} · ${when.format(moment * 1000)}`;
    reader.value = number;
    reader.setAttribute("aria-valuetext", `${figure.textContent}, ${at.textContent}`);
  };
  const hide = () => {
    if (still === null) return;
    cross.hidden = dot.hidden = at.hidden = true;
    delta.hidden = false;
    figure.textContent = still;
    still = null;
  };
  reader.max = points.length - 1;
  reader.value = points.length - 1;
  reader.hidden = false;
  chart.addEventListener("pointermove", (event) => {
    const box = drawing.getBoundingClientRect();
    const asked = (event.clientX - box.left) / box.width;
    let nearest = 0;
    points.forEach((point, number) => {
      if (Math.abs(point[3] - asked) < Math.abs(points[nearest][3] - asked)) nearest = number;
    });
    show(nearest);
  });
  chart.addEventListener("pointerleave", hide);
  reader.addEventListener("input", () => show(Number(reader.value)));
  reader.addEventListener("focus", () => reader.matches(":focus-visible") && show(Number(reader.value)));
  reader.addEventListener("blur", hide);
}

function prepare(root) {
  for (const button of root.querySelectorAll("[data-print]")) button.hidden = false;
  for (const chart of root.querySelectorAll("figure[data-points]")) {
    if (chart.dataset.ready) continue;
    chart.dataset.ready = "1";
    prepareChart(chart);
  }
}
prepare(document);
document.addEventListener("htmx:after:swap", () => prepare(document));
document.addEventListener("allauth.error", () => {
  const failed = document.getElementById("passkey-failed");
  if (failed) failed.hidden = false;
});
