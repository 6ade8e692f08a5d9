"""What a report says, of whatever runs there are, and that its page is complete in itself."""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import heatcap as hc
from heatcap.events import LEAST_FINAL, LEAST_RISE, MEMORISED
from heatcap.report.answers import answers_of, spoken
from heatcap.report.cautions import cautions_of
from heatcap.report.methods import bibtex, methods
from heatcap.report.pictures import plans_of

from synthetic import Plan, observables

EVIL = "</script><script>alert(1)</script>--></svg>&"
VOID = {"meta", "link", "input", "br", "image", "use", "path", "rect"}


class Reader(HTMLParser):
    """Elements, identifiers and text of a page; complains of tags that do not match."""

    def __init__(self, page):
        super().__init__()
        self.open, self.tags, self.ids, self.text, self.links = [], [], [], [], []
        self.heads = []
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.tags.append((tag, attributes))
        if tag not in VOID:
            self.open.append(tag)
        if "id" in attributes:
            self.ids.append(attributes["id"])
        for name in ("src", "href", "action", "data"):
            if attributes.get(name):
                self.links.append(attributes[name])
        if re.fullmatch("h[1-6]", tag):
            self.heads.append(int(tag[1]))

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] not in ("script", "style"):
            self.text.append(data)


@pytest.fixture(scope="module")
def sweep_page(sweep_report):
    return sweep_report.html()


def few(primes=(19, 31), seeds=2, **changes):
    return [Plan(p=p, seed=s, **changes) for p in primes for s in range(seeds)]


def report_of(obs, *names):
    return hc.build_report(obs, *(names or ("heat_capacity", "landscape_heat_capacity")))


# ---- what is said --------------------------------------------------------------------------


def test_answers_are_those_of_the_audit_and_the_verdicts(sweep_report):
    found = sweep_report
    assert [a.name for a in found.answers] == list(found.audit.leads) == list(found.verdicts)
    for answer in found.answers:
        verdict = found.verdicts[answer.name]
        assert found.audit.leads[answer.name].conclusion == f"{answer.name}: {answer.conclusion}"
        assert answer.verdict == verdict.verdict
        assert answer.warnings == verdict.warnings
        assert answer.advice == verdict.advice
        for kind in verdict.plausible:
            assert kind in answer.tested


def test_an_order_is_claimed_only_where_the_audit_claims_it(sweep_report):
    for answer in sweep_report.answers:
        lead = sweep_report.audit.leads[answer.name]
        assert answer.precedes.startswith("before") == (lead.order == "first")
        assert ("consistent with a precursor" in answer.precedes) == lead.precursor
        assert ("undecided" in answer.precedes) == (lead.order == "undecided")


@pytest.mark.parametrize(
    ("order", "against", "said"),
    [
        ("first", ["it follows memorisation"], "before the onset, but no evidence of a precursor"),
        ("first", [], "before the onset; a precursor is not shown"),
        ("later", [], "after the onset: no precursor"),
        ("undecided", ["it follows memorisation"], "undecided"),
    ],
)
def test_words_of_each_order(sweep_report, order, against, said):
    audit, name = sweep_report.audit, "heat_capacity"
    lead = replace(audit.leads[name], order=order, against=against, controls=[])
    changed = replace(audit, leads={name: lead})
    (answer,) = answers_of({name: (name, 0)}, sweep_report.events, changed, {}, {})
    assert answer.precedes == said


def test_the_headline_gives_every_verdict_with_its_meaning(sweep_report):
    inventory, order, growth = sweep_report.headline
    assert inventory.startswith("16 runs: 12 runs proper, and as controls 2 with")
    assert "4 sizes, p = 19 to 89" in inventory
    assert order.startswith("Does a peak precede generalisation?")
    for verdict in sweep_report.verdicts.values():
        assert f": {verdict.verdict}, that is, " in growth
        how, _, what = verdict.meaning.partition(": ")
        assert how in growth
        assert what in growth
    for answer in sweep_report.answers:
        assert answer.name.replace("_", " ") in growth.lower()


