"use strict";
(() => {
  const all = (query, root = document) => [...root.querySelectorAll(query)];

  // ---- tables --------------------------------------------------------------------------------
  const valueOf = (cell) => cell.dataset.v ?? cell.textContent;
  const compare = (a, b) => {
    const [x, y] = [Number(a), Number(b)];
    return a !== "" && b !== "" && !isNaN(x) && !isNaN(y) ? x - y : a.localeCompare(b, "en", { numeric: true });
  };
  const sort = (table, head) => {
    const down = head.getAttribute("aria-sort") === "ascending";
    const column = head.cellIndex;
    all("th[aria-sort]", table).forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const rows = all("tbody tr", table).map((row) => [valueOf(row.cells[column]), row]);
    // What has no value comes last in both directions.
    rows.sort(([a], [b]) => (a === "") - (b === "") || (down ? compare(b, a) : compare(a, b)));
    table.tBodies[0].append(...rows.map(([, row]) => row));
  };
  all("table.data th button").forEach((button) => {
    button.addEventListener("click", () => sort(button.closest("table"), button.parentElement));
  });
  all("input[data-filter]").forEach((input) => {
    input.addEventListener("input", () => {
      const wanted = input.value.toLowerCase().split(/\s+/);
      const rows = all("tbody tr", document.getElementById(input.dataset.filter));
      let shown = 0;
      rows.forEach((row) => {
        const text = row.textContent.toLowerCase();
        row.hidden = !wanted.every((word) => text.includes(word));
        shown += !row.hidden;
      });
      tell(input, `${shown} of ${rows.length} rows`);
    });
  });

  // ---- copying -------------------------------------------------------------------------------
  const tell = (near, text) => { near.closest(".tools").querySelector(".said").textContent = text; };
  const copy = async (button, text) => {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const area = document.body.appendChild(document.createElement("textarea"));
      area.value = text;
      area.select();
      document.execCommand("copy");
      area.remove();
      button.focus();
    }
    tell(button, "Copied.");
  };
  const quoted = (text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const csv = (table) => [...table.rows].filter((row) => !row.hidden)
    .map((row) => [...row.cells].map((cell) => quoted(valueOf(cell).trim())).join(",")).join("\n");
  all("button[data-copy-table]").forEach((button) => button.addEventListener("click", () => {
    copy(button, csv(document.getElementById(button.dataset.copyTable)));
  }));
  all("button[data-copy]").forEach((button) => button.addEventListener("click", () => {
    copy(button, document.getElementById(button.dataset.copy).textContent);
  }));

  // ---- figures: zoom, pan, and what is under the pointer -------------------------------------
  const scaled = (axis, value) => (axis.log ? Math.log(value) : value);
  const share = (axis, value) => {
    const [low, high] = axis.limits.map((end) => scaled(axis, end));
    return (scaled(axis, value) - low) / (high - low);
  };
  const at = (axis, part) => {
    const [low, high] = axis.limits.map((end) => scaled(axis, end));
    const value = low + part * (high - low);
    if (axis.ticks) {
      const nearest = axis.ticks.reduce((a, b) => (Math.abs(b[0] - value) < Math.abs(a[0] - value) ? b : a), axis.ticks[0]);
      return nearest ? nearest[1] : "";
    }
    return Number((axis.log ? Math.exp(value) : value).toPrecision(4)).toString();
  };
  all("figure .view").forEach((view) => {
    const svg = view.querySelector("svg.drawing");
    const out = view.querySelector(".readout");
    const panels = JSON.parse(view.parentElement.querySelector(".panels").textContent);
    const full = { x: 0, y: 0, w: Number(view.dataset.width), h: Number(view.dataset.height) };
    if (full.w < 350) view.dataset.narrow = "";
    let box = { ...full };
    const show = (next) => {
      const w = Math.min(full.w, Math.max(full.w / 12, next.w));
      const h = w * full.h / full.w;
      box = { w, h, x: Math.min(full.w - w, Math.max(0, next.x)), y: Math.min(full.h - h, Math.max(0, next.y)) };
      svg.setAttribute("viewBox", [box.x, box.y, box.w, box.h].map((v) => v.toFixed(2)).join(" "));
      view.classList.toggle("zoomed", w < full.w);
    };
    const zoom = (factor, px = 0.5, py = 0.5) => {
      const w = Math.min(full.w, Math.max(full.w / 12, box.w / factor));
      const h = w * full.h / full.w;
      show({ w, x: box.x + px * (box.w - w), y: box.y + py * (box.h - h) });
    };
    const move = (dx, dy) => show({ w: box.w, x: box.x + dx * box.w, y: box.y + dy * box.h });
    const place = (event) => {
      const r = svg.getBoundingClientRect();
      return { px: (event.clientX - r.left) / r.width, py: (event.clientY - r.top) / r.height, r };
    };
    const actions = { in: () => zoom(1.5), out: () => zoom(1 / 1.5), reset: () => show(full) };
    all("button[data-zoom]", view.parentElement).forEach((button) => {
      button.addEventListener("click", actions[button.dataset.zoom]);
    });
    const keys = {
      "+": actions.in, "=": actions.in, "-": actions.out, "0": actions.reset,
      ArrowLeft: () => move(-0.1, 0), ArrowRight: () => move(0.1, 0),
      ArrowUp: () => move(0, -0.1), ArrowDown: () => move(0, 0.1),
    };
    view.addEventListener("keydown", (event) => {
      const arrows = event.key.startsWith("Arrow");
      if (!keys[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
      if (arrows && box.w >= full.w) return; // nothing is hidden: the page scrolls
      event.preventDefault();
      keys[event.key]();
    });
    view.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      const { px, py } = place(event);
      zoom(Math.exp(-event.deltaY / 300), px, py);
    }, { passive: false });

    let held = null;
    view.addEventListener("pointerdown", (event) => {
      if (box.w >= full.w || event.button) return;
      held = { x: event.clientX, y: event.clientY };
      view.setPointerCapture(event.pointerId);
    });
    ["pointerup", "pointercancel"].forEach((name) => view.addEventListener(name, () => { held = null; }));
    view.addEventListener("pointerleave", () => out.classList.remove("shown"));
    view.addEventListener("pointermove", (event) => {
      const { px, py, r } = place(event);
      if (held) {
        move((held.x - event.clientX) / r.width, (held.y - event.clientY) / r.height);
        held = { x: event.clientX, y: event.clientY };
        return;
      }
      const text = found((box.x + px * box.w) / full.w, (box.y + py * box.h) / full.h, r.width * full.w / box.w);
      out.classList.toggle("shown", Boolean(text));
      if (!text) return;
      out.textContent = text;
      const frame = view.getBoundingClientRect();
      const left = event.clientX - frame.left + view.scrollLeft + 14;
      const right = view.scrollLeft + view.clientWidth - out.offsetWidth - 4;
      out.style.left = `${Math.max(view.scrollLeft, Math.min(left, right))}px`;
      const above = event.clientY - frame.top - out.offsetHeight - 12;
      out.style.top = `${(above < 0 ? event.clientY - frame.top + 18 : above) + view.scrollTop}px`;
    });

    // Shares of the figure, and its width on the screen without the zoom, in pixels.
    const found = (fx, fy, width) => {
      const panel = panels.find((each) => fx >= each.box[0] && fx <= each.box[2] && fy >= each.box[1] && fy <= each.box[3]);
      if (!panel) return "";
      const [left, top, right, bottom] = panel.box;
      const height = width * full.h / full.w;
      const lines = [panel.title, `${panel.x.name} ${at(panel.x, (fx - left) / (right - left))}, ${panel.y.name} ${at(panel.y, (bottom - fy) / (bottom - top))}`];
      let best = { d: 18 };
      panel.series.forEach((series) => series.x.forEach((x, k) => {
        const dx = (left + share(panel.x, x) * (right - left) - fx) * width;
        const dy = (bottom - share(panel.y, series.y[k]) * (bottom - top) - fy) * height;
        // A point with a name of its own goes before the line that it lies on.
        const d = Math.hypot(dx, dy) - (Array.isArray(series.label) ? 6 : 0);
        if (d < best.d) best = { d, series, k };
      }));
      if (best.series) {
        const { series, k } = best;
        const line = `${series.label}: ${series.x[k]}, ${series.y[k]}`;
        lines.push(Array.isArray(series.label) ? series.label[k] : line);
      }
      return lines.filter(Boolean).join("\n");
    };
  });

  // ---- on paper everything is open -----------------------------------------------------------
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = all("details:not([open])");
    opened.forEach((each) => { each.open = true; });
  });
  addEventListener("afterprint", () => opened.forEach((each) => { each.open = false; }));
})();
