// Improvements of pages. Every page also works without this script, and nothing is stored here.
"use strict";

// The server writes times in this zone, unless the customer chose one.
document.cookie = `zone=${Intl.DateTimeFormat().resolvedOptions().timeZone};path=/;max-age=31536000;samesite=lax`;

// "/" moves the focus to the search field, Escape leaves it, and the arrow keys move through its results.
const finder = document.getElementById("finder");
const found = document.getElementById("found");
document.addEventListener("keydown", (event) => {
  const isTyping = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName) || event.target.isContentEditable;
  if (event.key === "/" && !isTyping && !event.ctrlKey && !event.metaKey && !event.altKey && finder) {
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

// Send a form only once. Its key would make a repetition harmless anyway.
document.addEventListener("submit", (event) => {
  if (!event.target.matches("[data-once]")) return;
  if (event.target.dataset.sent) event.preventDefault();
  event.target.dataset.sent = "1";
});
window.addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("[data-once]")) delete form.dataset.sent;
});

document.addEventListener("click", (event) => {
  const fillButton = event.target.closest("[data-fill]");
  if (fillButton) {
    event.preventDefault();
    const form = fillButton.closest("form");
    form.querySelector(`[name=type][value=${fillButton.dataset.side}]`).checked = true;
    form.elements.unit.value = "shares";
    form.elements.quantity.value = fillButton.dataset.fill;
    form.elements.quantity.dispatchEvent(new Event("input", { bubbles: true }));
  }
  const opens = event.target.closest("[data-sheet]");
  if (opens) openSheet(event, opens.dataset.sheet);
  const sheet = event.target.closest("dialog.sheet");
  if (sheet?.matches(":modal") && (event.target === sheet || event.target.closest("[data-close]"))) sheet.close();
  if (event.target.closest("[data-print]")) window.print();
  const copy = event.target.closest("[data-copy]");
  if (copy) navigator.clipboard.writeText(copy.previousElementSibling.textContent).then(() => { copy.textContent = "Copied"; });
});

// The ticket is part of the page. On a phone, a button of the bottom bar shows it as a sheet instead. Without scripts, the
// button is a link to a page with the same form.
function openSheet(event, side) {
  const sheet = document.getElementById("sheet");
  event.preventDefault();
  sheet.querySelector(`[name=type][value=${side}]`).checked = true;
  const quantity = sheet.querySelector("[name=quantity]");
  quantity.dispatchEvent(new Event("input", { bubbles: true }));
  sheet.removeAttribute("open");
  sheet.showModal();
  quantity.focus();
  sheet.addEventListener("close", () => { sheet.setAttribute("open", ""); }, { once: true });
}

// Show the value and the time of a point when it is pointed at, or reached with the keyboard.
const usd = new Intl.NumberFormat("en-US", { style: "currency", currency: "USD" });
const signed = (format) => (value) => `${value > 0 ? "+" : value < 0 ? "−" : ""}${format.format(Math.abs(value))}`;
const signedUsd = signed(usd);
const percent = signed(new Intl.NumberFormat("en-US", { style: "percent", minimumFractionDigits: 2, maximumFractionDigits: 2 }));
const timeFormat = new Intl.DateTimeFormat("en-US", { dateStyle: "medium", timeStyle: "short" });
// Amounts have four decimals. Sums of binary fractions have more, and would show a sign before zero.
const exact = (amount) => Math.round(amount * 1e4) / 1e4;
const tone = (value) => (value > 0 ? "gain" : value < 0 ? "loss" : "flat");

function prepareChart(chart) {
  const points = JSON.parse(chart.dataset.points);
  const section = chart.closest("section");
  const [figure, delta, at] = ["figure", "delta", "at"].map((name) => section.querySelector(`[data-${name}]`));
  const [cross, dot, drawing, reader] = [".cross", ".dot", "svg", ".chart-reader"].map((name) => chart.querySelector(name));
  let originalText = null;
  const show = (number) => {
    const [moment, amount, change, x, y] = points[number];
    originalText ??= figure.textContent;
    figure.dataset.reading = "1";
    cross.style.left = dot.style.left = `${x * 100}%`;
    dot.style.top = `${y * drawing.clientHeight}px`;
    cross.hidden = dot.hidden = at.hidden = false;
    delta.hidden = true;
    figure.textContent = usd.format(amount);
    at.textContent = `${percent(change)} · ${timeFormat.format(moment * 1000)}`;
    reader.value = number;
    reader.setAttribute("aria-valuetext", `${figure.textContent}, ${at.textContent}`);
  };
  const hide = () => {
    if (originalText === null) return;
    cross.hidden = dot.hidden = at.hidden = true;
    delta.hidden = false;
    figure.textContent = originalText;
    delete figure.dataset.reading;
    originalText = null;
  };
  reader.max = points.length - 1;
  reader.value = points.length - 1;
  reader.hidden = false;
  chart.addEventListener("pointermove", (event) => {
    const box = drawing.getBoundingClientRect();
    const position = (event.clientX - box.left) / box.width;
    let nearest = 0;
    points.forEach((point, number) => {
      if (Math.abs(point[3] - position) < Math.abs(points[nearest][3] - position)) nearest = number;
    });
    show(nearest);
  });
  chart.addEventListener("pointerleave", hide);
  reader.addEventListener("input", () => show(Number(reader.value)));
  reader.addEventListener("focus", () => reader.matches(":focus-visible") && show(Number(reader.value)));
  reader.addEventListener("blur", hide);
}

