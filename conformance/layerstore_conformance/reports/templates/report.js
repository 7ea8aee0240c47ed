"use strict";
(() => {
  const form = document.querySelector("form.filter");
  if (!form) return;
  const scenarios = [...document.querySelectorAll("details.scenario")];
  const groups = [...document.querySelectorAll("div.group")];
  const filter = () => {
    const outcomes = new Set([...form.querySelectorAll("[name=outcome]:checked")].map((box) => box.value));
    const group = form.elements.group.value;
    const words = form.elements.words.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const each of scenarios) {
      const text = (each.id + " " + each.querySelector("summary").textContent).toLowerCase();
      const wanted = outcomes.has(each.dataset.outcome) && (!group || group === each.dataset.group)
        && words.every((word) => text.includes(word));
      each.hidden = !wanted;
      shown += wanted;
    }
    for (const each of groups) each.hidden = !each.querySelector("details.scenario:not([hidden])");
    form.querySelector("output").textContent = `${shown} of ${scenarios.length}`;
  };
  form.addEventListener("input", filter);
  form.hidden = false;  // without scripts there is nothing to filter with
  filter();
  const open = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target instanceof HTMLDetailsElement) target.open = true;
  };
  addEventListener("hashchange", open);
  open();
})();
