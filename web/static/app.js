// Comfort. Every page works without it.
"use strict";

const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
const make = (tag, properties) => Object.assign(document.createElement(tag), properties);

keys();
menus();
roles();
zones();
selection();
const box = $("#q[data-suggest]");
if (box) suggestions(box);

function keys() {
  const dialog = $("#keys-dialog");
  const links = () => $$(".rows tbody tr:not(.day) :is(.what > a, .stone a, td[colspan] > a), .story p > a, .need a");
  let leading = false; // after g

  const help = (event) => {
    event.preventDefault();
    dialog?.showModal();
  };
  $("[data-keys]")?.addEventListener("click", help);

  const step = (by) => {
    const all = links();
    if (!all.length) return;
    const here = all.findIndex((a) => a.closest("tr, li").contains(document.activeElement));
    const next = all[here < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, here + by))];
    next.focus();
    next.closest("tr, li").scrollIntoView({ block: "nearest" });
  };

  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input:not([type=checkbox]), textarea, select, [contenteditable]");
    if (event.ctrlKey || event.metaKey || event.altKey || typing || dialog?.open) return;
    if (leading) {
      leading = false;
      $$(".kinds a").find((a) => a.textContent.trim().toLowerCase().startsWith(event.key))?.click();
      return;
    }
    switch (event.key) {
      case "/": event.preventDefault(); $("#q")?.focus(); $("#q")?.setSelectionRange(4096, 4096); break;
      case "j": step(1); break;
      case "k": step(-1); break;
      case "f": $$(".facets :is(summary, a)").find((e) => e.offsetParent)?.focus(); break;
      case "o": $("a:focus")?.click(); break;
      case "x": case "X": $(".rows tr:focus-within input[name=id]")?.dispatchEvent(new MouseEvent("click", event)); break;
      case "n": $("a[rel=next]")?.click(); break;
      case "p": $("a[rel=prev]")?.click(); break;
      case "g": leading = true; setTimeout(() => (leading = false), 1500); break;
      case "?": help(event); break;
    }
  });
}

function menus() {
  const open = () => $$("details.menu[open]");
  document.addEventListener("click", (event) => {
    for (const menu of open()) if (!menu.contains(event.target)) menu.open = false;
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") for (const menu of open()) {
      menu.open = false;
      $("summary", menu).focus();
    }
  });
}

// roles: some browsers forget a table whose rows a phone shows as blocks.
function roles() {
  if (!matchMedia("(max-width: 52rem)").matches) return;
  const parts = { "": "table", thead: "rowgroup", tbody: "rowgroup", tr: "row", td: "cell", "thead th": "columnheader", "tbody th": "rowheader" };
  for (const tag in parts) for (const part of $$(".rows " + tag)) part.role = parts[tag];
}

// zones: offers the zone of this computer, and completes the others.
function zones() {
  const form = $("form[data-zone]");
  if (!form) return;
  const input = $("input[name=tz]", form);
  const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const known = $$("li a", form.parentElement).some((a) => a.textContent.startsWith(own));
  if (own && !known) {
    const url = new URL(form.action);
    for (const [name, value] of new FormData(form)) url.searchParams.set(name, value);
    url.searchParams.set("tz", own);
    const link = make("a", { href: url, textContent: own + " " });
    link.append(make("span", { textContent: "this computer" }));
    const item = make("li");
    item.append(link);
    $("ul", form.parentElement).append(item);
  }
  input.addEventListener("focus", () => {
    for (const name of Intl.supportedValuesOf?.("timeZone") || []) input.list.append(make("option", { value: name }));
  }, { once: true });
}

function selection() {
  const boxes = $$("input[name=id][form=selection]");
  if (!boxes.length) return;
  const all = make("input", { type: "checkbox", ariaLabel: "Select all rows of this page" });
  $("[data-all]").append(all);
  let last = 0; // where Shift starts
  const set = (some, to) => {
    for (const b of some) b.checked = to.checked;
    const n = boxes.filter((b) => b.checked).length;
    all.checked = n === boxes.length;
    all.indeterminate = n && !all.checked;
    $("[data-chosen]").textContent = n ? `${n} of ${boxes.length} rows selected:` : "Choose rows,";
  };
  all.onclick = () => set(boxes, all);
  boxes.forEach((b, i) => (b.onclick = (event) => {
    set(event.shiftKey ? boxes.filter((_, j) => (j - i) * (j - last) <= 0) : [], b);
    last = i;
  }));
  set([], all);
}

// suggestions: an ARIA combobox of what may come at the cursor.
// The server counts bytes, the browser UTF-16 units.
function suggestions(input) {
  const list = make("ul", { id: "suggestions", className: "suggest", hidden: true });
  Object.assign(list, { role: "listbox", ariaLabel: "Suggestions" });
  input.parentElement.append(list);
  Object.assign(input, { role: "combobox", ariaAutoComplete: "list", ariaExpanded: "false" });
  input.setAttribute("aria-controls", list.id);

  let answer = null, chosen = -1, timer = 0, request = null;
  const bytes = (units) => new TextEncoder().encode(input.value.slice(0, units)).length;
  const units = (n) => new TextDecoder().decode(new TextEncoder().encode(input.value).slice(0, n)).length;

  const close = () => {
    clearTimeout(timer);
    request?.abort();
    list.hidden = true;
    chosen = -1;
    input.ariaExpanded = "false";
    input.removeAttribute("aria-activedescendant");
  };
  const choose = (n) => {
    const items = [...list.children];
    chosen = (n + items.length) % items.length;
    items.forEach((item, i) => (item.ariaSelected = i === chosen));
    items[chosen].scrollIntoView({ block: "nearest" });
    input.setAttribute("aria-activedescendant", items[chosen].id);
  };
  const accept = (n) => {
    const { text } = answer.items[n];
    const more = text.endsWith(":");
    input.setRangeText(more ? text : text + " ", units(answer.start), units(answer.end), "end");
    close();
    if (more) ask();
  };
  const show = () => {
    list.replaceChildren(...answer.items.map((item, i) => {
      const row = make("li", { id: "suggestion-" + i, role: "option", ariaSelected: "false" });
      for (const [tag, text, name] of [["b", item.text], ["small", item.hint || item.label], ["span", item.count?.toLocaleString("en"), "n"]]) {
        row.append(make(tag, { textContent: text ?? "", className: name ?? "" }));
      }
      row.addEventListener("mousedown", (event) => { event.preventDefault(); accept(i); });
      return row;
    }));
    chosen = -1;
    list.hidden = !answer.items.length;
    input.ariaExpanded = !list.hidden;
    input.removeAttribute("aria-activedescendant");
  };
  async function ask() {
    request?.abort();
    request = new AbortController();
    const query = new URLSearchParams({ kind: input.dataset.kind, q: input.value, cursor: bytes(input.selectionStart) });
    try {
      const response = await fetch(`${input.dataset.suggest}?${query}`, { signal: request.signal, headers: { Accept: "application/json" } });
      if (!response.ok) return close();
      answer = await response.json();
      if (document.activeElement === input) show();
    } catch { /* a newer question, or no network */ }
  }

  input.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(ask, 120); });
  input.addEventListener("blur", close);
  input.addEventListener("keydown", (event) => {
    const open = !list.hidden;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (!open) return void ask();
      choose(chosen + (event.key === "ArrowDown" ? 1 : chosen < 0 ? 0 : -1));
    } else if ((event.key === "Enter" || event.key === "Tab") && open && chosen >= 0) {
      event.preventDefault();
      accept(chosen);
    } else if (event.key === "Escape") {
      event.preventDefault();
      open ? close() : input.blur();
    }
  });
}