def test_undecided_comes_with_what_it_would_take():
    rng = np.random.default_rng(0)
    plans = [Plan(p=p, seed=s) for p in (19, 31, 43, 59) for s in range(3)]
    obs = observables(plans, scan=False)
    # Heights that scatter by half: nothing can be excluded.
    factor = xr.DataArray(np.exp(0.5 * rng.normal(size=len(plans))), dims="run")
    obs["landscape_heat_capacity"] = obs["landscape_heat_capacity"] * factor
    found = report_of(obs, "landscape_heat_capacity")
    (answer,) = found.answers
    assert answer.verdict == "undecided"
    assert answer.advice
    assert answer.advice in _text(found.html())


def test_a_missing_verdict_says_why_and_stops_nothing():
    found = report_of(observables(few()))
    assert not found.verdicts
    assert set(found.missing) == {"heat_capacity", "landscape_heat_capacity"}
    assert "expected at least 4 sizes, got 2" in found.headline[2]
    text = _text(found.html())
    assert "There is no figure: expected at least 4 sizes, got 2." in text
    assert "Along training" in text


def test_a_single_run():
    found = report_of(observables(few((43,), 1)))
    assert found.headline[0] == "1 run; one size, p = 43."
    assert "too few for a test of the order" in found.answers[0].conclusion
    assert found.html().count("<svg ") == 3  # evolution, leads, scan


def test_all_runs_censored():
    found = report_of(observables(few(onset=np.nan, last=3000.0)))
    assert {a.order for a in found.answers} == {"nothing"}
    assert "4 of 4 runs had not generalised" in found.summary()
    assert "no order of peak and onset can be seen" in found.summary().replace("\n    ", " ")
    assert "4 censored" in _text(found.html())


def test_runs_without_a_size_have_a_panel_each():
    obs = observables(few((43,), 3)).drop_vars("p")
    found = report_of(obs)
    assert found.headline[0] == "3 runs; no size is known."
    assert _titles(found) >= {"No size"}
    assert "run = 3" in found.html()


def test_only_controls_have_no_audit():
    found = report_of(observables(few(onset=np.nan, control="random_labels")))
    assert found.audit is None
    assert "all runs are controls" in found.missing["audit"]
    assert found.answers[0].precedes == "not tested"
    assert "all runs are controls" in _text(found.html())


def test_several_layers_are_told_apart():
    one = observables(few())
    obs = one.drop_dims("layer")
    for name in ("heat_capacity", "landscape_heat_capacity"):
        obs[name] = xr.concat([one[name], one[name]], "layer")
    found = report_of(obs.assign_coords(layer=[0, 1]))
    assert [a.name for a in found.answers][:2] == [
        "heat_capacity, layer 0",
        "heat_capacity, layer 1",
    ]
    assert "of the first layer" in _text(found.html())


def test_tables_of_scalars(tmp_path):
    paths = []
    for size, seed in ((19, 0), (31, 0)):
        step = np.unique(np.geomspace(1, 4000, 150).round())
        x = np.log(step)
        rows = {
            "step": step,
            "loss": np.exp(-x),
            "train": np.clip(x / 4.6, 0, 1),
            "test": 1 / (1 + np.exp(-(x - 6.8) / 0.15)),
            "cv": np.exp(-0.5 * ((x - 6) / 0.4) ** 2),
            "n": np.full(step.size, size),
        }
        path = tmp_path / f"{size}_{seed}.csv"
        body = [",".join(rows), *(",".join(map(str, r)) for r in zip(*rows.values(), strict=True))]
        path.write_text("\n".join(body))
        paths.append(path)
    columns = "step=step,train_loss=loss,train_accuracy=train,test_accuracy=test,observable=cv,p=n"
    found = hc.build_report(hc.read_scalars(paths, columns), sources=paths)
    assert [a.name for a in found.answers] == ["cv"]
    text = _text(found.html())
    assert "before the onset in 2 of 2 runs" in text.replace("peak ", "")
    assert [s.sha256 in text for s in found.sources] == [True, True]


