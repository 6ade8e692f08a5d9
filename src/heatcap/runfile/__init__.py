"""The run file: the interface between training and analysis.

`RunWriter` writes it, `open_run` and `open_runs` read it; no other part of the package uses HDF5.
A run file is HDF5 and netCDF-4 at the same time; docs/file-format.md describes it for every
language.
"""

from typing import TYPE_CHECKING

from heatcap.core.lazy import lazy

if TYPE_CHECKING:
    from heatcap.runfile.contents import LogitReader, checksum, checksums, commit_waits, read_header
    from heatcap.runfile.layout import (
        FORMAT,
        FORMAT_VERSION,
        LOGIT_DIMS,
        STANDARD_METRICS,
        RunFileError,
        RunHeader,
    )
    from heatcap.runfile.names import TAKEN, merged_notes, names_read, reading_notes
    from heatcap.runfile.netcdf import SEALED, array_names, read_netcdf, sealed
    from heatcap.runfile.reader import (
        Runs,
        checkpoints_in,
        find_runs,
        open_run,
        open_runs,
        parameter_names,
        text_or_numbers,
        validate_run,
    )
    from heatcap.runfile.rules import MASK_DEPTH
    from heatcap.runfile.writer import RunWriter, repair_run
else:
    __getattr__ = lazy(__name__)

__all__ = [
    "FORMAT",
    "FORMAT_VERSION",
    "LOGIT_DIMS",
    "MASK_DEPTH",
    "SEALED",
    "STANDARD_METRICS",
    "TAKEN",
    "LogitReader",
    "RunFileError",
    "RunHeader",
    "RunWriter",
    "Runs",
    "array_names",
    "checkpoints_in",
    "checksum",
    "checksums",
    "commit_waits",
    "find_runs",
    "merged_notes",
    "names_read",
    "open_run",
    "open_runs",
    "parameter_names",
    "read_header",
    "read_netcdf",
    "reading_notes",
    "repair_run",
    "sealed",
    "text_or_numbers",
    "validate_run",
]
