"""Methods, definitions, citation and provenance."""

from __future__ import annotations

import re
from dataclasses import replace
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from reading import few, report_of, titles

import heatcap as hc
from heatcap.core.quantities import spoken
from heatcap.events import DEFAULT_OBSERVABLES, LEAST_FINAL, LEAST_RISE, MEMORISED
from heatcap.report.methods import bibtex, definitions_of, methods
from heatcap.report.plans import plans_of

from synthetic import observables


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
        "All but the canonical one (heat capacity) are fluctuations of the logits and no heat "
        "capacities dU/dT.",
        "steadied by the relative spreads of the other sizes and widened by Student's factor",
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


def test_what_is_no_heat_capacity_is_said_once_among_the_answers(sweep_page, single_report):
    answers = sweep_page.split('id="answers"')[1].split('id="warnings"')[0]
    assert answers.count("no heat capacities dU/dT") == 1
    alone = replace(single_report, answers=single_report.answers[:1])
    assert "dU/dT" not in methods(alone)
    assert "dU/dT" in methods(single_report)


def test_captions_of_verdicts_have_their_meaning(sweep_report):
    plans = {plan.title: plan.caption for plan in plans_of(sweep_report)}
    for name, found in sweep_report.verdicts.items():
        title = f"{spoken(name).capitalize()}: {found.verdict}"
        caption = next(text for key, text in plans.items() if key.endswith(title))
        assert caption.endswith(f"{found.verdict.capitalize()}: {found.meaning}.")


@pytest.mark.slow
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


def test_methods_name_only_what_was_done(single_report):
    text = methods(single_report)
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
    released = re.search(r"^date-released: (\d{4})-\d\d-\d\d$", cff, re.M)[1]
    assert f"  year = {{{released}}}," in entry
    assert "url = " not in entry or "url = {http" in entry


def test_the_citation_has_the_address_that_the_package_gives(monkeypatch):
    class Known:
        def get_all(self, _):
            return ["Documentation, https://docs.example", "Source, https://code.example/x"]

    monkeypatch.setattr("heatcap.report.methods.metadata", lambda _: Known())
    assert "  url = {https://code.example/x}," in bibtex()


def test_a_source_tree_that_is_not_installed_is_cited_without_an_address(monkeypatch):
    def absent(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr("heatcap.report.methods.metadata", absent)
    assert "url = " not in bibtex()
    assert bibtex().startswith("@software{heatcap,")


def test_every_default_observable_is_defined_once():
    found = definitions_of([*DEFAULT_OBSERVABLES, "heat_capacity", "cv"])
    assert [each.name for each in found] == [*map(spoken, DEFAULT_OBSERVABLES), "cv"]
    known = {each.name: each for each in found}
    assert "(ln(n − 1))²/4 + 1" in known["heat capacity"].grows
    assert known["landscape heat capacity fixed"].content.startswith("β² Var_x(U − Ē)")
    assert known["cv"].grows == "not known here"
    assert len({each.content for each in found}) == len(found)


def test_the_definitions_stand_collapsed_among_the_answers(sweep_page):
    body = re.search(r'<details class="definitions">(.*?)</details>', sweep_page, re.S)[1]
    assert body.count('<th scope="row">') == 3
    assert "β² Var_x(U): fluctuation" in body


def test_run_files_are_listed_with_their_checksums(run_path):
    obs = hc.observe([run_path])
    found = hc.build_report(obs, "heat_capacity", command="heatcap report x.nc")
    page = found.html()
    assert str(obs["checksum"].values[0]) in page
    assert "<code>heatcap report x.nc</code>" in re.sub("</?span>", "", page)
    assert "No defined onset" in titles(found)
