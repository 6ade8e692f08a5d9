"""Canonical thermodynamics of saved attention runs."""
__version__ = "0.1.0"
