"""National identity numbers in a run of digits, told by their form and check digits."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from importlib import import_module

_SSN = re.compile(r"(?<![0-9])(?!000|666|9)[0-9]{3}[ -](?!00)[0-9]{2}[ -](?!0000)[0-9]{4}(?![0-9])")
_GROUP = re.compile(r"[0-9]+")
_GROUPS = 6  # a number is written in so many groups at most
# Of each region: the module of python-stdnum that checks its number, and how many digits that has.
NUMBERS: dict[str, tuple[str, int]] = {
    "AT": ("at.vnr", 10),
    "BE": ("be.nn", 11),
    "BR": ("br.cpf", 11),
    "CA": ("ca.sin", 9),
    "CH": ("ch.ssn", 13),
    "CN": ("cn.ric", 18),
    "DE": ("de.idnr", 11),
    "DK": ("dk.cpr", 10),
    "FR": ("fr.nir", 15),
    "GB": ("gb.nhs", 10),
    "IN": ("in_.aadhaar", 12),
    "NL": ("nl.bsn", 9),
    "NO": ("no.fodselsnummer", 11),
    "PL": ("pl.pesel", 11),
    "PT": ("pt.cc", 12),
    "SE": ("se.personnummer", 10),
}


def spans(run: str, regions: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yield where identity numbers of the regions stand in a run of digits and separators."""
    if "US" in regions and ("-" in run or " " in run):
        for match in _SSN.finditer(run):
            yield match.span()
    checked = [NUMBERS[region] for region in regions if region in NUMBERS]
    if not checked:
        return
    groups = [match.span() for match in _GROUP.finditer(run)]
    for first, (start, _) in enumerate(groups):
        for _, stop in groups[first : first + _GROUPS]:
            digits = "".join(_GROUP.findall(run[start:stop]))
            if any(len(digits) == length and _valid(module, digits) for module, length in checked):
                yield start, stop


def _valid(module: str, digits: str) -> bool:
    return bool(import_module(f"stdnum.{module}").is_valid(digits))
