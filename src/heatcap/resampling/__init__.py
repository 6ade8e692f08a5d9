"""Standard errors: bootstrap over runs, jackknife, and single autocorrelated series.

What to use when
----------------
* Independent runs: :func:`bootstrap`, for any function of the data, with labels, strata, shared
  seeds and the sampling of a finite probe; :func:`jackknife` where a bias matters.
* One long series: :func:`gamma_method`, for means and functions of means; :func:`jackknife` with
  `blocks` for anything else.

All return an :class:`Estimate`: value, standard error, intervals of 68 and 95 %, and a message
where the error cannot be trusted.  An error that cannot be estimated is NaN.  "68 %" is the 0.6827
of one standard deviation.  Times are in entries of the series; values have the units of the data.
"""

from typing import TYPE_CHECKING

from heatcap.core.lazy import lazy

if TYPE_CHECKING:
    from heatcap.core.result import readable
    from heatcap.resampling.bootstrapping import bootstrap
    from heatcap.resampling.estimate import Estimate
    from heatcap.resampling.leave_out import jackknife
    from heatcap.resampling.series import gamma_method, integrated_time
else:
    __getattr__ = lazy(__name__)

__all__ = [
    "Estimate",
    "bootstrap",
    "gamma_method",
    "integrated_time",
    "jackknife",
    "readable",
]
