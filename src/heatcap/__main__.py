"""``python -m heatcap`` is the command `heatcap`."""

from heatcap.cli import app

app()
