"""Texts for a paper: the methods with their settings, definitions of observables, how to cite.

:func:`methods` describes only what was done to the runs of a report; :func:`definitions_of` gives
the equation of each observable in the letters of `SYMBOLS`; :func:`bibtex` cites this version.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, metadata

from heatcap.audit.result import LEVEL
from heatcap.core.quantities import BOUND, HEAT_CAPACITY, OBSERVABLES, spoken
from heatcap.core.version import VERSION
from heatcap.divergence import Margins
from heatcap.events import DEFAULT_OBSERVABLES, LEAST_FINAL, LEAST_RISE, MEMORISED, Column, sizes_of
from heatcap.observables.dataset import size_label
from heatcap.report.findings import Findings, listed

__all__ = [
    "SYMBOLS",
    "Definition",
    "bibtex",
    "definitions_of",
    "fluctuations",
    "methods",
]


# ---- what was done -------------------------------------------------------------------------


def methods(report: Findings) -> str:
    """Describe what was done to these runs, in sentences for a paper."""
    parts = (_runs, _ensemble, _events, _order, _growth)
    return " ".join(text for text in (part(report) for part in parts) if text)


def _runs(report: Findings) -> str:
    """Numbers of runs, sizes and controls."""
    runs, proper = report.events.runs, report.events.proper
    size = sorted(set(sizes_of(proper).dropna().tolist()) - {0.0})
    name = size_label(runs)
    text = f"We analysed {len(proper)} {'run' if len(proper) == 1 else 'runs'}"
    if len(size) > 1:
        text += f" at {len(size)} sizes ({name} = {', '.join(f'{s:g}' for s in size)})"
    elif size:
        text += f" at {name} = {size[0]:g}"
    counted = report.events.counted_controls().items()
    controls = [f"{n} with {spoken(name)}" for name, n in counted]
    if controls:
        text += f", and as controls {listed(controls)},"
    return f"{text} with heatcap {VERSION}."


def _ensemble(report: Findings) -> str:
    """Definition of the heat capacity, where the report has it."""
    if HEAT_CAPACITY not in report.obs or BOUND not in report.obs:
        return ""
    return (
        "Each attention row is a canonical ensemble whose energies are minus its logits, at "
        "temperature 1 (k_B = 1); its heat capacity is the variance of the energy under the "
        "attention weights, averaged over the probe inputs. " + fluctuations(report)
    ).strip()


def fluctuations(report: Findings) -> str:
    """Explain the fluctuations, where an observable other than the heat capacity was analysed."""
    others = {answer.observable for answer in report.answers} - {HEAT_CAPACITY}
    if not others & set(DEFAULT_OBSERVABLES):
        return ""
    return (
        "All but the canonical one (heat capacity) are fluctuations of the logits and no heat "
        "capacities dU/dT."
    )


def _events(report: Findings) -> str:
    """Definitions of memorisation, onset and peak, with their settings."""
    s, runs = report.settings, report.events.runs
    free = bool((runs[Column.ONSET_METRIC] == "mirror_free_accuracy").any())
    accuracy = (
        "accuracy on test inputs whose mirror was not trained on" if free else "test accuracy"
    )
    query = "last query" if s["query"] == -1 else f"query with index {s['query']}"
    rows = f"of the {query}, on {s['inputs']} probe inputs, " if "query" in report.obs.dims else ""
    return (
        f"Memorisation is the step at which the train accuracy first reaches {MEMORISED:g}. The "
        "onset of "
        f"generalisation is the last upward crossing of the midpoint between the {accuracy} at "
        "memorisation and its final value (its median over the last tenth of the record in ln "
        f"step); it exists if that accuracy rises by {LEAST_RISE:g} or more and ends at "
        f"{LEAST_FINAL:g} or more, and other runs are censored at their last step. "
        f"Curves {rows}averaged over heads, were smoothed by "
        f"local regression with a kernel of standard deviation {s['smoothing']:g} in ln step; the "
        "peak is the highest interior maximum outside spikes of the training loss, with a "
        f"prominence of at least {s['min_prominence']:.0%} of the range of the curve and drops on "
        f"both sides of {s['min_significance']:g} standard errors, which know the correlation of "
        "the scatter along training."
    )


def _order(report: Findings) -> str:
    """Tests of the order of peak and onset."""
    if report.audit is None:
        return ""
    leads = report.audit.leads
    return (
        "The order of peak and onset was tested by a two-sided sign test and by Wilcoxon's "
        "signed-rank test, against peaks at a random phase of each record, with Holm's correction "
        f"for {len(leads)} {'observable' if len(leads) == 1 else 'observables'}, all at the "
        f"{LEVEL:.0%} level (permutations with seed {report.settings['seed']}). {_clock(report)}"
    ).strip()


def _clock(report: Findings) -> str:
    """Clock and controls, where the audit has them."""
    leads = report.audit.leads.values() if report.audit else ()
    sentences = []
    if any(lead.clock.slopes for lead in leads):
        sentences.append(
            "Which clock a peak follows is the slope of ln step of the peak on ln step of the "
            "onset and of memorisation together, over the runs and within the configurations "
            "(size, fraction, weight decay)."
        )
    names = [spoken(name) for name in report.events.controls]
    if names:
        sentences.append(
            f"Controls are runs in which nothing can generalise ({listed(names)}): a precursor of "
            "generalisation must be absent, lower or later in them (permutation tests within "
            "sizes)."
        )
    return " ".join(sentences)


def _growth(report: Findings) -> str:
    """Heights by size, and the tests of their growth."""
    if not report.verdicts:
        return ""
    test = next(iter(report.verdicts.values()))
    margins = Margins(**report.settings["margins"])
    return (
        "The height of a size is the mean over its runs of the smoothed maximum, free of the bias "
        "of a noisy, smoothed maximum; its error is the spread over the runs, steadied by the "
        "relative spreads of the other sizes and widened by Student's factor. Runs without an "
        "interior peak are left out of the heights; censored runs are in them. "
        "Whether peak heights diverge with the size was tested by the likelihood ratios of four "
        f"classes of growth (flat, bounded, logarithmic, power law) at a level of {test.level:g}, "
        "crossovers inside the sizes among the bounded ones (those of the functions that were "
        "fitted), with a parametric bootstrap of "
        f"{test.draws} sets of data for each class (seed {report.settings['seed']}); "
        f"{margins.summary()}."
    )


# ---- what each observable is ---------------------------------------------------------------

SYMBOLS = (
    "E = \N{MINUS SIGN}logit of a visible key, p its attention weight, U = Σ p E the energy of one "
    "row with n visible keys, Ē the plain mean of E over them; Var_x and ⟨ ⟩_x are over the probe "
    "inputs x, all at the temperature of the model (β = 1). Names in files have underscores for "
    "spaces."
)
OTHER = ("as the file gives it", "not known here")


@dataclass(frozen=True)
class Definition:
    """Name on the page, the equation with words, and the bound on growth."""

    name: str
    content: str
    grows: str


def definitions_of(observables: Iterable[str]) -> list[Definition]:
    """Define the observables of a page, each once; those from other files are not known here."""
    definitions = []
    for name in dict.fromkeys(observables):
        observable = OBSERVABLES.get(name)
        parts = (observable.equation, observable.words) if observable else ()
        content = ": ".join(filter(None, parts))
        meaning = (content, observable.grows) if observable and content else OTHER
        definitions.append(Definition(spoken(name), *meaning))
    return definitions


# ---- how to cite ---------------------------------------------------------------------------

# As in CITATION.cff, which an installed package lacks; a test compares them.
TITLE = "heatcap: canonical thermodynamics of attention, and whether a peak is a phase transition"
AUTHORS = ("The heatcap developers",)
LICENCE = "BSD-3-Clause"
YEAR = "2026"  # of the version
ADDRESSES = ("repository", "source", "homepage")


def bibtex() -> str:
    """Return the BibTeX entry of this version of the package."""
    authors = " and ".join(f"{{{author}}}" for author in AUTHORS)
    fields = {
        "title": f"{{{TITLE}}}",
        "author": authors,
        "year": YEAR,
        "version": VERSION,
        "license": LICENCE,
    }
    if address := _address():
        fields["url"] = address
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items()]
    return "\n".join(["@software{heatcap,", *lines, "}"])


def _address() -> str:
    """Address in the metadata of the package; "" where there is none."""
    try:
        given = metadata("heatcap").get_all("Project-URL") or ()
    except PackageNotFoundError:  # a source tree that is not installed
        return ""
    named = dict(entry.partition(",")[::2] for entry in given)
    urls = {name.strip().lower(): url.strip() for name, url in named.items()}
    return next((urls[name] for name in ADDRESSES if name in urls), "")
