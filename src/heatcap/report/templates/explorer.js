"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const at = (id) => document.getElementById(id);
  const all = (query, root = document) => [...root.querySelectorAll(query)];
  const fit = data.sliders.map((slider) => slider.start);
  const values = [...fit];
  const hidden = new Set();
  const indexOf = new Map(data.sizes.map((entry, k) => [entry.size, k]));

  // ---- scaling: X = (x - x_c) S(L), Y = A L^-exponent ----------------------------------------
  const logStretch = (logSize, shape) => (
    data.ansatz === "kosterlitz-thouless" ? 2 * Math.log(Math.max(logSize - shape, 1e-3)) : shape * logSize
  );
  // With corrections as the fit has them, in the same units:
  // X = (x - x_c) (1 + c t) S(L) + s h S(L_ref) l^-omega, Y / ((1 + b t) (1 + a l^-omega)),
  // with t = (x - x_c) / h and l = L / L_ref.  The corrections follow theta to first order, so that
  // chi^2 of the fit is least (scaling/following.py).
  const scaled = (part, group, theta, taken) => {
    const [xc, shape] = theta;
    const logSize = Math.log(group.size);
    const stretch = Math.exp(logStretch(logSize, shape));
    const factor = Math.exp(-theta[2 + part] * logSize);
    if (!taken) {
      return {
        X: group.x.map((x) => (x - xc) * stretch), Y: group.y.map((y) => y * factor), E: group.e.map((e) => e * factor),
      };
    }
    const f = data.corrections;
    const moved = theta.map((value, k) => value - f.best[k]);
    const follow = (k) => f.values[k] + f.slopes[k].reduce((sum, slope, j) => sum + slope * moved[j], 0);
    const [c, omega] = [follow(0), Math.min(10, Math.max(0.1, follow(1)))];
    const [b, a, s] = [2, 3, 4].map((k) => follow(k + 3 * part));
    const decline = Math.exp(-omega * (logSize - f.log_ref));
    const shift = s * f.half * Math.exp(logStretch(f.log_ref, shape)) * decline;
    const t = group.x.map((x) => (x - xc) / f.half);
    const own = t.map((each) => factor / ((1 + b * each) * (1 + a * decline)));
    return {
      X: t.map((each) => each * f.half * (1 + c * each) * stretch + shift),
      Y: group.y.map((y, k) => y * own[k]),
      E: group.e.map((e, k) => e * Math.abs(own[k])),
    };
  };

  // ---- agreement: every point against cubics through its neighbours of the other sizes -------
  const counted = (points, group) => {
    const out = new Set(group.out);
    const order = points.X.map((_, k) => k)
      .filter((k) => !out.has(k) && [points.X[k], points.Y[k], points.E[k]].every(Number.isFinite))
      .sort((i, j) => points.X[i] - points.X[j]);
    return { X: order.map((k) => points.X[k]), Y: order.map((k) => points.Y[k]), E: order.map((k) => points.E[k]) };
  };
  // Value and variance of a curve at x; null beyond its points.
  const curveAt = (curve, x) => {
    const { X, Y, E } = curve;
    const n = X.length;
    // Ends that coincide, but for rounding, are compared.
    const room = 1e-9 * (X[n - 1] - X[0]);
    if (n < 2 || !(x >= X[0] - room && x <= X[n - 1] + room)) return null;
    let [low, high] = [0, n];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (X[middle] <= x) low = middle + 1; else high = middle;
    }
    const m = Math.min(4, n);
    const first = Math.min(Math.max(low - (m >> 1), 0), n - m);
    let [value, variance] = [0, 0];
    for (let j = first; j < first + m; j += 1) {
      let weight = 1;
      for (let i = first; i < first + m; i += 1) if (i !== j) weight *= (x - X[i]) / (X[j] - X[i]);
      value += weight * Y[j];
      variance += weight * weight * E[j] * E[j];
    }
    return Number.isFinite(value) && variance > 0 ? { value, variance } : null;
  };
  const agreement = (curves) => {
    let [chi2, compared, points] = [0, 0, 0];
    curves.forEach((curve, own) => curve.X.forEach((x, k) => {
      points += 1;
      let [sum, weight] = [0, 0];
      curves.forEach((other, which) => {
        const there = which === own ? null : curveAt(other, x);
        if (!there) return;
        sum += there.value / there.variance;
        weight += 1 / there.variance;
      });
      if (!weight) return;
      compared += 1;
      chi2 += (curve.Y[k] - sum / weight) ** 2 / (curve.E[k] ** 2 + 1 / weight);
    }));
    return { chi2, compared, points };
  };
  const together = (each) => each.reduce((a, b) => ({
    chi2: a.chi2 + b.chi2, compared: a.compared + b.compared, points: a.points + b.points,
  }), { chi2: 0, compared: 0, points: 0 });
  // Fewer than half of the points compared is no collapse: the fit does not count that, either.
  const short = (x) => (x >= 1e5 || x < 0.01 ? x.toExponential(1) : x.toFixed(x < 100 ? 2 : 0));
  const said = (q) => (q.compared < q.points / 2 || !q.compared ? "no overlap" : short(q.chi2 / q.compared));
  const shown = (part) => data.observables[part].groups.filter((group) => !hidden.has(indexOf.get(group.size)));
  const measure = (theta, taken) => data.observables.map((_, part) => (
    agreement(shown(part).map((group) => counted(scaled(part, group, theta, taken), group)))
  ));

  // ---- drawing -------------------------------------------------------------------------------
  const MARKERS = {
    o: "m-3 0a3 3 0 1 0 6 0a3 3 0 1 0-6 0z", s: "m-2.7-2.7h5.4v5.4h-5.4z", "^": "m0-3.6l3.4 6h-6.8z", v: "m0 3.6l3.4-6h-6.8z",
    D: "m0-3.8l3.8 3.8l-3.8 3.8l-3.8-3.8z", P: "m-1.2-3.4h2.4v2.2h2.2v2.4h-2.2v2.2h-2.4v-2.2h-2.2v-2.4h2.2z",
    X: "m0-1.6l1.9-1.9l1.6 1.6l-1.9 1.9l1.9 1.9l-1.6 1.6l-1.9-1.9l-1.9 1.9l-1.6-1.6l1.9-1.9l-1.9-1.9l1.6-1.6z",
    "<": "m-3.6 0l6-3.4v6.8z", ">": "m3.6 0l-6-3.4v6.8z", p: "m0-3.5l3.3 2.4l-1.3 3.9h-4l-1.3-3.9z",
  };
  all(".sizes .key path").forEach((path, k) => path.setAttribute("d", `M0 0${MARKERS[data.sizes[k].marker]}`));
  const add = (parent, name, attributes, text) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    Object.entries(attributes).forEach(([key, value]) => element.setAttribute(key, value));
    if (text !== undefined) element.textContent = text;
    return parent.appendChild(element);
  };
  const ticksOf = (low, high, most) => {
    const rough = (high - low) / most;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = power * ([1, 2, 5].find((m) => m * power >= rough) || 10);
    const places = [];
    for (let k = Math.ceil(low / step); k * step <= high; k += 1) places.push(k * step);
    const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
    const far = Math.max(Math.abs(low), Math.abs(high));
    const text = (x) => (far >= 1e6 || digits > 5 ? Number(x.toPrecision(3)).toExponential() : x.toFixed(digits)).replace(/^-(0(\.0*)?)$/, "$1").replaceAll("-", "−");
    return places.map((x) => [x, text(Math.abs(x) < step / 1e6 ? 0 : x)]);
  };
  const limits = (rows) => {
    let [low, high] = [Infinity, -Infinity];
    rows.forEach((row) => row.forEach((x) => {
      if (!Number.isFinite(x)) return;
      if (x < low) low = x;
      if (x > high) high = x;
    }));
    if (low > high) return [0, 1];
    const room = 0.05 * (high - low) || Math.abs(high) || 1;
    return [low - room, high + room];
  };
  const draw = (part) => {
    const svg = all(".plot svg")[part];
    const { width, height } = svg.getBoundingClientRect();
    if (!width || !height) return;
    const taken = Boolean(at("take-off")?.checked);
    const every = Boolean(at("all")?.checked);
    const curves = shown(part).map((group) => {
      const out = new Set(group.out);
      const chosen = group.x.map((_, k) => k).filter((k) => every || !out.has(k));
      return { group, out, chosen, ...scaled(part, group, values, taken) };
    });
    const of = (key) => curves.map((curve) => curve.chosen.map((k) => curve[key][k]));
    const [x0, x1] = limits(of("X"));
    const [y0, y1] = limits(of("Y"));
    const yTicks = ticksOf(y0, y1, Math.max(2, height / 55));
    const left = 14 + 7 * Math.max(...yTicks.map(([, text]) => text.length), 2);
    const [right, top, bottom] = [width - 12, 8, height - 26];
    const px = (x) => left + (right - left) * (x - x0) / (x1 - x0);
    const py = (y) => bottom - (bottom - top) * (y - y0) / (y1 - y0);
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.dataset.limits = JSON.stringify([x0, x1, y0, y1]);
    svg.dataset.frame = JSON.stringify([left, right, top, bottom]);
    svg.replaceChildren();
    const clip = add(svg, "clipPath", { id: `clip-${part}` });
    add(clip, "rect", { x: left, y: top, width: right - left, height: bottom - top });
    ticksOf(x0, x1, Math.max(2, width / 90)).forEach(([x, text]) => {
      add(svg, "path", { class: "tick", d: `M${px(x)} ${bottom}v4` });
      add(svg, "text", { x: px(x), y: bottom + 17, "text-anchor": "middle" }, text);
    });
    yTicks.forEach(([y, text]) => {
      add(svg, "path", { class: "tick", d: `M${left} ${py(y)}h-4` });
      add(svg, "text", { x: left - 7, y: py(y) + 4, "text-anchor": "end" }, text);
    });
    const inside = add(svg, "g", { "clip-path": `url(#clip-${part})` });
    if (x0 < 0 && x1 > 0) add(inside, "path", { class: "zero", d: `M${px(0)} ${top}V${bottom}` });
    // Bars below all marks; points that the fit left out are pale.
    const layers = [["bars", false], ["bars", true], ["marks", false], ["marks", true]];
    layers.forEach(([kind, out]) => curves.forEach((curve) => {
      const { colour, marker } = data.sizes[indexOf.get(curve.group.size)];
      const mark = (k) => {
        const [x, y] = [px(curve.X[k]).toFixed(2), py(curve.Y[k]).toFixed(2)];
        if (kind === "marks") return `M${x} ${y}${MARKERS[marker]}`;
        return `M${x} ${py(curve.Y[k] - curve.E[k]).toFixed(2)}V${py(curve.Y[k] + curve.E[k]).toFixed(2)}`;
      };
      const rows = curve.chosen.filter((k) => curve.out.has(k) === out && [curve.X[k], curve.Y[k], curve.E[k]].every(Number.isFinite));
      if (!rows.length) return;
      const paint = kind === "bars" ? "stroke" : "fill";
      add(inside, "path", { class: out ? `${kind} out` : kind, "data-size": curve.group.size, [paint]: `var(--c-${colour})`, d: rows.map(mark).join("") });
    }));
    add(svg, "rect", { class: "frame", x: left, y: top, width: right - left, height: bottom - top });
  };

  // ---- the controls --------------------------------------------------------------------------
  const written = (k) => {
    const digits = Math.max(0, 1 - Math.floor(Math.log10(data.sliders[k].step) + 1e-9));
    return digits > 15 || Math.abs(values[k]) >= 1e12 ? values[k].toExponential(8) : values[k].toFixed(digits);
  };
  const within = (region, x) => region && x >= region[0] && x <= region[1];
  const place = (k) => {
    const { inner, outer } = data.sliders[k];
    if (!outer) return "";
    if (within(inner, values[k])) return "; inside 68 %";
    return within(outer, values[k]) ? "; inside 95 %" : "; outside 95 %";
  };
  let atFit = {}; // without sizes that are switched off
  const tell = () => {
    const kinds = data.corrections ? ["raw", "corrected"] : ["raw"];
    const now = Object.fromEntries(kinds.map((kind) => [kind, measure(values, kind === "corrected")]));
    kinds.forEach((kind) => {
      const whole = together(now[kind]);
      atFit[kind] ??= together(measure(fit, kind === "corrected"));
      at(kind).textContent = said(whole);
      at(`${kind}-fit`).textContent = said(atFit[kind]);
      const ratio = (whole.chi2 / whole.compared) / (atFit[kind].chi2 / atFit[kind].compared);
      at(kind).classList.toggle("worse", said(whole) === "no overlap" || ratio > 1.2);
    });
    const drawn = now[at("take-off")?.checked ? "corrected" : "raw"];
    const whole = together(drawn);
    at("compared").textContent = `${whole.compared} of ${whole.points} points are compared with another size.`;
    all("output.part").forEach((output, part) => { output.textContent = `χ² per point ${said(drawn[part])}`; });
  };
  // A slider has whole places: value = start + step x place, with wider steps where it spans more.
  const stepOf = (slider) => slider.step * (slider.outer ? Number(at("span").value) : 1);
  const stand = (k) => {
    const slider = data.sliders[k];
    at(`slider-${k}`).value = Math.round((values[k] - slider.start) / stepOf(slider));
  };
  const mark = (k) => {
    const slider = data.sliders[k];
    const share = (x) => (100 * Math.min(1, Math.max(0, ((x - slider.start) / stepOf(slider) - slider.low) / (slider.high - slider.low))));
    const lane = at(`slider-${k}`).parentElement.querySelector(".lane");
    ["inner", "outer"].filter((name) => slider[name]).forEach((name) => {
      const [left, right] = slider[name].map(share);
      Object.assign(lane.querySelector(`.${name}`).style, { left: `${left}%`, width: `${right - left}%` });
    });
    lane.querySelector(".start").style.left = `${share(slider.start)}%`;
  };
  let waiting = false;
  const update = () => {
    values.forEach((value, k) => {
      const slider = at(`slider-${k}`);
      slider.setAttribute("aria-valuetext", written(k) + place(k));
      at(`number-${k}`).value = written(k);
      at(`about-${k}`).querySelector(".place").textContent = place(k);
    });
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      data.observables.forEach((_, part) => draw(part));
      tell();
    });
  };
  data.sliders.forEach((slider, k) => {
    at(`slider-${k}`).addEventListener("input", (event) => {
      values[k] = slider.start + stepOf(slider) * Number(event.target.value);
      update();
    });
    at(`number-${k}`).addEventListener("change", (event) => {
      const typed = event.target.valueAsNumber;
      if (Number.isFinite(typed)) {
        values[k] = typed;
        stand(k);
      }
      update();
    });
  });
  at("back").addEventListener("click", () => {
    data.sliders.forEach((_, k) => {
      values[k] = fit[k];
      stand(k);
    });
    update();
  });
  all("input[name=drawn], #all").forEach((input) => input.addEventListener("change", () => {
    all(".taken").forEach((words) => { words.hidden = !at("take-off")?.checked; });
    update();
  }));
  all("button[data-size]").forEach((button) => button.addEventListener("click", () => {
    const k = Number(button.dataset.size);
    if (!hidden.delete(k)) hidden.add(k);
    button.setAttribute("aria-pressed", String(!hidden.has(k)));
    atFit = {};
    update();
  }));
  const span = () => data.sliders.forEach((_, k) => {
    mark(k);
    stand(k);
  });
  at("span")?.addEventListener("change", span);
  span();
  document.querySelector("form").addEventListener("submit", (event) => event.preventDefault());
  document.querySelector(".explorer").classList.toggle("several", data.observables.length > 1);
  new ResizeObserver(() => data.observables.forEach((_, part) => draw(part))).observe(document.querySelector(".plots"));
  update();
})();
