// Shows what the stream tells. Whatever was sent by anybody becomes text of an element, and never HTML.
"use strict";

const MOST_EVENTS = 300;
const MOST_REQUESTS = 150;
const SIGNS = {
  "billed": ["good", "✓ billed"],
  "known": ["info", "= known already"],
  "refused": ["bad", "✕ refused"],
  "not billed": ["warn", "! not billed"],
  "under way": ["info", "… under way"],
};

const $ = (id) => document.getElementById(id);
const count = (number) => Number(number).toLocaleString("en-US");

function element(tag, properties, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties || {})) {
    if (name.includes("-") || name === "role") made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

function cell(className, ...children) {
  return element("td", { role: "cell", className }, ...children);
}

function labelled(label, className, ...children) {
  const made = cell(className, ...children);
  made.dataset.label = label;
  return made;
}

function clock(moment, isShort) {
  const date = new Date(moment);
  const two = (number) => String(number).padStart(2, "0");
  const time = [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(":");
  const part = isShort ? "" : `.${String(date.getMilliseconds()).padStart(3, "0")}`;
  return element("time", { dateTime: moment, title: moment }, time + part);
}

function outcome(row) {
  const [className, text] = SIGNS[row.outcome];
  const parts = [element("span", { className }, text)];
  if (row.reason) parts.push(element("span", { className: "why" }, row.reason));
  return parts;
}

// --- events ---------------------------------------------------------------------------------------------

function eventRow(row) {
  const id = row.id || "(no id)";
  const open = element("button", { type: "button", className: "open" }, id);
  open.setAttribute("aria-label", `Open event ${id}`);
  open.addEventListener("click", () => openEvent(row));
  return element("tr", { role: "row" },
    cell("mono time", clock(row.time)), cell("text", ...outcome(row)), cell("mono", row.schema),
    cell("mono", row.account), labelled("", "mono", row.attributes || "–"), cell("mono", open));
}

function prepend(table, rows, most) {
  const body = $(table).tBodies[0];
  body.prepend(...rows.reverse());
  while (body.rows.length > most) body.lastElementChild.remove();
}

async function openEvent(row) {
  const reply = await fetch(`/page/event?request=${row.request}&index=${row.index}`);
  const found = await reply.json();
  $("opened-title").textContent = `Event ${row.id || "without an id"}`;
  $("opened-outcome").replaceChildren(...(reply.ok ? outcome(found) : [found.message]));
  $("opened-json").textContent = reply.ok ? found.json : "";
  $("opened-request").replaceChildren(...(reply.ok ? requestFacts(found) : []));
  $("opened-counts").textContent = reply.ok
    ? `${count(found.receipts)} came, ${count(found.accepted)} accepted, ${count(found.metered)} billed; these are kept:` : "";
  $("opened-copies").replaceChildren(...(reply.ok ? found.copies : []).map((copy) =>
    element("li", {}, clock(copy.time), ` in request ${copy.request}: `, ...outcome(copy))));
  $("opened").showModal();
}

function requestFacts(found) {
  const brought = found.brought_by;
  const facts = [
    ["Request", `No. ${brought.number}, ${brought.method} ${brought.path}`],
    ["Came at", brought.time],
    ["Status", statusText(brought) + (brought.reason ? `: ${brought.reason}` : "")],
    ["Held", `${count(brought.events)} events, ${count(brought.bytes)} bytes`],
    ["Took", took(brought)],
    ...found.headers,
  ];
  return facts.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]);
}

// --- requests -------------------------------------------------------------------------------------------

function statusText(row) {
  if (row.status !== null) return String(row.status);
  return row.ms === null ? "under way" : "no reply";
}

function took(row) {
  return row.ms === null ? "…" : `${row.ms >= 100 ? count(Math.round(row.ms)) : row.ms} ms`;
}

