"""What every room rests on and that knows nothing of heatcap: writing files, text fit to show."""
