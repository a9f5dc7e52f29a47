// A table of any number of rows of which only the visible ones exist.
"use strict";
{
  const { el, count } = neurogloss;
  const TALLEST = 16_000_000; // pixels; browsers stop drawing somewhere above

  // columns: [{key, title, hint, class, cell(row) -> nodes, sortable}]; sorted(key) is called when a title is pressed.
  function table(columns, name, sorted) {
    const head = el("div", { class: "row head", role: "row", "aria-rowindex": "1" });
    const body = el("div", { class: "rows", role: "rowgroup" });
    const box = el("div", { class: "table", role: "table", "aria-label": name, tabindex: "0" }, el("div", { role: "rowgroup", class: "headgroup" }, head), body);
    let order = new Uint32Array(0), height = 48, drawn = "";

    function drawHead(sort) {
      head.replaceChildren(
        ...columns.map((column) => {
          const active = sort?.key === column.key;
          const arrow = active ? (sort.down ? " ↓" : " ↑") : "";
          const content = column.sortable ? el("button", { type: "button", title: column.hint, onclick: () => sorted(column.key) }, column.title, el("span", { "aria-hidden": "true" }, arrow)) : el("span", { title: column.hint }, column.title);
          return el("div", { role: "columnheader", class: `col ${column.class}`, "aria-sort": column.sortable ? (active ? (sort.down ? "descending" : "ascending") : "none") : null }, content);
        }),
      );
    }

    function draw() {
      const full = order.length * height, tall = Math.min(full, TALLEST);
      const scale = full > tall ? (full - box.clientHeight) / Math.max(1, tall - box.clientHeight) : 1;
      const above = box.scrollTop * scale;
      const first = Math.max(0, Math.floor(above / height) - 6);
      const last = Math.min(order.length, Math.ceil((above + box.clientHeight) / height) + 6);
      const key = `${first} ${last} ${height} ${scale === 1 ? "" : box.scrollTop}`;
      if (key === drawn) return;
      drawn = key;
      body.style.height = `${tall}px`;
      const rows = [];
      for (let i = first; i < last; i++) {
        const row = el("div", { class: "row", role: "row", "aria-rowindex": String(i + 2) }, columns.map((column) => el("div", { role: "cell", class: `col ${column.class}` }, column.cell(order[i]))));
        row.style.transform = `translateY(${i * height - above + box.scrollTop}px)`;
        rows.push(row);
      }
      body.replaceChildren(...rows);
    }

    function show(rows, sort) {
      order = rows;
      drawn = "";
      box.setAttribute("aria-rowcount", String(order.length + 1));
      box.scrollTop = 0;
      drawHead(sort);
      draw();
      body.classList.toggle("none", !order.length);
      body.dataset.none = `No ${neurogloss.store.about.unit.one} matches.`;
    }

    box.addEventListener("scroll", () => requestAnimationFrame(draw), { passive: true });
    new ResizeObserver(() => {
      height = parseInt(getComputedStyle(box).getPropertyValue("--row"), 10) || 48;
      draw();
    }).observe(box);
    return { box, show };
  }

  neurogloss.table = table;
}
