"""A number and its error in one word: 0.4406(12)."""

from __future__ import annotations

import math

__all__ = ["compact", "readable"]

DIGITS = 2  # of the error
LONGEST = 8  # decimals, beyond which powers of ten are split off


def readable(value: float, error: float) -> str:
    """``0.4406(12)``; ``3.5(1.2)`` where the error reaches into the integers."""
    return _word(value, error, point=True)


def compact(value: float, error: float) -> str:
    """As siunitx reads it: the digits in the bracket count in the last places, ``3.5(12)``."""
    return _word(value, error, point=False)


def _word(value: float, error: float, *, point: bool) -> str:
    if not math.isfinite(value) or not math.isfinite(error):
        return f"{value:.6g}"
    if error == 0:
        return f"{_signed(f'{value:.6g}')}(0)"
    # The exponent after rounding: 9.96 becomes 10 and so reaches one place further.
    last = _exponent(f"{error:.{DIGITS - 1}e}") - (DIGITS - 1)
    top = max(last + DIGITS - 1, _exponent(f"{value:e}") if value else last)
    if -last > LONGEST or last > LONGEST:
        mantissa = _fixed(_scaled(value, top), _scaled(error, top), last - top, point)
        return f"{mantissa}e{top}"
    return _fixed(value, error, last, point)


def _fixed(value: float, error: float, last: int, point: bool) -> str:
    """Both to the place 10^last."""
    if last >= 0:
        return f"{round(value, -last):.0f}({round(error, -last):.0f})".replace("-0(", "0(")
    shown = _signed(f"{value:.{-last}f}")
    inside = f"{error:.{-last}f}"
    if point and not inside.startswith("0"):
        return f"{shown}({inside})"
    return f"{shown}({inside.replace('.', '').lstrip('0')})"


def _scaled(x: float, power: int) -> float:
    """x / 10^power, correctly rounded."""
    return float(f"{x:.17e}".split("e")[0] + f"e{_exponent(f'{x:.17e}') - power}")


def _exponent(text: str) -> int:
    return int(text.split("e")[1])


def _signed(text: str) -> str:
    """No minus before a zero."""
    return text[1:] if text.startswith("-") and not text.strip("-0.") else text
