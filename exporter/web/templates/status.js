"use strict";
// Fetches the page again and puts its live parts in the place of the old ones; without this the page works as it is.
(() => {
  const form = document.getElementById("find"), box = document.getElementById("filter");
  const auto = document.getElementById("auto"), away = document.getElementById("away");
  const REFRESH = 1000 * document.currentScript.dataset.refresh, TYPING = 120, PATIENCE = 10000;  // ms
  let turn = 0, typing = 0;

  const live = (page) => [...page.querySelectorAll("[data-live]")];
  const name = (element) => element?.closest("details")?.dataset.key ?? element?.href;  // the same before and after

  function swap(fresh) {
    const open = new Set([...document.querySelectorAll("details[open]")].map(name));
    const focused = document.activeElement?.closest("[data-live]") && name(document.activeElement);
    const parts = new Map(live(fresh).map((part) => [part.dataset.live, part]));
    for (const part of live(document)) part.replaceWith(parts.get(part.dataset.live));
    for (const details of document.querySelectorAll("details")) details.open = open.has(name(details));
    const again = focused && [...document.querySelectorAll("summary, [data-live] a")].find((e) => name(e) === focused);
    if (again) again.focus({preventScroll: true});
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