def test_tables_have_the_numbers_of_the_results(sweep_report, sweep_page):
    tables = _tables(sweep_page)
    runs = sweep_report.events.runs.set_index("run")
    assert len(tables["runs"]) == len(runs)
    for row in tables["runs"]:
        own = runs.loc[row["run"]]
        assert row["p"] == str(own["p"])
        assert row["onset"] == ("–" if np.isnan(own["onset_step"]) else f"{own['onset_step']:.0f}")
        assert row["generalised"] == ("no" if own["censored"] else "yes")
    peaks = sweep_report.events.peak("landscape_heat_capacity").set_index("run")
    shown = [r for r in tables["peaks"] if r["observable"] == "landscape_heat_capacity"]
    assert {r["run"]: r["height"] for r in shown if r["status"] == "peak"} == {
        run: f"{height:.4g}" for run, height in peaks["peak_height"].items()
    }
    lead = sweep_report.audit.leads["landscape_heat_capacity"]
    sizes = [r for r in tables["sizes"] if r["observable"] == "landscape_heat_capacity"]
    assert [r["height"] for r in sizes] == [f"{v:.4g}" for v in lead.peaks.height.value.values]
    assert [r["peak first"] for r in sizes] == [str(each.first) for each in lead.by_size]
    assert len(tables["heads"]) == 3 * 4
    verdict = sweep_report.verdicts["landscape_heat_capacity"]
    kept = {r["class"] for r in tables["classes"] if r["not excluded"] == "yes"
            and r["observable"] == "landscape_heat_capacity"}  # fmt: skip
    assert kept == set(verdict.plausible)
    local = [r for r in tables["exponents"] if r["observable"] == "landscape_heat_capacity"]
    assert [r["error"] for r in local] == [f"{e:.2g}" for e in verdict.data.errors]
    assert local[0]["not excluded"] == ", ".join(verdict.plausible)


def _tables(page):
    """Rows of every table, as they are read."""
    found = {}
    for key, body in re.findall(r'<table class="data" id="data-(\w+)"(.*?)</table>', page, re.S):
        head = re.findall(r"<th [^>]*><button[^>]*>(.*?)</button>", body)
        rows = re.findall(r"<tr>(<td.*?)</tr>", body, re.S)
        cells = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in rows]
        found[key] = [dict(zip(head, row, strict=True)) for row in cells]
    return found


# ---- warnings ------------------------------------------------------------------------------


def _titles(found):
    return {each.title for each in found.cautions}


def _text(page):
    return re.sub(r"\s+", " ", "".join(Reader(page).text))


def test_warnings_that_a_sweep_deserves(sweep_report):
    said = {each.title: each.text for each in sweep_report.cautions}
    assert "at every size: it cannot diverge" in said["Bound the same for all sizes"]
    assert said["Mirror leak"].startswith("In 12 of 12 runs")
    assert "No controls" not in said
    assert "4 of 4 sizes have 3 to 7 runs" in said["Few runs per size"]
    assert "assumes that all share one relative spread" in said["Few runs per size"]


def test_warnings_of_spikes_seeds_settings_and_missing_controls():
    obs = observables(few(spikes=(1500.0, 2500.0)))
    obs = obs.assign_coords(fraction=("run", [0.5, 0.5, 0.7, 0.7]))
    obs = obs.assign(complete=("run", [1, 1, 0, 1]))
    obs.attrs["problems"] = json.dumps(["runs/x.h5: is cut short"])
    said = {each.title: each.text for each in report_of(obs).cautions}
    assert "spikes in 4 of 4 runs" in said["Loss spikes"]
    assert "of heat_capacity (base rate" in said["Loss spikes"]
    assert "2 at p = 19, 31" in said["Few runs per size"]
    assert "fraction (0.5, 0.7), and it changes with the size" in said["Fraction differs"]
    assert said["Runs not complete"].startswith("1 of 4")
    assert "runs/x.h5: is cut short" in said["Problems of the files"]
    assert "No controls" in said
    assert list(said)[:2] == ["Fraction differs", "Problems of the files"]


