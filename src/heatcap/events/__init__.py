"""Events along training: memorisation, onset of generalisation, spikes and peaks.

Definitions
-----------
Memorisation is the step at which the train accuracy first reaches 0.99.  The onset is the last
upward crossing of the midpoint between the baseline (test accuracy at memorisation) and the final
value (its median over the last tenth of the record in ln step); it exists only if the test
accuracy rises by 0.2 or more and ends at 0.9 or more.  A run without an onset is *censored* at its
last step: it is kept as such, never dropped.  If the record has a mirror-free accuracy, the onset
uses it, because the mirror (b, a) of a trained pair is answered as soon as (a, b) is memorised.
The peak of a curve is its highest interior maximum outside marked spikes; a lead is
onset - peak in steps, positive when the peak came first.

Conventions
-----------
Time is ln(step).  A record therefore starts at its first *positive* step: the row of step 0 is
never used.  NaN rows are padding and are skipped.  Positions of peaks are in steps; their
resolution is the spacing of the neighbouring checkpoints, which every table gives beside them.

Use the functions on 1-D arrays for one curve, :func:`find_events` for a file of observables.
"""

from typing import TYPE_CHECKING

from heatcap.core.lazy import lazy

if TYPE_CHECKING:
    from heatcap.core.columns import AVERAGE, PROPER, Column
    from heatcap.events.by_size import OnsetSurvival, PeaksBySize, onset_survival, peaks_by_size
    from heatcap.events.curves import SMOOTHING, Peaks, peaks, smooth
    from heatcap.events.find import DEFAULT_OBSERVABLES, find_events
    from heatcap.events.record import (
        LEAST_FINAL,
        LEAST_RISE,
        MEMORISED,
        MirrorLeak,
        Onset,
        memorisation,
        mirror_leak,
        near_spikes,
        onset,
        spikes,
    )
    from heatcap.events.result import (
        Count,
        Events,
        controls_of,
        order_of_events,
        proper_of,
        settings_of,
    )
    from heatcap.observables.dataset import size_name_of, sizes_of
    from heatcap.resampling.censored import censored_median
else:
    __getattr__ = lazy(__name__)

__all__ = [
    "AVERAGE",
    "DEFAULT_OBSERVABLES",
    "LEAST_FINAL",
    "LEAST_RISE",
    "MEMORISED",
    "PROPER",
    "SMOOTHING",
    "Column",
    "Count",
    "Events",
    "MirrorLeak",
    "Onset",
    "OnsetSurvival",
    "Peaks",
    "PeaksBySize",
    "censored_median",
    "controls_of",
    "find_events",
    "memorisation",
    "mirror_leak",
    "near_spikes",
    "onset",
    "onset_survival",
    "order_of_events",
    "peaks",
    "peaks_by_size",
    "proper_of",
    "settings_of",
    "size_name_of",
    "sizes_of",
    "smooth",
    "spikes",
]