function statusCell(row) {
  const isGood = row.status !== null && row.status < 300 && row.status !== 207;
  const isOpen = row.status === null && row.ms === null;
  const [className, sign] = isOpen ? ["info", "…"] : isGood ? ["good", "✓"] : row.status === 207 ? ["warn", "!"] : ["bad", "✕"];
  const parts = [element("span", { className: `${className} status` }, `${sign} ${statusText(row)}`)];
  const became = Object.entries(row.outcomes).map(([kind, number]) => `${count(number)} ${SIGNS[kind][1].slice(2)}`);
  const why = [row.reason, became.join(", ")].filter(Boolean).join(" · ");
  if (why) parts.push(element("span", { className: "why" }, why));
  return cell("text", ...parts);
}

function requestRow(row) {
  const number = cell("mono", `${row.number}`);
  if (row.repeats !== null) {
    const jump = element("button", { type: "button", className: "jump" }, `↻ ${row.repeats}`);
    jump.setAttribute("aria-label", `It repeats request ${row.repeats}: show that`);
    jump.addEventListener("click", () => show(row.repeats));
    number.append(" ", jump);
  }
  return element("tr", { role: "row", id: `request-${row.number}`, className: row.repeats === null ? "" : "again" },
    number, cell("mono time", clock(row.time, true)), statusCell(row), cell("mono", row.method === "POST" ? row.path : `${row.method} ${row.path}`),
    labelled("events", "n", count(row.events)), labelled("bytes", "n", count(row.bytes)), labelled("took", "n", took(row)));
}

function show(number) {
  const row = $(`request-${number}`);
  if (!row) return say(`Request ${number} is no longer shown`);
  row.scrollIntoView({ block: "center" });
  row.classList.add("flash");
  row.tabIndex = -1;
  row.focus();
  setTimeout(() => row.classList.remove("flash"), 1500);
}

function showRequests(rows) {
  const fresh = [];
  for (const row of rows) {
    const shown = $(`request-${row.number}`);
    if (shown) shown.replaceWith(requestRow(row));
    else fresh.push(requestRow(row));
  }
  prepend("requests-table", fresh, MOST_REQUESTS);
}

// --- figures, bill, faults ------------------------------------------------------------------------------

function note(id, text) {
  $(id).textContent = text;
  $(id).hidden = !text;
}

function showState(state) {
  for (const [name, value] of Object.entries(state.totals)) {
    if (name !== "forgotten") $(name).textContent = count(value);
  }
  $("requests_count").textContent = count(state.requests);
  for (const name of ["undelivered", "billed_twice"]) $(name).parentElement.classList.toggle("off", state.totals[name] > 0);
  note("forgotten", state.totals.forgotten
    ? `${count(state.totals.forgotten)} ids are older than what the sandbox remembers: a copy of one would count as new.` : "");
  showBill(state);
  showFaults(state);
}

let billShown = "";
function showBill(state) {
  const text = JSON.stringify(state.bill);
  if (text === billShown) return;
  billShown = text;
  $("bill-table").tBodies[0].replaceChildren(...state.bill.map((row) => element("tr", { role: "row" },
    cell("mono", row.account === null ? "all further ones" : row.account), cell("mono", row.schema === null ? "" : row.schema),
    labelled("events", "n", count(row.events)),
    cell("mono", row.sums.map(([name, unit, sum]) => `${name} ${sum}${unit ? ` ${unit}` : ""}`).join("  ·  ") || "–"))));
  note("bill-note", state.bill_left_out ? `${count(state.bill_left_out)} more rows are not shown.` : "");
}

let faults = { fault: null, once: false, revoked: false, poisons: [] };
let faultsShown = "";
function showFaults(state) {
  faults = state.faults;
  if (!$("buttons").children.length) $("buttons").append(...state.buttons.map(faultButton));
  const text = JSON.stringify(faults);
  if (text === faultsShown) return;
  faultsShown = text;
  for (const button of $("buttons").querySelectorAll("button")) button.setAttribute("aria-pressed", String(isOn(button.dataset.name)));
  const set = state.buttons.filter((each) => isOn(each.name)).map((each) =>
    `${each.label}${each.name !== "key" && faults.once ? " (the next request)" : ""}`);
  if (faults.poisons.length) set.push("poison");
  $("fault-state").textContent = set.length ? `on: ${set.join(", ")}` : "nothing goes wrong";
  $("faults").classList.toggle("on", set.length > 0);
  $("poisons").textContent = faults.poisons.length ? `Poisoned: ${faults.poisons.map((each) => `“${each}”`).join(", ")}.` : "";
  $("cure").hidden = !faults.poisons.length;
}

