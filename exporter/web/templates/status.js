"use strict";
// Fetches the page again and changes what differs; without this the page works as it is.
(() => {
  const form = document.getElementById("find"), box = document.getElementById("filter");
  const auto = document.getElementById("auto"), away = document.getElementById("away");
  const REFRESH = 1000 * document.currentScript.dataset.refresh, TYPING = 150, TIMEOUT = 10000, SLICE = 25;  // ms
  const PART = 200;  // rows
  const HIDDEN = 6;  // a hidden tab shows a title and an icon: every so many refreshes are enough for it
  const RELOADED = "together-exporter-reloaded";  // in the session's storage: the builds for which it was reloaded
  const CAUSES = {
    401: "401: sign in again", 403: "403: access denied", 404: "404: there is no exporter at this address",
    429: "429: too many requests", 502: "502: the proxy cannot reach the exporter",
    503: "503: the exporter or its proxy is overloaded", 504: "504: the proxy got no answer from the exporter",
  };
  let turn = 0, answered = 0, typing = 0, skipped = 0;

  class Cause extends Error {}

  const marker = (page) => page.querySelector("meta[name=together-exporter]");

  // Makes `old` equal to `fresh` by changing what differs and nothing else: selection, focus and open details stay.
  // Rows are left for later: `rows` receives pairs of them.
  function patch(old, fresh, rows) {
    if (old.isEqualNode(fresh) || old.hasAttribute("data-client")) return;
    patchAttributes(old, fresh);
    if (!patchAlike(old, fresh, rows)) patchChildren(old, fresh, rows);
  }

  function patchAttributes(old, fresh) {
    const follows = old.getAttribute("data-default") !== fresh.getAttribute("data-default");  // else as the user left it
    for (const {name, value} of fresh.attributes) {
      if (old.getAttribute(name) !== value && (name !== "open" || follows)) old.setAttribute(name, value);
    }
    if (old.attributes.length === fresh.attributes.length) return;
    for (const {name} of [...old.attributes]) {
      if (!fresh.hasAttribute(name) && (name !== "open" || follows)) old.removeAttribute(name);
    }
  }

  const key = (node) => node.nodeType === Node.ELEMENT_NODE ? node.getAttribute("data-key") : null;
  const isAlike = (one, other) => one.nodeName === other.nodeName && key(one) === key(other);

  // The usual case: the same children in the same order.
  function patchAlike(old, fresh, rows) {
    if (old.childNodes.length !== fresh.childNodes.length) return false;
    for (let one = old.firstChild, other = fresh.firstChild; one; one = one.nextSibling, other = other.nextSibling) {
      if (!isAlike(one, other)) return false;
    }
    for (let one = old.firstChild, other = fresh.firstChild; one; one = one.nextSibling, other = other.nextSibling) {
      patchNode(one, other, rows);
    }
    return true;
  }

  function patchNode(old, fresh, rows) {
    if (old.nodeName === "TR" && rows) rows.push([old, fresh]);
    else if (old.nodeType === Node.ELEMENT_NODE) patch(old, fresh, rows);
    else if (old.data !== fresh.data && !isSelected(old)) old.data = fresh.data;
  }

  function patchChildren(old, fresh, rows) {
    const keyed = new Map([...old.children].map((child) => [key(child), child]));
    keyed.delete(null);
    let next = old.firstChild;
    const wanted = [...fresh.childNodes].map((node) => {
      const isKeyed = key(node) !== null;
      while (next && key(next) !== null) next = next.nextSibling;
      const have = isKeyed ? keyed.get(key(node)) : next;
      if (!have || have.nodeName !== node.nodeName) return document.importNode(node, true);
      if (!isKeyed) next = next.nextSibling;
      patchNode(have, node, rows);
      return have;
    });
    arrange(old, wanted);
  }

  // A text that is being selected waits until it no longer is.
  function isSelected(node) {
    const selection = getSelection();
    return !selection.isCollapsed && (selection.anchorNode === node || selection.focusNode === node);
  }

  function arrange(parent, wanted) {
    const place = new Map([...parent.childNodes].map((node, index) => [node, index]));
    if (wanted.length === place.size && wanted.every((node, index) => place.get(node) === index)) return;
    const stays = new Set(wanted);
    for (const node of place.keys()) if (!stays.has(node)) node.remove();
    const rising = longestRising(wanted.map((node) => place.get(node)));
    let next = null;
    for (let index = wanted.length - 1; index >= 0; index--) {
      const node = wanted[index];
      if (!rising.has(index)) {
        if (parent.moveBefore && node.isConnected) parent.moveBefore(node, next);
        else parent.insertBefore(node, next);
      }
      next = node;
    }
  }

  // The indices of a longest rising run, leaving out what is undefined: these nodes need not move.
  function longestRising(numbers) {
    const ends = [], before = [], found = new Set();
    numbers.forEach((number, index) => {
      if (number === undefined) return;
      let low = 0, high = ends.length;
      while (low < high) {
        const middle = (low + high) >> 1;
        if (numbers[ends[middle]] < number) low = middle + 1;
        else high = middle;
      }
      before[index] = ends[low - 1];
      ends[low] = index;
    });
    for (let index = ends.at(-1); index !== undefined; index = before[index]) found.add(index);
    return found;
  }

  async function show(fresh, isCurrent) {
    const active = document.activeElement, selection = getSelection(), rows = [];
    const {anchorNode, anchorOffset, focusNode, focusOffset, isCollapsed} = selection;
    patch(document.body, fresh.body, rows);
    if (active !== document.activeElement && active?.isConnected) active.focus({preventScroll: true});
    const isLost = selection.anchorNode !== anchorNode || selection.focusNode !== focusNode;
    if (!isCollapsed && isLost && anchorNode.isConnected && focusNode.isConnected) {
      selection.setBaseAndExtent(anchorNode, anchorOffset, focusNode, focusOffset);
    }
    if (document.title !== fresh.title) document.title = fresh.title;
    patch(document.querySelector("link[rel=icon]"), fresh.querySelector("link[rel=icon]"));
    patchAttributes(marker(document), marker(fresh));
    let began = performance.now();
    for (const [old, row] of rows) {
      patch(old, row);
      if (performance.now() - began < SLICE) continue;
      await yieldToBrowser();
      if (!isCurrent()) return;
      began = performance.now();
    }
  }

  // Lets the browser render and the user act in the middle of a large refresh.
  const yieldToBrowser = () => new Promise((resolve) => { setTimeout(resolve); });

  function say(text) {
    if (away.textContent === text) return;
    away.textContent = text;
    away.hidden = !text;
    document.documentElement.classList.toggle("outdated", Boolean(text));
  }

  const parse = (text) => new DOMParser().parseFromString(text, "text/html");

  // Rows are parsed in parts: a thousand at once would hold the page too long.
  async function parsed(text) {
    const [head, ...rows] = text.split("\n<tr ");
    if (rows.length <= PART) return parse(text);
    const end = rows.at(-1).indexOf("</tbody>");
    const page = parse(head + rows.at(-1).slice(end)), body = page.querySelector("tbody");
    rows.push(rows.pop().slice(0, end));
    for (let first = 0; body && first < rows.length; first += PART) {
      await yieldToBrowser();
      const part = rows.slice(first, first + PART).map((row) => `<tr ${row}`).join("\n");
      body.append(...parse(`<table><tbody>${part}</tbody></table>`).querySelector("tbody").childNodes);
    }
    return page;
  }

  async function ask() {
    let answer;
    try {
      answer = await fetch(location.href, {redirect: "manual", signal: AbortSignal.timeout(TIMEOUT)});
    } catch (error) {
      throw new Cause(error.name === "TimeoutError" ? `no answer within ${TIMEOUT / 1000}s` : "the exporter does not answer");
    }
    if (answer.type === "opaqueredirect") throw new Cause("the answer was a redirect (sign-in needed?)");
    if (!answer.ok) throw new Cause(CAUSES[answer.status] ?? `the answer was HTTP ${answer.status}`);
    const text = await answer.text().catch(() => { throw new Cause("the answer broke off"); });
    const fresh = await parsed(text);
    if (!marker(fresh)) throw new Cause("the answer was not this page (sign-in needed?)");
    if (!fresh.querySelector("footer")) throw new Cause("the answer broke off");
    return fresh;
  }

  // Whether the exporter was upgraded since this page was loaded: style and script are of the old version then.
  function isOutdated(fresh) {
    const build = marker(fresh).content, before = sessionStorage.getItem(RELOADED) ?? "";
    if (build === marker(document).content) return false;
    if (before.includes(build)) throw new Cause(`the exporter now is ${build.split(" ")[0]}: reload the page`);
    sessionStorage.setItem(RELOADED, `${before}\n${build}`);
    return true;
  }

  async function refresh(sync = () => {}) {
    const mine = ++turn;
    try {
      const fresh = await ask();
      if (mine !== turn) return;
      if (isOutdated(fresh)) return location.reload();
      await yieldToBrowser();
      if (mine !== turn) return;
      await show(fresh, () => mine === turn);
      sync(fresh);
      say("");
    } catch (error) {
      if (mine !== turn) return;
      const cause = error instanceof Cause ? error.message : `the page could not be updated (${error.message}): reload it`;
      say(`Showing data from ${marker(document).dataset.now.slice(11)}: ${cause}.`);
    } finally {
      if (mine === turn) answered = mine;
    }
  }

  // Waits for slow responses: otherwise each refresh would cancel the previous one.
  function refreshAgain() {
    if (auto.checked && answered === turn) refresh();
  }

  function controlsFollow(fresh) {
    for (const control of form.querySelectorAll("[name]")) {
      const other = fresh.querySelector(`#find [name=${control.name}]`);
      if (other && control.value !== other.value) control.value = other.value;
    }
  }

  function go(url) {
    history.pushState(null, "", url);
    return refresh(controlsFollow);
  }

  function formAddress() {
    const values = [...new FormData(form)].filter(([name, value]) => value && !(name === "sort" && value === "trouble"));
    return `./?${new URLSearchParams(values)}`;
  }

  async function copy(button) {
    const code = button.previousElementSibling;
    try {
      await navigator.clipboard.writeText(code.textContent);
    } catch {  // there is no clipboard without HTTPS
      getSelection().selectAllChildren(code);
      document.execCommand("copy");
    }
    button.textContent = "Copied";
  }

  box.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => { history.replaceState(null, "", formAddress()); refresh(); }, TYPING);
  });
  form.addEventListener("change", (event) => { if (event.target.matches("select")) go(formAddress()); });
  form.addEventListener("submit", (event) => { event.preventDefault(); clearTimeout(typing); go(formAddress()); });
  document.addEventListener("click", (event) => {
    const button = event.target.closest(".copy");
    if (button) return copy(button);
    const link = event.target.closest("a[data-here]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    go(link.href);
  });
  document.addEventListener("pointerover", (event) => {
    const time = event.target.closest?.("time");
    if (time) time.title = `${time.title.split("\n")[0]}\n${new Date(time.dateTime).toLocaleString(undefined, {timeZoneName: "short"})}`;
  });
  addEventListener("popstate", () => refresh(controlsFollow));
  document.addEventListener("visibilitychange", () => { if (!document.hidden) refreshAgain(); });
  setInterval(() => {
    skipped = document.hidden && skipped < HIDDEN - 1 ? skipped + 1 : 0;
    if (!skipped) refreshAgain();
  }, REFRESH);
  document.documentElement.classList.add("scripted");
})();