def test_a_setting_that_only_the_controls_change_is_no_warning(sweep_report):
    assert not any("differs" in title for title in _titles(sweep_report))


def test_nothing_to_warn_of_is_not_made_up(sweep_report):
    found = sweep_report
    obs = found.obs.drop_vars(["heat_capacity_bound"])
    audit = hc.audit_leads(obs, found.events)
    titles = {each.title for each in cautions_of(obs, found.events, audit, found.verdicts)}
    assert "Bound the same for all sizes" not in titles
    assert "Not tested" in titles


# ---- the page ------------------------------------------------------------------------------


def test_the_page_loads_nothing(sweep_page):
    reader = Reader(sweep_page)
    assert all(link.startswith(("#", "data:")) for link in reader.links)
    assert "url(http" not in sweep_page
    assert "@import" not in sweep_page
    policy = next(a["content"] for t, a in reader.tags if a.get("http-equiv"))
    assert policy.startswith("default-src 'none'; script-src 'sha256-")


def test_identifiers_are_unique_and_references_are_kept(sweep_page):
    reader = Reader(sweep_page)
    assert len(reader.ids) == len(set(reader.ids))
    known = set(reader.ids)
    asked = re.findall(r"url\(#([^)]+)\)", sweep_page)
    asked += [link[1:] for link in reader.links if link.startswith("#")]
    for _, attributes in reader.tags:
        for name in ("aria-labelledby", "aria-describedby"):
            asked += (attributes.get(name) or "").split()
    assert asked
    assert set(asked) <= known


def test_headings_do_not_skip_a_level(sweep_page):
    heads = Reader(sweep_page).heads
    assert heads.count(1) == 1
    assert all(b - a <= 1 for a, b in itertools.pairwise(heads))


def test_equal_runs_give_equal_bytes():
    one, two = (report_of(observables(few((19, 31, 43, 59))), "heat_capacity") for _ in range(2))
    assert one is not two
    assert one.verdicts
    assert one.html() == two.html()
    assert one.summary() == two.summary()


def test_text_of_run_files_is_only_text():
    obs = observables(few())
    obs = obs.assign_coords(run=[f"{EVIL}{k}" for k in range(4)], task=("run", [EVIL] * 4))
    obs = obs.assign_coords(control=("run", ["none", "none", EVIL, EVIL]))
    obs = obs.rename(landscape_heat_capacity=EVIL)
    obs.attrs["problems"] = json.dumps([EVIL])
    obs.attrs["command"] = EVIL
    page = report_of(obs, "heat_capacity", EVIL).html()
    reader = Reader(page)
    assert [a for tag, a in reader.tags if tag == "script" and "type" not in a] == [{}]
    assert page.count("</script") == page.count("<script")
    assert "alert(1)" in page
    assert all(re.fullmatch("[a-z0-9-]+", each) for each in reader.ids)
    assert f"{EVIL}0" in "".join(reader.text)
    data = re.findall(r'<script type="application/json" class="panels">(.*?)</script>', page)
    labels = {s["label"] for panels in data for p in json.loads(panels) for s in p["series"]
              if isinstance(s["label"], str)}  # fmt: skip
    assert any(label.startswith(f"{EVIL}0") for label in labels)


def test_the_title_is_escaped():
    page = hc.build_report(observables(few((43,), 1)), "heat_capacity", title="a < b").html()
    assert "<title>a &lt; b</title>" in page


