"""The version, for those inside who would otherwise import all of heatcap for it."""

__all__ = ["VERSION"]

VERSION = "0.1.0"
