"""Masks personal data: mail addresses, phone, card and IP numbers.

What looks like one is judged by a standard before it is masked: cards by Luhn's check digit
(ISO/IEC 7812), phones by the numbering plans in `phonenumbers`, IP addresses by `ipaddress`.
"""

import re
from collections.abc import Callable, Iterable
from functools import partial
from ipaddress import ip_address

_MAIL = re.compile(r"(?<![\w.%+-])[\w.%+-]{1,64}@(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24}\b")
_IPV4 = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?!\.?\w)")
_IPV6 = re.compile(r"(?<![\w:.])[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?![\w:])")
_TWO_COLONS = re.compile(r":[0-9A-Fa-f]{0,4}:")
_CARD = re.compile(r"(?<![\d.-])[2-6]\d{3}(?:[ -]?\d){9,15}(?![\d-])")
_PHONE = re.compile(r"[+(]?\d[\d\s()./\u2010-\u2015-]{5,}\d")
_FEWEST_PHONE_DIGITS = 7
_DIGIT = re.compile(r"\d")

Mask = Callable[[str], tuple[str, int]]


def maskers(kinds: Iterable[str], phone_regions: tuple[str, ...]) -> dict[str, Mask]:
    """For each kind of personal data what masks it in a text and says how often.

    Args:
        kinds: Of `mail`, `phone`, `ip`, `card`.
        phone_regions: Countries (ISO 3166) whose numbers are found without a country code.
    """
    known: dict[str, Mask] = {
        "mail": _mask_mail,
        "card": _mask_cards,  # before phones, which some cards look like
        "ip": _mask_addresses,
        "phone": partial(_mask_phones, regions=phone_regions),
    }
    wanted = set(kinds)
    return {kind: mask for kind, mask in known.items() if kind in wanted}


def _mask_mail(text: str) -> tuple[str, int]:
    return _MAIL.subn("[MAIL]", text) if "@" in text else (text, 0)


def _mask_cards(text: str) -> tuple[str, int]:
    return _replace(_CARD, text, "[CARD]", lambda found: luhn(re.sub(r"\D", "", found)))


def _mask_addresses(text: str) -> tuple[str, int]:
    text, four = _replace(_IPV4, text, "[IP]", _is_address)
    if not _TWO_COLONS.search(text):
        return text, four
    text, six = _replace(_IPV6, text, "[IP]", _is_address)
    return text, four + six


def _mask_phones(text: str, regions: tuple[str, ...]) -> tuple[str, int]:
    """Mask numbers; only lines that have enough digits in a row are looked at closely."""
    if not any(_may_be_phone(match[0]) for match in _PHONE.finditer(text)):
        return text, 0
    lines = text.split("\n")
    masked = 0
    for place, line in enumerate(lines):
        if any(_may_be_phone(match[0]) for match in _PHONE.finditer(line)):
            lines[place], times = _mask_line(line, regions)
            masked += times
    return "\n".join(lines), masked


def _mask_line(line: str, regions: tuple[str, ...]) -> tuple[str, int]:
    from phonenumbers import PhoneNumberMatcher

    masked = 0
    for region in regions or (None,):
        for match in reversed(list(PhoneNumberMatcher(line, region))):
            line = line[: match.start] + "[PHONE]" + line[match.end :]
            masked += 1
    return line, masked


def _may_be_phone(found: str) -> bool:
    return len(_DIGIT.findall(found)) >= _FEWEST_PHONE_DIGITS


def _replace(
    pattern: re.Pattern[str], text: str, mask: str, is_one: Callable[[str], bool]
) -> tuple[str, int]:
    masked = 0

    def replaced(match: re.Match[str]) -> str:
        nonlocal masked
        if not is_one(match[0]):
            return match[0]
        masked += 1
        return mask

    return pattern.sub(replaced, text), masked


def _is_address(found: str) -> bool:
    """Whether it is an IP address; one of letters and colons alone may be code or a clock."""
    if ":" in found and not (re.search(r"\d", found) and len(found.replace(":", "")) > 2):
        return False
    try:
        ip_address(found)
    except ValueError:
        return False
    return True


def luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of the others (ISO/IEC 7812-1, annex B)."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0
