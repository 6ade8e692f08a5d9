"""One set -> the audit of its leads: does a peak come before the onset, and is that news?"""

from __future__ import annotations

from study import OBSERVABLES, SEED, arguments, draw, write_json

import heatcap as hc
from heatcap import figures


def main() -> None:
    given = arguments(__doc__ or "", "observables")
    obs = hc.load(given.observables)
    events = hc.find_events(obs, *OBSERVABLES)
    audit = hc.audit_leads(obs, events, rng=SEED)
    stem = given.output.name.split(".")[0]
    drawn = draw({f"leads_{stem}": figures.leads(audit, events)}, given.output)
    write_json(given.output, audit.to_dict() | {"figures": drawn}, [given.observables])


if __name__ == "__main__":
    main()
