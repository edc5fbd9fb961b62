// Comfort for the portals: everything works without this. It copies code, and sends what is filled in at "Try it"
// through the gateway, straight from the browser.
"use strict";

function addCopyButtons() {
  if (!navigator.clipboard) return;
  for (const box of document.querySelectorAll(".code")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy quiet small";
    button.textContent = "Copy";
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(box.querySelector("pre").innerText);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
    box.append(button);
  }
}

// What the form at "Try it" asks for: the address with its parameters filled in, the verb, headers and body. What has
// one address alone is sent there by POST.
function requestOf(form) {
  const data = new FormData(form);
  const option = form.elements.operation?.selectedOptions[0];
  const verb = option ? option.dataset.verb : "POST";
  let path = String(data.get("path") || option?.dataset.target || "");
  const headers = {};
  const key = String(data.get("key") || "").trim();
  if (key) headers[form.dataset.header] = form.dataset.scheme ? `${form.dataset.scheme} ${key}` : key;
  let body = String(data.get("body") || "");
  const mayHaveBody = !["GET", "HEAD"].includes(verb) && body !== "";
  if (mayHaveBody) headers["Content-Type"] = form.dataset.type || "application/json";
  if (form.elements.action) headers.SOAPAction = `"${form.elements.action.value.trim()}"`;
  if (form.dataset.pack) body = JSON.stringify({ [form.dataset.pack]: body });
  if (path !== "" && !path.startsWith("/")) path = `/${path}`;
  return { url: String(data.get("base")) + path, verb, headers, body: mayHaveBody ? body : undefined };
}

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

function samplesOf({ url, verb, headers, body }) {
  const pairs = Object.entries(headers);
  const curl = [`curl -X ${verb} ${quoted(url)}`, ...pairs.map(([name, value]) => `  -H ${quoted(`${name}: ${value}`)}`)];
  if (body) curl.push(`  -d ${quoted(body)}`);
  const options = { method: verb, headers, ...(body ? { body } : {}) };
  const python = [
    "import requests",
    `answer = requests.request(${JSON.stringify(verb)}, ${JSON.stringify(url)},`,
    `    headers=${JSON.stringify(headers)}${body ? `,\n    data=${JSON.stringify(body)}` : ""})`,
    "print(answer.status_code, answer.text)",
  ];
  return {
    curl: curl.join(" \\\n"),
    javascript: `const answer = await fetch(${JSON.stringify(url)}, ${JSON.stringify(options, null, 2)});\nconsole.log(answer.status, await answer.text());`,
    python: python.join("\n"),
  };
}

function readable(text) {
  try { return JSON.stringify(JSON.parse(text), null, 2); } catch { return text; }
}

async function send(form, out) {
  const { url, verb, headers, body } = requestOf(form);
  out.textContent = "Sending …";
  const began = performance.now();
  try {
    const answer = await fetch(url, { method: verb, headers, body, credentials: "omit" });
    const text = await answer.text();
    const took = Math.round(performance.now() - began);
    const shown = [...answer.headers].map(([name, value]) => `${name}: ${value}`).join("\n");
    out.textContent = `${answer.status} ${answer.statusText} in ${took} ms\n${shown}\n\n${readable(text).slice(0, 50000)}`;
  } catch (error) {
    out.textContent = `The gateway at ${url} could not be reached from this browser (${error.message}). Its certificate may not be trusted here (open the address once), or the API may not allow calls from web pages (CORS).`;
  }
}

function tryOut() {
  const form = document.querySelector("form[data-try]");
  if (!form) return;
  const out = document.querySelector("#answer");
  const show = () => {
    const samples = samplesOf(requestOf(form));
    for (const [name, text] of Object.entries(samples)) {
      const place = document.querySelector(`#sample-${name} code`);
      if (place) place.textContent = text;
    }
  };
  form.elements.operation?.addEventListener("change", () => {
    const { target, body } = form.elements.operation.selectedOptions[0].dataset;
    form.elements.path.value = target;
    if (body) form.elements.body.value = body;
    show();
  });
  form.addEventListener("input", show);
  form.addEventListener("submit", (event) => { event.preventDefault(); send(form, out); });
  form.querySelector("[data-send]").hidden = false;
  show();
}

// On a narrow screen the part that is shown may be out of sight.
function showCurrent() {
  for (const link of document.querySelectorAll(".parts [aria-current], .tabs [aria-current]")) {
    const list = link.closest("nav");
    list.scrollLeft = link.offsetLeft - (list.clientWidth - link.offsetWidth) / 2;
  }
}

// What changes by itself is asked for anew while somebody looks at it, and put into the place of what was there.
function keepLive() {
  for (const place of document.querySelectorAll("[data-live][id]")) {
    const renew = async () => {
      const isUsed = place.contains(document.activeElement) || String(getSelection()) !== "";
      if (document.hidden || isUsed) return;
      const answer = await fetch(location.href, { headers: { accept: "text/html" } }).catch(() => null);
      if (!answer || !answer.ok || answer.redirected) return;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.getElementById(place.id);
      // What is as it was is not put in anew: it would be read out again.
      if (fresh && fresh.innerHTML !== place.innerHTML) place.replaceChildren(...fresh.childNodes);
    };
    setInterval(renew, Number(place.dataset.live) * 1000);
  }
}

// Calls as they are answered, the newest first.
function followCalls() {
  const place = document.querySelector("[data-calls]");
  if (!place) return;
  const rows = place.querySelector("tbody");
  const state = document.getElementById("live-state");
  const pause = document.querySelector("[data-pause]");
  const wanted = new URLSearchParams([...new URLSearchParams(location.search)].filter(([, value]) => value !== ""));
  let isPaused = false;
  pause.hidden = false;
  pause.addEventListener("click", () => {
    isPaused = !isPaused;
    pause.textContent = isPaused ? "Go on" : "Pause";
  });
  const source = new EventSource(`${place.dataset.calls}?${wanted}`);
  source.addEventListener("open", () => { state.textContent = "Calls are shown as they are answered."; });
  source.addEventListener("error", () => {
    const isOver = source.readyState === EventSource.CLOSED;
    state.textContent = isOver ? "This node shows no calls: it has no gateway, or the filter is not understood." : "The line is broken; trying again.";
  });
  source.addEventListener("missed", (event) => { state.textContent = `There were more than could be shown: ${JSON.parse(event.data).missed}.`; });
  source.addEventListener("call", (event) => {
    if (isPaused) return;
    const call = JSON.parse(event.data);
    const row = rows.insertRow(0);
    const took = (call.took_us / 1000).toFixed(1);
    const time = new Date(call.at_ms).toLocaleTimeString();
    for (const text of [time, call.status, call.verb, call.path, call.application ?? "–", call.client, took, call.request_id]) {
      row.insertCell().textContent = text;
    }
    row.cells[6].className = "number";
    while (rows.rows.length > 200) rows.deleteRow(-1);
  });
}

addCopyButtons();
followCalls();
keepLive();
showCurrent();
tryOut();