function prepare(root) {
  for (const button of root.querySelectorAll("[data-print], [data-copy]")) button.hidden = false;
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

// One stream keeps the page live: it reports changes of the account, and sends prices. While there is no stream, the page
// polls.
const POLL_MS = 5000;
const RECONNECT_MS_MAX = 30000;
let source = null;
let failures = 0;
let poll = null;
let refreshTimer = null;

function ring() {
  clearTimeout(refreshTimer);
  refreshTimer = setTimeout(() => window.htmx?.trigger(document.body, "trades-moved"), 150);
}

function shownTickers() {
  return [...new Set([...document.querySelectorAll("[data-ticker]")].map((element) => element.dataset.ticker))].slice(0, 200);
}

async function openStream() {
  if (source || document.hidden) return;
  try {
    const answer = await fetch("/pages/ticket", { headers: { Accept: "application/json" }, redirect: "manual" });
    if (!answer.ok) throw new Error("no ticket");
    const { address } = await answer.json();
    if (!address) throw new Error("no stream for this session");
    source = new EventSource(`${address}&tickers=${shownTickers().join(",")}`);
  } catch {
    streamFailed();
    return;
  }
  source.addEventListener("open", () => {
    if (failures || performance.now() > 5000) ring(); // for changes since the page was rendered
    failures = 0;
    clearInterval(poll);
    poll = null;
    document.documentElement.dataset.kept = "stream";
  });
  source.addEventListener("account", ring);
  source.addEventListener("prices", (event) => showPrices(JSON.parse(event.data)));
  source.addEventListener("error", streamFailed);
}

function closeStream() {
  source?.close();
  source = null;
}

function streamFailed() {
  closeStream();
  failures += 1;
  document.documentElement.dataset.kept = "poll";
  poll ??= setInterval(() => document.hidden || ring(), POLL_MS);
  setTimeout(openStream, Math.min(RECONNECT_MS_MAX, 1000 * 2 ** failures));
}

function paint(element, value) {
  element.classList.remove("gain", "loss", "flat");
  element.classList.add(tone(value));
}

function put(root, name, text, value) {
  for (const element of root.querySelectorAll(`[data-${name}]`)) {
    element.textContent = text;
    if (value === undefined) continue;
    const colored = /(^| )(gain|loss|flat)( |$)/.test(element.parentElement.className) && name !== "day-ratio" ? element.parentElement : element;
    paint(colored, value);
  }
}

// Update every element that shows a stock. The server computed the same figures when it rendered the page.
function showPrices(prices) {
  let totalChange = 0;
  for (const place of document.querySelectorAll("[data-ticker]")) {
    const price = Number(prices[place.dataset.ticker]);
    if (!price) continue;
    const [before, quantity, cost] = ["before", "quantity", "cost"].map((name) => Number(place.dataset[name] || 0));
    put(place, "price", usd.format(price));
    if (before) put(place, "day-ratio", percent(price / before - 1), price - before);
    if (!quantity) continue;
    const value = exact(price * quantity);
    const change = value - Number(place.dataset.last || value);
    if (place.dataset.counts !== undefined) totalChange += change;
    place.dataset.last = value;
    put(place, "value", usd.format(value));
    if (place.dataset.dayGain) {
      const dayGain = exact(Number(place.dataset.dayGain) + change);
      const invested = Number(place.dataset.invested);
      place.dataset.dayGain = dayGain;
      put(place, "day", signedUsd(dayGain), dayGain);
      if (invested) put(place, "invested-ratio", percent(dayGain / invested), dayGain);
    }
    const gain = exact(value - cost);
    put(place, "gain", signedUsd(gain), gain);
    if (cost) put(place, "gain-ratio", percent(gain / cost), gain);
  }
  showTotal(totalChange);
  showHeadline(prices, totalChange);
}

// The total of the positions, of which one page may not show all.
function showTotal(change) {
  const total = document.querySelector("[data-total]");
  if (!total || !change) return;
  const [value, day, gain] = ["value", "day", "gain"].map((name) => exact(Number(total.dataset[name]) + change));
  Object.assign(total.dataset, { value, day, gain });
  put(total, "value", usd.format(value));
  put(total, "day", signedUsd(day), day);
  put(total, "day-ratio", percent(value === day ? 0 : day / (value - day)), day);
  put(total, "gain", signedUsd(gain), gain);
  put(total, "gain-ratio", percent(value === gain ? 0 : gain / (value - gain)), gain);
}

function showHeadline(prices, totalChange) {
  const figure = document.querySelector("[data-figure]");
  const delta = document.querySelector("[data-delta] .change");
  if (!figure || figure.dataset.reading) return;
  let gain, ratio;
  if (figure.dataset.worth && totalChange) {
    const before = Number(figure.dataset.worth);
    const now = exact(before + totalChange);
    figure.textContent = usd.format(now);
    gain = exact(Number(figure.dataset.gain) + totalChange);
    ratio = (1 + Number(figure.dataset.ratio)) * (now / before) - 1;
    Object.assign(figure.dataset, { worth: now, gain, ratio });
  } else if (figure.dataset.of && prices[figure.dataset.of]) {
    const price = Number(prices[figure.dataset.of]);
    figure.textContent = usd.format(price);
    gain = price - Number(figure.dataset.base || price);
    ratio = price / Number(figure.dataset.base || price) - 1;
  } else return;
  if (!delta || Number.isNaN(ratio)) return;
  delta.textContent = `${ratio > 0 ? "▲ " : ratio < 0 ? "▼ " : ""}${signedUsd(gain)} (${percent(ratio)})`;
  delta.className = `change ${tone(ratio)}`;
  const chart = figure.closest("section").querySelector("figure[data-points]");
  if (chart) paint(chart, ratio);
}

if (document.querySelector("[data-ticker], [data-live]")) {
  openStream();
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) closeStream();
    else {
      ring();
      openStream();
    }
  });
  window.addEventListener("pagehide", closeStream);
}
