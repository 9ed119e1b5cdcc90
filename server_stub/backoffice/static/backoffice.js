// Keys, questions before what cannot be undone, and arrows through tables. Every action works without it.
"use strict";

(() => {
  const typing = (target) => target.closest("input:not([type=radio], [type=checkbox]), textarea, select") !== null;
  const ask = document.getElementById("ask");
  const keys = document.getElementById("keys");
  const GO_MS = 1500;
  let asked = null;
  let going = 0;

  // A form that cannot be undone: the question of the server's own page, in a dialog, below what was chosen.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    // What is incomplete the server refuses, beside its field: nothing to ask yet.
    if (!form.dataset.ask || form.elements.confirmed || !form.checkValidity()) return;
    event.preventDefault();
    asked = { form, button: event.submitter };
    const chosen = form.querySelector("input[type=radio]:checked");
    document.getElementById("ask-what").textContent = chosen?.closest("label").querySelector("span").textContent ?? "";
    document.getElementById("ask-text").textContent = form.dataset.ask;
    // The button says what is done, in red only where it destroys something.
    const yes = document.getElementById("ask-yes");
    yes.textContent = event.submitter.textContent;
    yes.className = event.submitter.classList.contains("danger") ? "danger" : "main";
    ask.showModal();
    document.getElementById("ask-no").focus();
  });
  document.getElementById("ask-no").addEventListener("click", () => ask.close());
  document.getElementById("ask-yes").addEventListener("click", () => {
    const { form, button } = asked;
    const confirmed = document.createElement("input");
    Object.assign(confirmed, { type: "hidden", name: "confirmed", value: "yes" });
    form.append(confirmed);
    ask.close();
    form.requestSubmit(button);
  });
  document.getElementById("keys-close").addEventListener("click", () => keys.close());

  const step = (key, target) => {
    const table = target.closest("table");
    const rows = [...(table || document).querySelectorAll("tbody tr")].filter((row) => row.querySelector("a, button"));
    if (!rows.length) return false;
    const at = rows.indexOf(target.closest("tr"));
    const next = { ArrowDown: at + 1, ArrowUp: at < 0 ? 0 : at - 1, Home: 0, End: rows.length - 1 }[key];
    const row = rows[Math.min(rows.length - 1, Math.max(0, next))];
    row.querySelector("a, button").focus();
    return true;
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const target = event.target;
    if (typing(target)) {
      if (event.key === "Escape") target.blur();
      if (event.key === "ArrowDown" && target.closest("[role=search]") && target.matches("input[type=text], input[type=search]") && step("ArrowDown", document.body)) event.preventDefault();
      return;
    }
    const now = Date.now();
    if (now - going < GO_MS) {
      going = 0;
      const way = document.querySelector(`nav a[data-key="${CSS.escape(event.key)}"]`);
      if (way) {
        event.preventDefault();
        way.click();
      }
      return;
    }
    if (event.key === "g") going = now;
    else if (event.key === "/") {
      const search = document.querySelector("[role=search] input:not([type=hidden])");
      if (search) {
        event.preventDefault();
        search.focus();
        search.select();
      }
    } else if (event.key === "?") {
      event.preventDefault();
      keys.showModal();
      keys.scrollTop = 0; // the focus is on its last button
    } else if (["ArrowDown", "ArrowUp"].includes(event.key) || (["Home", "End"].includes(event.key) && target.closest("table"))) {
      if (!target.closest("[role=radiogroup], [type=radio]") && step(event.key, target)) event.preventDefault();
    }
  });

  // What looks again by itself gives the focus back to what stands where it was.
  let held = "";
  document.addEventListener("htmx:beforeSwap", (event) => {
    const focused = document.activeElement;
    held = event.detail.target.contains(focused) ? focused.getAttribute("href") || "" : "";
  });
  document.addEventListener("htmx:afterSettle", () => {
    if (held && document.activeElement === document.body) document.querySelector(`main a[href="${CSS.escape(held)}"]`)?.focus();
    held = "";
  });
  document.addEventListener("htmx:responseError", (event) => {
    if ([401, 403].includes(event.detail.xhr.status)) window.location.reload();
  });

  // The way back to a list leads to what was last searched there; who signs out leaves nothing of it behind.
  const lists = window.sessionStorage;
  if (!document.querySelector("nav")) lists.clear();
  if (document.querySelector("main [role=search]"))
    window.addEventListener("pagehide", () => lists.setItem(window.location.pathname, window.location.search));
  for (const way of document.querySelectorAll(".trail a")) {
    const kept = new URLSearchParams(lists.getItem(way.pathname) || "");
    const same = [...new URLSearchParams(way.search)].every(([name, value]) => kept.get(name) === value);
    if (same) way.search = kept.toString();
  }
})();
