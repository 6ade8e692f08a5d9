"""The command `heatcap`: file in, file out.

Exit status 0: an answer; 1: bad input, said in one line; 2: bad usage.  Everything heavy is
imported where it is used, so that ``heatcap --help`` answers at once.
"""

# In the order in which --help lists them.
from heatcap.cli import runs, training, scaling, systems, thresholds, powers, verdict, report  # noqa: F401, I001
from heatcap.cli.application import app
from heatcap.cli.runs import bound_notes

__all__ = ["app", "bound_notes"]
