"""Power-law divergence, logarithm, or bounded: the growth laws that the data do not exclude.

    verdict = divergence_test(sizes, heights, errors, size_name="L")
    planned = calibrate([19, 23, 29, 37, 43, 59], 0.01, seeds=4)

`divergence_test` takes peak heights against size, `verdict_of_runs` the peaks of saved runs,
`peak_test` one curve along the control at a single size, and `calibrate` a planned experiment.
"""

from typing import TYPE_CHECKING

from heatcap.core.lazy import lazy

if TYPE_CHECKING:
    from heatcap.divergence.calibration import Calibration, Truth, calibrate, usual_truths
    from heatcap.divergence.margins import CLASSES, Margins, PeakMargins
    from heatcap.divergence.peak import ROUNDED_MEANS, PeakVerdict, peak_test
    from heatcap.divergence.runs import bound_by_keys, verdict_of_runs
    from heatcap.divergence.verdict import BOUNDED_MEANS, Verdict, divergence_test
else:
    __getattr__ = lazy(__name__)

__all__ = [
    "BOUNDED_MEANS",
    "CLASSES",
    "ROUNDED_MEANS",
    "Calibration",
    "Margins",
    "PeakMargins",
    "PeakVerdict",
    "Truth",
    "Verdict",
    "bound_by_keys",
    "calibrate",
    "divergence_test",
    "peak_test",
    "usual_truths",
    "verdict_of_runs",
]
