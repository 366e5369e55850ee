"""Arithmetic of 64 bit floats as Go does it, where Python raises or answers otherwise.

A decision must be Knative's on any input, also where a division or a conversion has no good answer.
Trap: for Go, a float that no int32 can hold becomes the least int32, whatever its sign.
"""

import math

MIN_INT32, MAX_INT32 = -(2**31), 2**31 - 1


def quotient(dividend: float, divisor: float) -> float:
    """IEEE 754 division: by zero it is an infinity, or no number."""
    if divisor:
        return dividend / divisor
    if not dividend or math.isnan(dividend):
        return math.nan
    return math.copysign(math.inf, dividend) * math.copysign(1.0, divisor)


def ceil(value: float) -> float:
    return float(math.ceil(value)) if math.isfinite(value) else value


def floor(value: float) -> float:
    return float(math.floor(value)) if math.isfinite(value) else value


def larger(left: float, right: float) -> float:
    """What is no number wins over all but positive infinity."""
    if math.isnan(left) or math.isnan(right):
        return math.inf if math.inf in (left, right) else math.nan
    return max(left, right)


def smaller(left: float, right: float) -> float:
    """What is no number wins over all but negative infinity."""
    return -larger(-left, -right)


def int32(value: float) -> int:
    """Without its fraction."""
    return int(value) if MIN_INT32 - 1 < value < MAX_INT32 + 1 else MIN_INT32


def power(base: float, exponent: int) -> float:
    """By squaring, of a mantissa and an exponent apart: the last digit is not that of `**`."""
    result, result_exponent = 1.0, 0
    mantissa, mantissa_exponent = math.frexp(base)
    while exponent:
        if exponent & 1:
            result, result_exponent = result * mantissa, result_exponent + mantissa_exponent
        mantissa, mantissa_exponent = mantissa * mantissa, mantissa_exponent * 2
        if mantissa < 0.5:
            mantissa, mantissa_exponent = mantissa * 2, mantissa_exponent - 1
        exponent >>= 1
    return math.ldexp(result, result_exponent)


def rounded(value: float, digits: int) -> float:
    """To that many decimals, halves away from zero."""
    scale = 10.0**digits
    scaled = value * scale
    if not math.isfinite(scaled):
        return quotient(scaled, scale)
    whole = math.trunc(scaled)
    if abs(scaled - whole) >= 0.5:
        whole += 1 if scaled > 0 else -1
    return whole / scale
