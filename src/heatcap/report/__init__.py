"""Results -> one page that explains itself: a single HTML file that loads nothing.

    report = build_report(hc.load("obs.nc"))
    report.save("report.html")

:func:`build_report` calls `find_events`, `audit_leads` and `verdict_of_runs`, puts their words in
order, and draws their figures; it computes nothing of its own.  Where one of them has no answer,
the page gives the reason in its place.

:func:`explore` makes the page of a collapse with sliders for its parameters.
"""

from typing import TYPE_CHECKING

from heatcap.core.lazy import lazy

if TYPE_CHECKING:
    from heatcap.core.result import Caution
    from heatcap.report.explorer import Explorer, explore
    from heatcap.report.findings import Answer, Findings, Source
    from heatcap.report.page import Report, build_report, check_level
else:
    __getattr__ = lazy(__name__)

__all__ = [
    "Answer",
    "Caution",
    "Explorer",
    "Findings",
    "Report",
    "Source",
    "build_report",
    "check_level",
    "explore",
]
