"""Names of the columns of event tables, reserved: no metric or parameter may have them.

Steps are steps of training.  The names are here and not in :mod:`heatcap.events`, since writers of
run files need them too.
"""

from __future__ import annotations

__all__ = ["AVERAGE", "OF_PEAK", "OF_RUN", "PROPER", "Column"]

PROPER = "none"  # the group of treatment runs, which are no controls
AVERAGE = "mean"  # the head that is the average over heads


class Column:
    """Columns of the tables of runs, peaks and curves."""

    # ---- key of a row ----
    RUN = "run"
    OBSERVABLE = "observable"
    LAYER = "layer"
    HEAD = "head"  #: a number as text, or `AVERAGE`
    GROUP = "group"  #: `PROPER`, or the name of the control that the run is

    # ---- of a run ----
    MEMORISED = "memorisation_step"
    BASELINE = "baseline"  #: test accuracy at memorisation
    FINAL = "final_value"  #: of the test accuracy
    ONSET = "onset_step"
    ONSET_SPACING = "onset_step_spacing"  #: steps between the rows beside the onset
    ONSET_METRIC = "onset_metric"  #: name of the accuracy that defines the onset
    CENSORED = "censored"  #: not generalised by the last step
    LAST_STEP = "last_step"  #: of the test accuracy
    MESSAGE = "message"  #: why there is no onset
    PLATEAU = "plateau"  #: test accuracy between memorisation and onset
    MIRROR_LEAK = "mirror_leak"  #: True, False, or None where it cannot be determined
    MIRROR_MESSAGE = "mirror_message"
    SPIKES = "spikes"  #: number of spikes of the training loss
    SPIKE_SHARE = "spike_share"  #: share of the checkpoints that are near a spike
    STOP_REASON = "stop_reason"
    CHECKPOINTS = "checkpoints"  #: number of checkpoints after step 0

    # ---- of a peak ----
    RANK = "rank"  #: 1 is the highest outside marked spikes; empty without a peak
    PEAK = "peak_step"
    PEAK_SPACING = "peak_step_spacing"  #: the larger gap to a neighbouring checkpoint, in steps
    HEIGHT = "peak_height"
    PROMINENCE = "prominence"
    SIGNIFICANCE = "significance"  #: the smaller of its drops, in standard errors
    BIAS = "height_bias"  #: subtracted from the height of the fit
    AT_SPIKE = "at_spike"
    LEAD = "lead_steps"  #: onset - peak
    STATUS = "status"
    PLACE = "place"  #: before or after memorisation and onset

    # ---- of a curve ----
    EDGE_MAXIMUM = "edge_maximum"  #: an end of the record is higher than the peak
    RISING = "rising"  #: the record ends while the curve rises to its maximum
    REASON = "reason"  #: why there is no peak
    MAXIMA = "maxima"  #: number of prominent maxima before smoothing
    MAXIMA_AT_SPIKE = "maxima_at_spike"


#: Results of a run; its settings are between them and `Column.RUN`.
OF_RUN = (
    *(Column.MEMORISED, Column.BASELINE, Column.FINAL, Column.ONSET, Column.ONSET_SPACING),
    *(Column.CENSORED, Column.LAST_STEP, Column.ONSET_METRIC, Column.MESSAGE, Column.PLATEAU),
    *(Column.MIRROR_LEAK, Column.MIRROR_MESSAGE, Column.SPIKES, Column.STOP_REASON, Column.GROUP),
    *(Column.CHECKPOINTS, Column.SPIKE_SHARE),
)
#: Columns of a peak and of its run, in the order of the CSV file.
OF_PEAK = (
    *(Column.OBSERVABLE, Column.LAYER, Column.HEAD, Column.RANK, Column.PEAK, Column.HEIGHT),
    *(Column.PROMINENCE, Column.AT_SPIKE, Column.MEMORISED, Column.ONSET, Column.CENSORED),
    *(Column.LEAD, Column.STATUS, Column.LAST_STEP, Column.PLACE, Column.REASON),
    *(Column.EDGE_MAXIMUM, Column.PEAK_SPACING, Column.SIGNIFICANCE, Column.BIAS),
    *(Column.ONSET_SPACING, Column.ONSET_METRIC, Column.MESSAGE),
)
