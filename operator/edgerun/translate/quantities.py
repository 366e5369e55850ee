"""Quantities as Kubernetes writes them (resource.Quantity): `500m`, `1Gi`."""

from fractions import Fraction

_FACTORS = {
    "m": Fraction(1, 1000),
    "": Fraction(1),
    "k": Fraction(10**3),
    "M": Fraction(10**6),
    "G": Fraction(10**9),
    "T": Fraction(10**12),
    "Ki": Fraction(2**10),
    "Mi": Fraction(2**20),
    "Gi": Fraction(2**30),
    "Ti": Fraction(2**40),
}


def amount(quantity: str | int) -> Fraction:
    """How much it is, in CPUs or bytes. Raises ValueError or KeyError for what the CRD's pattern would have refused."""
    text = str(quantity)
    number = text.rstrip("mkKMGTi")
    return Fraction(number) * _FACTORS[text[len(number) :]]
