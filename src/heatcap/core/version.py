"""The version, for modules inside heatcap, which do not import the whole package."""

__all__ = ["VERSION"]

VERSION = "0.1.0"
