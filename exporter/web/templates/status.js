"use strict";
// Fetches the page again and puts its live parts in the place of the old ones; without this the page works as it is.
(() => {
  const form = document.getElementById("find"), box = document.getElementById("filter");
  const auto = document.getElementById("auto"), away = document.getElementById("away");
  const REFRESH = 1000 * document.currentScript.dataset.refresh, TYPING = 120, PATIENCE = 10000;  // ms
  let turn = 0, typing = 0;

  const live = (page) => [...page.querySelectorAll("[data-live]")];
  const name = (element) => element.href ?? element.closest("tr").dataset.key;  // the same before and after

  // Rows that say the same stay as they are, but for their age: a large table is not laid out anew for it.
  function merge(old, fresh) {
    const known = new Map([...old.rows].map((row) => [row.dataset.key, row]));
    const rows = [...fresh.rows].map((row) => {
      const was = known.get(row.dataset.key);
      if (!was) return row;
      const details = row.querySelector("details"), before = was.querySelector("details");
      if (details && before) details.open = before.open;
      was.lastElementChild.replaceWith(row.lastElementChild.cloneNode(true));
      return was.isEqualNode(row) ? was : row;
    });
    const stay = new Set(rows);
    for (const row of [...old.rows]) if (!stay.has(row)) row.remove();
    let next = old.firstElementChild;
    for (const row of rows) {
      if (row === next) next = next.nextElementSibling;
      else old.insertBefore(row, next);
    }
  }

  function swap(fresh) {
    const active = document.activeElement, focused = active?.matches("[data-live] :is(a, summary)") && name(active);
    const parts = new Map(live(fresh).map((part) => [part.dataset.live, part]));
    for (const part of live(document)) {
      const next = parts.get(part.dataset.live);
      if (part.dataset.live === "rows") merge(part, next);
      else if (!part.isEqualNode(next)) part.replaceWith(next);
    }
    if (focused && !active.isConnected) {
      [...document.querySelectorAll("[data-live] :is(a, summary)")].find((e) => name(e) === focused)
        ?.focus({preventScroll: true});
    }
    document.title = fresh.title;
    document.querySelector("link[rel=icon]").href = fresh.querySelector("link[rel=icon]").href;
  }

  async function show() {
    const mine = ++turn;
    try {
      const answer = await fetch(location.href, {signal: AbortSignal.timeout(PATIENCE)});
      if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (mine !== turn) return;
      swap(fresh);
      away.hidden = true;
      away.textContent = fresh.getElementById("away").textContent;
    } catch {
      if (mine === turn) away.hidden = false;
    }
  }

  function go(url) {
    history.replaceState(null, "", url);
    box.value = new URL(url, location.href).searchParams.get("filter") ?? "";
    return show();
  }

  function filtered() {
    const url = new URL(location.href);
    url.searchParams.set("filter", box.value);
    return url;
  }

  box.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => { history.replaceState(null, "", filtered()); show(); }, TYPING);
  });
  form.addEventListener("submit", (event) => { event.preventDefault(); go(filtered()); });
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-here]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    go(link.href);
  });
  auto.parentElement.hidden = false;
  setInterval(() => { if (auto.checked && !document.hidden) show(); }, REFRESH);
  document.addEventListener("visibilitychange", () => { if (auto.checked && !document.hidden) show(); });
})();
