"""Clock of a peak: does its time follow the onset of generalisation, or memorisation?

`clock` regresses ln t_peak on ln t_onset and ln t_memorisation over runs (times in steps), over all
runs and within configurations, and compares with peaks at a random phase of their records.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from heatcap.audit.lead_tests import LeadColumn
from heatcap.core.arrays import Floats
from heatcap.events import Column

__all__ = ["MIN_RUNS", "Clock", "Slope", "clock"]


MIN_RUNS = 6
FOLLOWS = 0.5  # a slope below it, with 95 % confidence, excludes that the peak follows
LEVEL = 0.025  # for each time: one side of its 95 % interval
DRAWS = 1999
TIMES = [Column.PEAK, Column.ONSET, Column.MEMORISED, Column.LAST_STEP]


@dataclass(frozen=True)
class Slope:
    """d ln t_peak / d ln t_event, with its standard error and 95 % interval."""

    value: float
    error: float
    ci95: tuple[float, float]

    @property
    def answer(self) -> str:
        """Answer "yes" if positive, "no" if below 1/2, each at 95 % confidence; else "open"."""
        if self.ci95[0] > 0 and self.ci95[1] >= FOLLOWS:
            return "yes"
        return "no" if self.ci95[1] < FOLLOWS else "open"


@dataclass(frozen=True)
class Clock:
    """Event that the time of the peak follows, with slopes, correlations and nulls.

    Attributes
    ----------
    follows : {"onset", "memorisation", "both", "neither", "undetermined"}
    slopes : dict
        Slopes of ln t_peak on ln t_onset and ln t_memorisation, together; absent where a time does
        not vary.
    within : dict
        Slopes after subtraction of the mean of every configuration (size, fraction, weight decay),
        from the variation between seeds.  Sizes differ in many respects, so that a slope counts
        only if it is found here, too.
    partial : dict
        Partial correlation of ln t_peak with each time, the other one held fixed: `r` and `p`,
        over all runs and `within` sizes.
    free : dict
        Slopes of a peak at a random phase of its record, which depends on neither event: not 0
        where records end at a multiple of the onset.  A time is followed only beyond this.
    by_chance : dict
        For each time, how often peaks at a random phase of their records are as close to it as the
        observed ones, in `steps` and in `log_steps`.  A time is followed only if both are rare.
    method : str
        "mixed model, random effect per configuration" or "least squares".
    message : str
        Missing data, or disagreement between the sizes and the runs within them.
    """

    follows: str
    runs: int = 0
    slopes: dict[str, Slope] = field(default_factory=dict)
    within: dict[str, Slope] = field(default_factory=dict)
    partial: dict[str, dict[str, float]] = field(default_factory=dict)
    free: dict[str, float] = field(default_factory=dict)
    by_chance: dict[str, dict[str, float]] = field(default_factory=dict)
    method: str = ""
    message: str = ""


def clock(table: pd.DataFrame) -> Clock:
    """Regress ln t_peak on ln t_onset and ln t_memorisation over runs that have all three.

        ln t_peak = a_size + b_onset ln t_onset + b_mem ln t_mem + noise

    a_size is a random effect of the configuration if there are at least three of them, and enough
    runs for a level of each (two degrees of freedom left); with two configurations, a level for
    each; else one level (least squares).  A time counts as followed only if it is followed within
    configurations as well.

    A peak that is tied to the onset has b_onset = 1, b_mem = 0.  A time is followed if the 95 %
    interval of its slope lies above 0 and reaches 1/2, and not followed if it lies below 1/2.

    If the end of the record moves with a time, so does a peak at a random phase of ln step, on
    average with the slopes of half of ln t_last; a time counts as followed only if its interval
    lies above these.  At a random phase of the step itself ln t_peak moves with the whole of
    ln t_last, and is distinguished by its scatter: ln(t_peak / t_event) must scatter less than for
    97.5 % of the peaks drawn at random phases, evenly in steps from the second smallest observed
    phase, or evenly in ln step from the second earliest peak, up to the ends of the records as they
    are.  If all records end at one multiple of a time, that time and the end are indistinguishable.

    Censored runs have no onset and are left out, as are runs with a time of 0 or without an end.

    Parameters
    ----------
    table : DataFrame
        From :func:`lead_table`.

    Returns
    -------
    Clock
        "undetermined" where fewer than 6 runs have all three times, or neither slope is decided.
    """
    times = table[TIMES].to_numpy(dtype=np.float64)
    usable = (np.isfinite(times) & (times > 0)).all(axis=1)
    n, left_out = int(usable.sum()), _left_out(times)
    if n < MIN_RUNS:
        short = f"{n} runs with all three times, {MIN_RUNS} needed"
        return Clock("undetermined", n, message="; ".join(filter(None, [short, left_out])))
    y, *x, last = np.log(times[usable]).T
    groups = table[LeadColumn.CONFIGURATION].to_numpy()[usable]
    predictors = {
        name: column - column.mean()
        for name, column in zip(("onset", "memorisation"), x, strict=True)
        if np.ptp(column) > 1e-9
    }
    within = _within(y, predictors, groups)
    slopes, method = _regression(y, predictors, groups, within)
    partial = _partial(y, predictors) | {
        f"{name} within": value
        for name, value in _partial(
            _centred(y, groups), {k: _centred(v, groups) for k, v in predictors.items()}
        ).items()
    }
    several = np.unique(groups).size > 1
    free = _slopes_at_random_phase(last, predictors, groups)
    chance = _by_chance(y, predictors, last, groups)
    answers = _answers(slopes, free)
    follows_all = [name for name, answer in answers.items() if answer == "yes"]
    close = [name for name in follows_all if not max(chance[name].values()) <= LEVEL]
    inside = _answers(within if several else slopes, free)
    follows = _followed_event(answers | dict.fromkeys(close, "open"), inside)
    by_chance = [_chance_message(name, chance[name]) for name in close]
    messages = [_slope_message(predictors, slopes, within, free), *by_chance, left_out]
    message = "; ".join(filter(None, messages))
    return Clock(follows, n, slopes, within, partial, free, chance, method, message)


def _left_out(times: Floats) -> str:
    """Message on runs with all three times that are left out: a time of 0, or no end."""
    peaks = np.isfinite(times[:, :3]).all(axis=1)
    zero = int(np.sum(peaks & (times <= 0).any(axis=1)))
    endless = int(np.sum(peaks & ~np.isfinite(times[:, 3])))
    reasons = [
        (zero, "a time of 0 has no logarithm"),
        (endless, "the end of the record is not known"),
    ]
    return "; ".join(
        f"{count} run{'s' * (count > 1)} left out: {why}" for count, why in reasons if count
    )


def _by_chance(
    y: Floats, predictors: dict[str, Floats], last: Floats, groups: NDArray[Any]
) -> dict[str, dict[str, float]]:
    """Probability that peaks at random phases are as close to each time as the observed ones.

    Both nulls begin at the second earliest peak, as the phase null of the order does: a first part
    of the record without any peak would make the observed ones look close.
    """
    phase = np.random.default_rng(0).uniform(size=(DRAWS, y.size))
    since = np.sort(y - last)[1]
    earliest = np.minimum(np.sort(y)[1], last)
    drawn = {
        "steps": last + np.log(np.exp(since) + phase * (1 - np.exp(since))),
        "log_steps": earliest + phase * (last - earliest),
    }
    # Without a level for each, differences between sizes would count as scatter of runs.
    levels = groups if np.unique(groups).size < y.size else np.zeros(y.size)
    return {
        name: {
            # NaN counts as close.
            how: float(1 + np.sum(~(_spread(at - x, levels) > _spread(y - x, levels))))
            / (1 + DRAWS)
            for how, at in drawn.items()
        }
        for name, x in predictors.items()
    }


def _spread(leads: Floats, groups: NDArray[Any]) -> Floats:
    """Sum of squares within groups, along the last axis."""
    _, group = np.unique(groups, return_inverse=True)
    member = np.eye(group.max() + 1)[group]
    means = leads @ member / member.sum(axis=0)
    return np.asarray(np.sum((leads - means[..., group]) ** 2, axis=-1))


def _slopes_at_random_phase(
    last: Floats, predictors: dict[str, Floats], groups: NDArray[Any]
) -> dict[str, float]:
    """Expected slopes of peaks at a random phase of ln step: larger of all runs and within."""
    of_all, _ = _least_squares(last / 2, predictors)
    within = _within(last / 2, predictors, groups)
    return {
        name: max(float(value), within[name].value if name in within else -math.inf)
        for name, value in zip(predictors, of_all, strict=True)
    }


def _answer(name: str, slope: Slope, free: dict[str, float]) -> str:
    """Answer of the slope, but "open" instead of "yes" where the end of the record explains it."""
    beyond = not slope.ci95[0] <= free[name]
    return slope.answer if beyond or slope.answer != "yes" else "open"


def _answers(slopes: dict[str, Slope], free: dict[str, float]) -> dict[str, str]:
    return {name: _answer(name, slope, free) for name, slope in slopes.items()}


def _followed_event(answers: dict[str, str], inside: dict[str, str]) -> str:
    """Event that is followed over all runs and within configurations (`inside`) alike."""
    yes = [name for name in answers if answers[name] == inside.get(name) == "yes"]
    if len(yes) == 2:
        return "both"
    if yes:
        return yes[0]
    return "neither" if len(answers) == 2 and set(answers.values()) == {"no"} else "undetermined"


def _chance_message(name: str, p: dict[str, float]) -> str:
    phase = "step" if p["steps"] >= p["log_steps"] else "ln step"
    return (
        f"peaks at a random {phase} of these records are as close to the {name} in "
        f"{max(p.values()):.0%} of the draws"
    )


def _slope_message(
    predictors: dict[str, Floats],
    slopes: dict[str, Slope],
    within: dict[str, Slope],
    free: dict[str, float],
) -> str:
    messages = [
        f"the time of {name} is the same in all runs"
        for name in ("onset", "memorisation")
        if name not in predictors
    ]
    messages += [
        f"the slope on {name}, {slope.value:.2f}, is not above the {free[name]:.2f} that the ends "
        "of the records give a peak at a random phase"
        for name, slope in slopes.items()
        if slope.answer == "yes" != _answer(name, slope, free)
    ]
    for name in sorted(within.keys() & slopes.keys()):
        inside = _answer(name, within[name], free)
        if _answer(name, slopes[name], free) == "yes" != inside:
            messages.append(
                f"the time of the peak moves with that of {name} between sizes only"
                if within[name].answer != "yes"
                else f"within configurations the slope on {name}, {within[name].value:.2f}, is not "
                f"above the {free[name]:.2f} that the ends of the records give"
            )
        apart = slopes[name].value - within[name].value
        if abs(apart) > 2 * np.hypot(slopes[name].error, within[name].error):
            messages.append(
                f"the slope on {name} is {within[name].value:.2f} within configurations and "
                f"{slopes[name].value:.2f} with the differences between them"
            )
    return "; ".join(messages)


def _regression(
    y: Floats, predictors: dict[str, Floats], groups: NDArray[Any], within: dict[str, Slope]
) -> tuple[dict[str, Slope], str]:
    count = np.unique(groups).size
    spare = y.size - count - len(predictors)
    if count == 2 and len(within) == len(predictors):
        return within, "least squares, a level for each of two configurations"
    if count >= 3 and spare >= 2:
        fitted = _mixed(y, predictors, groups)
        if fitted is not None:
            return _slopes(
                predictors, *fitted, spare
            ), "mixed model, random effect per configuration"
    fitted = _least_squares(y, predictors)
    return _slopes(predictors, *fitted, y.size - len(predictors) - 1), "least squares"


def _mixed(
    y: Floats, predictors: dict[str, Floats], groups: NDArray[Any]
) -> tuple[Floats, Floats] | None:
    from statsmodels.regression.mixed_linear_model import MixedLM

    design = np.column_stack([np.ones(y.size), *predictors.values()])
    # A zero variance of the configurations is a valid fit, but statsmodels warns past any filter.
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("always")
        try:
            fit = MixedLM(y, design, groups=groups).fit(reml=True)
            values = np.array(fit.fe_params, dtype=np.float64)[1:]
            errors = np.array(fit.bse_fe, dtype=np.float64)[1:]
        except (np.linalg.LinAlgError, ValueError):
            return None
    if not fit.converged or not np.isfinite(errors).all():
        return None
    return values, errors


def _least_squares(y: Floats, predictors: dict[str, Floats]) -> tuple[Floats, Floats]:
    design = np.column_stack([np.ones(y.size), *predictors.values()])
    values, _, rank, _ = np.linalg.lstsq(design, y, rcond=None)
    spare = y.size - rank
    if rank < design.shape[1] or spare < 1:
        nan = np.full(len(predictors), np.nan)
        return nan, nan
    variance = np.sum((y - design @ values) ** 2) / spare * np.linalg.inv(design.T @ design)
    return np.asarray(values[1:]), np.asarray(np.sqrt(np.diag(variance))[1:])


def _within(y: Floats, predictors: dict[str, Floats], groups: NDArray[Any]) -> dict[str, Slope]:
    """Slopes by least squares with a free level for every configuration."""
    moving = {k: _centred(v, groups) for k, v in predictors.items()}
    moving = {k: v for k, v in moving.items() if np.ptp(v) > 1e-9}
    spare = y.size - np.unique(groups).size - len(moving)
    if not moving or spare < 1 or np.unique(groups).size == 1:
        return {}
    values, errors = _least_squares(_centred(y, groups), moving)
    errors = errors * np.sqrt(
        (y.size - len(moving) - 1) / spare
    )  # the levels cost degrees of freedom
    return _slopes(moving, values, errors, spare)


def _slopes(
    predictors: dict[str, Floats], values: Floats, errors: Floats, spare: int
) -> dict[str, Slope]:
    # Student's t with the degrees of freedom left after a level for every configuration: the normal
    # intervals of the mixed model are too short for few of them.
    t = float(stats.t.ppf(0.975, max(spare, 1)))
    return {
        name: Slope(float(b), float(e), (float(b - t * e), float(b + t * e)))
        for name, b, e in zip(predictors, values, errors, strict=True)
    }


def _partial(y: Floats, predictors: dict[str, Floats]) -> dict[str, dict[str, float]]:
    out = {}
    for name, x in predictors.items():
        others = [v for k, v in predictors.items() if k != name]
        a, b = _residual(y, others), _residual(x, others)
        norm = np.linalg.norm(a) * np.linalg.norm(b)
        spare = y.size - 2 - len(others)
        if norm <= 1e-12 or spare < 1:
            continue
        r = float(np.clip(a @ b / norm, -1, 1))
        t = r * np.sqrt(spare / max(1 - r**2, 1e-300))
        out[name] = {"r": r, "p": float(2 * stats.t.sf(abs(t), spare))}
    return out


def _residual(y: Floats, others: list[Floats]) -> Floats:
    design = np.column_stack([np.ones(y.size), *others])
    return np.asarray(y - design @ np.linalg.lstsq(design, y, rcond=None)[0])


def _centred(x: Floats, groups: NDArray[Any]) -> Floats:
    _, group = np.unique(groups, return_inverse=True)
    means = np.bincount(group, weights=x) / np.bincount(group)
    return np.asarray(x - means[group])
