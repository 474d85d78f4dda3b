"""The check of a text that a model wrote: it may say nothing that the known text does not.

Every number, amount, date, link and capitalised word of the answer has to stand in the known text.
In doubt an answer is refused: the text that it would replace is there already.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

MAX_CHARACTERS = 2_000
_UNITS = """
    zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
    sixteen seventeen eighteen nineteen
"""
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_ORDINALS = """
    third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth
    fifteenth sixteenth seventeenth eighteenth nineteenth twentieth
"""
_LARGE = """
    hundred hundreds thousand thousands million millions billion billions trillion dozen dozens
    half halves twice double doubled triple tripled quadruple quadrupled
"""
_SPELLED = (
    {word: value for value, word in enumerate(_UNITS.split())}
    | {word: 10 * tens for tens, word in enumerate(_TENS.split(), start=2)}
    | {word: value for value, word in enumerate(_ORDINALS.split(), start=3)}
)
# Words that change the size of a number: they have to stand in the known text themselves.
_SCALES = frozenset(_LARGE.split())
_NUMBER = re.compile(
    r"(?P<sign>(?<![\w.,])[+\-\u2212\u2013])?"
    r"(?<!\w)(?P<digits>"
    r"\d{1,3}(?P<separator>[,'\u2019\u00a0\u202f ])\d{3}(?:(?P=separator)\d{3})*(?:\.\d+)?(?!\d)"
    r"|\d+(?:[.,:/'\u2019\-\u2212\u2013\u2014]\d+)*)"
    r"(?P<percent>\s?%|\s?per\s?cent\b)?"
)
_TENS_AND_UNIT = re.compile(
    rf"\b({'|'.join(_TENS.split())})[- ]({'|'.join(_UNITS.split()[1:10])})\b", re.IGNORECASE
)
_WORD = re.compile(r"\w+")
_LINK = re.compile(r"[\w.+-]*@[\w-]*(?:\.[\w-]+)*|[\w-]+(?:\.[\w-]+)+|://|www\.|[<>`\\]")
_SENTENCE_END = re.compile(r"(?:^|[.!?\n])[\s\"'“”‘’()\[\]*•\-]*$")
_PLAIN_DIGITS = frozenset("0123456789")


@dataclass(frozen=True)
class _Number:
    """A number in a text; `value` is its digits as written where they can be read in two ways."""

    value: str
    sign: str
    is_percent: bool
    text: str


def problem_of(answer: str, known: str) -> str | None:
    """Returns the reason for which a text is refused; None: it says nothing new.

    Args:
        known: The facts and the text that the answer would replace.
    """
    if len(answer) > MAX_CHARACTERS:
        return f"it is longer than {MAX_CHARACTERS:,} characters"
    answer, known = (unicodedata.normalize("NFC", text) for text in (answer, known))
    return (
        _odd_character(answer, known)
        or _new_link(answer, known)
        or _new_number(answer, known)
        or _new_spelled_number(answer, known)
        or _new_name(answer, known)
    )


def _odd_character(answer: str, known: str) -> str | None:
    """A sign that is not plain text, and currencies and digits of other scripts that are new."""
    for character in answer:
        category = unicodedata.category(character)
        if category[0] == "C" and character not in "\n\t":
            return f"it has the character U+{ord(character):04X}"
        is_number = unicodedata.numeric(character, None) is not None
        if (
            (is_number and character not in _PLAIN_DIGITS) or category == "Sc"
        ) and character not in known:
            return f"'{character}' is not in the facts"
    return None


def _new_link(answer: str, known: str) -> str | None:
    for link in _LINK.finditer(answer):
        is_number = not any(character.isalpha() for character in link[0]) and "." in link[0]
        if not is_number and link[0] not in known:
            return f"'{link[0]}' is not in the facts"
    return None


def _new_number(answer: str, known: str) -> str | None:
    allowed = {(one.value, one.sign, one.is_percent) for one in _numbers(known)}
    allowed |= {(value, "", percent) for value, sign, percent in allowed if sign == "+"}
    for number in _numbers(answer):
        if (number.value, number.sign, number.is_percent) not in allowed:
            return f"the number {number.text} is not in the facts"
    return None


def _numbers(text: str) -> Iterator[_Number]:
    for found in _NUMBER.finditer(text):
        digits, separator = found["digits"], found["separator"]
        plain = digits.replace(separator, "") if separator else digits
        sign = "-" if found["sign"] in ("-", "\u2212", "\u2013") else found["sign"] or ""
        yield _Number(_canonical(plain), sign, found["percent"] is not None, found[0].strip())


def _canonical(digits: str) -> str:
    """The value where it can be read in one way only: 1.500 may be read in two."""
    if re.fullmatch(r"\d+(?:\.\d+)?", digits) and not re.fullmatch(r"\d{1,3}\.\d{3}", digits):
        try:
            return f"{Decimal(digits).normalize():f}"
        except InvalidOperation:
            return digits
    return digits


def _new_spelled_number(answer: str, known: str) -> str | None:
    words = {word.lower() for word in _WORD.findall(known)}
    values = {one.value for one in _numbers(known)}
    values |= {str(value) for word, value in _SPELLED.items() if word in words}
    values |= {str(_composed(found)) for found in _TENS_AND_UNIT.finditer(known)}
    for found in _TENS_AND_UNIT.finditer(answer):
        if str(_composed(found)) not in values:
            return f"the number {found[0]} is not in the facts"
    for word in _WORD.findall(_TENS_AND_UNIT.sub(" ", answer)):
        value = _SPELLED.get(word.lower())
        is_new = value is not None and str(value) not in values
        if (is_new and word.lower() not in words) or (word.lower() in _SCALES - words):
            return f"the number {word} is not in the facts"
    return None


def _composed(found: re.Match[str]) -> int:
    return _SPELLED[found[1].lower()] + _SPELLED[found[2].lower()]


def _new_name(answer: str, known: str) -> str | None:
    """A capitalised word inside a sentence, or one with digits or of a script without case."""
    words = set(_WORD.findall(known))
    for found in _WORD.finditer(answer):
        word = found[0]
        if word in words or word.isdecimal():
            continue
        letters = [character for character in word if character.isalpha()]
        is_name = any(not character.islower() for character in letters)
        only_first = word[:1].isupper() and all(letter.islower() for letter in letters[1:])
        begins = only_first and _SENTENCE_END.search(answer, 0, found.start()) is not None
        if (is_name and not begins) or any(character.isdigit() for character in word):
            return f"'{word}' is not in the facts"
    return None
