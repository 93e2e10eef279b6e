"""Check digits.  Pure; each takes the characters without separators and says whether they add up."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

__all__ = ["dated", "digits_of", "iso7064_11_10", "luhn", "mod97", "verhoeff", "weighted"]


def digits_of(text: str) -> list[int]:
    """The decimal digits in `text`."""
    return [int(character) for character in text if "0" <= character <= "9"]


def luhn(digits: Sequence[int]) -> bool:
    """ISO/IEC 7812: cards, and the ids of Sweden, Canada, South Africa."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        twice = digit * 2 if place % 2 else digit
        total += twice - 9 if twice > 9 else twice
    return total % 10 == 0


def mod97(text: str) -> bool:
    """ISO 7064 MOD 97-10 of an IBAN: the first four characters count last, a letter is 10 to 35."""
    turned = text[4:] + text[:4]
    return int("".join(str(int(character, 36)) for character in turned)) % 97 == 1


def iso7064_11_10(digits: Sequence[int]) -> bool:
    """ISO 7064 MOD 11,10: the tax number of Germany, the OIB of Croatia."""
    rest = 10
    for digit in digits[:-1]:
        rest = ((rest + digit) % 10 or 10) * 2 % 11
    return (11 - rest) % 10 == digits[-1]


def weighted(digits: Sequence[int], weights: Sequence[int]) -> int:
    """The sum of each digit times its weight."""
    return sum(digit * weight for digit, weight in zip(digits, weights, strict=False))


def verhoeff(digits: Sequence[int]) -> bool:
    """Verhoeff's dihedral check: Aadhaar."""
    check = 0
    for place, digit in enumerate(reversed(digits)):
        check = _TIMES[check][_PERMUTED[place % 8][digit]]
    return check == 0


def dated(year: int, month: int, day: int) -> bool:
    """Whether there is such a day."""
    try:
        date(year, month, day)
    except ValueError:
        return False
    return True


_TIMES = tuple(
    tuple(
        (a + b) % 5 if a < 5 and b < 5 else (a + b - 5) % 5 + 5 if a < 5 else (a - b) % 5 + 5 if b < 5 else (a - b) % 5
        for b in range(10)
    )
    for a in range(10)
)


def _permutations() -> tuple[tuple[int, ...], ...]:
    base = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)
    powers = [tuple(range(10))]
    for _ in range(7):
        powers.append(tuple(base[digit] for digit in powers[-1]))
    return tuple(powers)


_PERMUTED = _permutations()