def test_saving_is_whole_or_not(tmp_path, monkeypatch):
    found = report_of(observables(few((43,), 1)))
    path = tmp_path / "report.html"
    path.write_text("before")
    with pytest.raises(ValueError, match=r"written as \.html"):
        found.save(tmp_path / "report.pdf")
    with monkeypatch.context() as patch:
        patch.setattr("heatcap.report.page.methods", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            found.save(path)
    assert path.read_text() == "before"
    assert found.save(path) == path
    assert path.read_text().startswith("<!doctype html>")
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_the_result_is_plain_json(sweep_report):
    content = json.loads(json.dumps(sweep_report.to_dict(), allow_nan=False))
    assert [a["name"] for a in content["answers"]] == list(content["verdicts"])
    assert content["settings"]["seed"] == 0


# ---- methods, citation, provenance ---------------------------------------------------------


def test_methods_have_the_settings(sweep_report):
    obs = sweep_report.obs
    other = hc.build_report(obs, "heat_capacity", smoothing=0.2, level=0.9, rng=7)
    text = methods(other)
    for wanted in ("deviation 0.2 in", "level of 0.9,", "seed 7", "12 runs at 4 sizes", "2%"):
        assert wanted in text, wanted
    assert "19, 31, 53, 89" in text
    assert hc.Margins().summary() in text


def test_methods_say_how_errors_clocks_and_controls_are_meant(sweep_report):
    text = methods(sweep_report)
    for wanted in (
        "All but the canonical one (heat_capacity) are fluctuations of the logits and no heat "
        "capacities dU/dT.",
        "pooled as one relative spread of all sizes where one has fewer than 8 runs",
        "free of the bias of a noisy, smoothed maximum",
        "Runs without an interior peak are left out of the heights; censored runs are in them.",
        "Which clock a peak follows is the slope",
        "Controls are runs in which nothing can generalise (random labels and weight decay 0)",
        "all at the 5% level",
        "first reaches 0.99.",
        "rises by 0.2 or more and ends at 0.9 or more",
    ):
        assert text.count(wanted) == 1, wanted


def test_thresholds_are_those_of_the_functions():
    assert pytest.approx(0.99) == MEMORISED
    assert pytest.approx(0.2) == LEAST_RISE
    assert pytest.approx(0.9) == LEAST_FINAL


def test_what_is_no_heat_capacity_is_said_once_among_the_answers(sweep_page):
    answers = sweep_page.split('id="answers"')[1].split('id="warnings"')[0]
    assert answers.count("no heat capacities dU/dT") == 1
    alone = report_of(observables(few((43,), 1)), "heat_capacity")
    assert "dU/dT" not in methods(alone)


def test_captions_of_verdicts_have_their_meaning(sweep_report):
    plans = {plan.title: plan.caption for plan in plans_of(sweep_report)}
    for name, found in sweep_report.verdicts.items():
        title = f"{spoken(name).capitalize()}: {found.verdict}"
        caption = next(text for key, text in plans.items() if key.endswith(title))
        assert caption.endswith(f"{found.verdict.capitalize()}: {found.meaning}.")


def test_every_file_says_what_made_it():
    obs = observables(few())
    made = [
        obs.isel(run=slice(k, k + 2)).assign_attrs(command=f"observe {k}", heatcap_version=f"0.{k}")
        for k in (0, 2)
    ]
    page = report_of(hc.join({"a": made[0], "b": made[1]})).html()
    assert page.count("<dt>observables made by</dt>") == 2
    assert "<code>observe 0</code>" in page
    assert "<code>observe 2</code>" in page
    assert "made the observables 0.0, 0.2" in page


def test_methods_name_only_what_was_done():
    text = methods(report_of(observables(few((43,), 1))))
    assert "diverge" not in text
    assert "Controls are" not in text
    assert "Runs without an interior peak" not in text
    assert "for 2 observables" in text


def test_the_citation_is_that_of_the_package():
    cff = Path(__file__).parents[2].joinpath("CITATION.cff").read_text()
    entry = bibtex()
    for key in ("title", "version", "license"):
        value = re.search(rf"^{key}: \"?(.*?)\"?$", cff, re.M)[1]
        assert value in entry
    assert re.search(r'name: "(.*)"', cff)[1] in entry


def test_run_files_are_listed_with_their_checksums(run_path):
    obs = hc.observe([run_path])
    found = hc.build_report(obs, "heat_capacity", command="heatcap report x.nc")
    page = found.html()
    assert str(obs["checksum"].values[0]) in page
    assert "<code>heatcap report x.nc</code>" in page
    assert "No defined onset" in _titles(found)