function isOn(name) {
  return name === "key" ? faults.revoked : faults.fault === name;
}

function faultButton(each) {
  const button = element("button", { type: "button", "aria-pressed": "false", "aria-describedby": `watch-${each.name}` }, each.label);
  button.dataset.name = each.name;
  button.addEventListener("click", () => post("/page/faults", {
    name: each.name, on: !isOn(each.name), once: document.querySelector("[name=scope]:checked").value === "once" }));
  return element("li", {}, button, element("p", { className: "watch", id: `watch-${each.name}` }, each.watch));
}

async function post(path, body) {
  const reply = await fetch(path, { method: "POST", headers: { "X-Sandbox-Page": "1" }, body: JSON.stringify(body) });
  if (!reply.ok) say((await reply.json()).message);
}

// --- the stream -----------------------------------------------------------------------------------------

function say(text) {
  if ($("connection").textContent !== text) $("connection").textContent = text;
}

let stream = null;
let cleared = null;
let eventsLeftOut = 0;
let requestsLeftOut = 0;

function empty() {
  eventsLeftOut = requestsLeftOut = 0;
  for (const table of ["events-table", "requests-table"]) $(table).tBodies[0].replaceChildren();
}

function listen() {
  if (stream) stream.close();
  showPaused(false); // a new filter ends a pause, too
  const words = $("filter").value.trim();
  const query = words ? `?q=${encodeURIComponent(words)}` : "";
  $("export").href = `/page/export${query}`;
  stream = new EventSource(`/page/stream${query}`);
  stream.addEventListener("open", () => { empty(); say(`live, at ${location.host}`); });
  stream.addEventListener("error", () => say("the sandbox does not answer; trying again"));
  stream.addEventListener("message", (message) => heard(JSON.parse(message.data), words));
}

function heard({ update, state }, words) {
  if (cleared !== null && state.cleared !== cleared) empty();
  cleared = state.cleared;
  showState(state);
  showRequests(update.requests);
  prepend("events-table", update.events.map(eventRow), MOST_EVENTS);
  eventsLeftOut += update.events_left_out;
  requestsLeftOut += update.requests_left_out;
  const which = words ? "matching events" : "events";
  note("events-note", eventsLeftOut ? `${count(eventsLeftOut)} more ${which} are not listed. All are counted.` : "");
  note("requests-note", requestsLeftOut ? `${count(requestsLeftOut)} requests are not listed. All are counted.` : "");
}

function showPaused(isPaused) {
  $("pause").setAttribute("aria-pressed", String(isPaused));
  $("pause").textContent = isPaused ? "Go on" : "Pause";
}

function pause() {
  if ($("pause").getAttribute("aria-pressed") === "true") return listen();
  showPaused(true);
  stream.close();
  say("paused; the sandbox goes on");
}

if (matchMedia("(max-width: 719px)").matches) $("faults").firstElementChild.open = false;

let typing = 0;
$("filter").addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(listen, 250); });
$("search").addEventListener("submit", (submitted) => { submitted.preventDefault(); listen(); });
$("pause").addEventListener("click", pause);
$("clear").addEventListener("click", () => post("/page/clear", {}));
$("cure").addEventListener("click", () => post("/page/faults", { name: "cure" }));
$("close").addEventListener("click", () => $("opened").close());
$("poison").addEventListener("submit", (submitted) => {
  submitted.preventDefault();
  if ($("poison-text").value.trim()) post("/page/faults", { name: "poison", text: $("poison-text").value });
  $("poison-text").value = "";
});
listen();
