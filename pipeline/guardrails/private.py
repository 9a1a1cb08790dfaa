"""Secrets, personal data and unknown addresses in an answer, masked as it streams."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

from pipeline.guardrails import identities
from pipeline.guardrails.window import PatternWindow, Replacement

REGIONS = ("US",)
Pii = Literal["mask", "flag", "off"]
_T = r"A-Za-z0-9+/=_.~%:@&?#-"  # the characters of tokens
_LIMIT = 200
_LABEL = (
    r"(?i:pass(?:word|wd|phrase|code)|pwd|client[ _-]secret|secret[ _-](?:access[ _-])?key|secret"
    r"|(?:api|access|private|account)[ _-]?key|(?:access|auth|refresh|api|bot)[ _-]?token|token|credentials?)"
)
_VALUE = r"[^\s\"'`,;<>\[\](){}|]"
_QUOTES = r"[\"'`]{0,2}"
_KEYS = (
    r"(?:(?<![A-Za-z0-9])sk-[A-Za-z0-9_-]{16,200}"
    r"|sk-(?=[A-Za-z0-9_-]{0,40}[0-9])(?=[A-Za-z0-9_-]{0,40}[A-Z])[A-Za-z0-9_-]{18,200}"
    r"|[sr]k_(?:live|test)_[A-Za-z0-9]{10,200}|whsec_[A-Za-z0-9]{16,200}|gh[pousr]_[A-Za-z0-9]{20,200}"
    r"|github_pat_[A-Za-z0-9_]{20,200}|glpat-[A-Za-z0-9_-]{16,200}|xox[abeposr]-[A-Za-z0-9-]{10,200}"
    r"|A(?:KI|SI)A[A-Z0-9]{16}|AIza[A-Za-z0-9_-]{30,200}|ya29\.[A-Za-z0-9_-]{20,200}|hf_[A-Za-z0-9]{20,200}"
    r"|npm_[A-Za-z0-9]{30,200}|pypi-[A-Za-z0-9_-]{30,200}|SG\.[A-Za-z0-9_-]{16,100}\.[A-Za-z0-9_-]{16,100}"
    r"|do[opr]_v1_[a-f0-9]{40,200}|shp(?:at|ca|pa|ss)_[a-fA-F0-9]{30,200}"
    r"|eyJ[A-Za-z0-9_-]{6,200}\.[A-Za-z0-9_-]{6,200}(?:\.[A-Za-z0-9_-]{0,200})?)"
)
_NUMBER = r"(?<![0-9])\(?\+?[0-9](?:[ ()./-]{0,2}[0-9])"
_PERSONAL = (
    r"(?<![A-Za-z0-9._%+-])(?P<mail>[A-Za-z0-9._%+-]{1,200}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,6})"
    r"|(?P<iban>[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?)"
    r"|(?<![0-9A-Za-z.:])(?P<inside>(?:10(?:\.[0-9]{1,3}){3}|(?:192\.168|169\.254|172\.(?:1[6-9]|2[0-9]|3[01]))"
    r"(?:\.[0-9]{1,3}){2})(?![0-9]|\.[0-9])"
    r"|(?i:f[cd][0-9a-f]{2}|fe80)(?::[0-9A-Fa-f]{0,4}){2,7}(?![0-9A-Za-z:]))"
    rf"|(?P<number>{_NUMBER}{{6,40}})(?![0-9])"
)
FOUND = re.compile(
    r"(?P<pem>-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----)"
    rf"|(?P<label>{_LABEL})(?P<sep>{_QUOTES}[ \t]{{0,3}}(?:[:=]|is )[ \t]{{0,3}}{_QUOTES})"
    rf"(?P<value>{_VALUE}{{6,128}})"
    rf"|(?P<bearer>\b(?i:bearer|basic) {{1,3}})(?P<token>[A-Za-z0-9+/=_.~-]{{16,{_LIMIT}}})"
    r"|(?P<login>[A-Za-z][A-Za-z0-9+.-]{1,20}://)[A-Za-z0-9._~%+-]{0,64}:[A-Za-z0-9._~%+=&?#-]{1,100}@"
    rf"|(?P<active>(?i:(?:java|vb|live)script:(?=\S)|data:[a-z]{{1,20}}/|data:;|data:,|file://)[{_T}]{{0,{_LIMIT}}})"
    rf"|(?P<url>(?i:(?:https?|ftp|wss?)://|www\.)[^\s<>\"`]{{1,{_LIMIT}}})"
    rf"|(?<![{_T}])(?P<long>[{_T}]{{{_LIMIT + 1}}})"
    rf"|(?P<key>{_KEYS})"
    rf"|{_PERSONAL}"
)
PERSONAL = re.compile(_PERSONAL)
SUSPECT = re.compile(r"[0-9](?:[ ()./-]{0,2}[0-9]){4}|[A-Z]{2}[0-9]{2}|(?i:f[cde][0-9a-f]{2}:)")
UNFINISHED = re.compile(
    rf"(?:(?<![{_T}])[{_T}]{{1,{_LIMIT}}}"
    rf"|(?i:(?:https?|ftp|wss?)://|www\.)[^\s<>\"`]{{0,{_LIMIT}}}"
    r"|-----BEGIN[A-Z0-9 ]{0,60}-{0,5}"
    rf"|{_LABEL}{_QUOTES}[ \t]{{0,3}}"
    rf"(?:i|(?:[:=]|is ?)[ \t]{{0,3}}{_QUOTES}{_VALUE}{{0,128}})?"
    r"|(?i:api|access|private|account|client|secret|auth|refresh|bot)"
    r"(?:[ _-][a-zA-Z]{0,6}){0,2}"
    rf"|\b(?i:bearer|basic) {{0,3}}[A-Za-z0-9+/=_.~-]{{0,{_LIMIT}}}"
    r"|[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{1,4}){0,9} ?"
    rf"|\(\+?|\+|{_NUMBER}{{0,40}}[ ()./-]{{0,2}})\Z"
)
CALM = re.compile(r"((?:[A-Za-z.]{0,15}(?:[ ,;'\n]|\[[0-9]{1,3}\]))*)([A-Za-z.]{0,15})\Z")
RISKY = tuple(  # every label in FOUND holds one of these; looked for one by one, ten times faster
    """pass pwd secret token credential bearer basic api access private account client auth refresh bot
    www""".split()  # noqa: SIM905
)
_SECRET = "[secret removed]"
_LINK = "[link removed]"
_END_OF_PEM = re.compile(r"-----END [A-Z0-9 ]{0,40}-----")
_END_OF_TOKEN = re.compile(rf"(?=[^{_T}])")
_END_OF_WORD = re.compile(r"(?=\s)")
_END_OF_NUMBER = re.compile(r"(?=[^0-9 ()./-])")
_PUNCTUATION = ".,;:!?'*_~)]}"
_EXAMPLE = re.compile(
    r"(?i)your|example|placeholder|changeme|x{4}|\*{3}|\.{3}|^[$%{<]|^https?:|^/|^(?:true|false|null)"
)
_DATE_OR_VERSION = re.compile(
    r"(?:(?:19|20)[0-9]{2}[-./][0-9]{1,2}[-./][0-9]{1,4}|[0-9]{1,3}(?:\.[0-9]{1,5}){3,})[ ()./0-9-]*"
)


class Private:
    """Masks what must not be shown. `allowed` tells whether a text occurs in the passages.

    Phone and ID numbers are those of the `regions`, two letters each.
    """

    def __init__(
        self, pii: Pii, allowed: Callable[[str], bool], findings: list[str], regions: Sequence[str]
    ) -> None:
        self._pii = pii
        self._allowed = allowed
        self._findings = findings
        self._regions = regions
        self.window = PatternWindow(FOUND, UNFINISHED, self._rewrite, CALM, RISKY)

    def _rewrite(self, match: re.Match[str]) -> Replacement:
        kind, whole = match.lastgroup, match[0]
        if kind == "value":
            return self._labelled(match)
        if kind == "token":
            if any(char.isdigit() for char in match["token"]):
                return self._secret("bearer", match["bearer"] + _SECRET, whole, _END_OF_TOKEN)
            return Replacement(match["bearer"], len(match["bearer"]))
        if kind == "login":
            return self._secret("login", f"{match['login']}{_SECRET}@", whole)
        if kind == "pem":
            return self._secret("private_key", _SECRET, whole, _END_OF_PEM)
        if kind == "key":
            return self._secret("key", _SECRET, whole, _END_OF_TOKEN)
        if kind == "long":
            return self._overlong(whole)
        if kind == "active":
            self._findings.append("link:active")
            return Replacement(_LINK, len(whole), _END_OF_TOKEN)
        if kind == "url":
            return self._address(whole)
        return self._personal(kind or "", whole, match.string[match.end() : match.end() + 1])

    def _secret(self, name: str, text: str, whole: str, until: re.Pattern[str] | None = None) -> Replacement:
        self._findings.append(f"secret:{name}")
        return Replacement(text, len(whole), until)

    def _labelled(self, match: re.Match[str]) -> Replacement:
        label, value = match["label"], match["value"].rstrip(_PUNCTUATION)
        mixed = any(char.isdigit() for char in value) and any(char.isalpha() for char in value)
        odd = any(char in "!@#$%^&*+=?~" for char in value)
        if len(value) < 6 or not (mixed or odd) or _EXAMPLE.search(value):
            return Replacement(label, len(label))
        until = _END_OF_WORD if len(match["value"]) == 128 else None
        self._findings.append("secret:labelled")
        covered = match.start("value") - match.start() + len(value)
        return Replacement(f"{label}{match['sep']}{_SECRET}", covered, until)

    def _overlong(self, whole: str) -> Replacement:
        if not any(char.isalnum() for char in whole):
            return Replacement(whole, len(whole))
        return self._secret("long", "[long text removed]", whole, _END_OF_TOKEN)

    def _address(self, whole: str) -> Replacement:
        """Keep an address that occurs in the passages; what renderers would add to it goes too."""
        overlong = len(whole) >= _LIMIT
        close = _unbalanced(whole)
        url = whole[:close].rstrip(_PUNCTUATION)
        glued = whole[close + 1 : close + 2]
        if (
            not overlong
            and self._allowed(url)
            and not (glued.isalnum() or glued in ("/", "?", "=", "&", "%", "#"))
        ):
            return Replacement(url, len(url)) if url else Replacement(whole[:1], 1)
        self._findings.append("link")
        return Replacement(
            _LINK, len(url) if not overlong and url else len(whole), _END_OF_WORD if overlong else None
        )

    def _personal(self, kind: str, whole: str, after: str) -> Replacement:
        if self._pii == "off":
            return Replacement(whole, len(whole))
        if kind == "mail":
            change = self._mask("e-mail", whole, len(whole), not self._allowed(whole.rstrip(".-")))
            return replace(change, until=_END_OF_TOKEN) if after == ":" else change
        if kind == "inside":
            return self._mask("private address", whole, len(whole), not self._allowed(whole))
        if kind == "iban":
            stop = _iban(whole)
            return self._mask("account number", whole[: stop or 2], 2, stop is not None)
        return self._numbers(whole, after)

    def _mask(self, name: str, whole: str, otherwise: int, private: bool) -> Replacement:
        """Return the mask when found; else let the first `otherwise` characters pass."""
        if not private:
            return Replacement(whole[:otherwise], otherwise)
        self._findings.append(f"pii:{name}")
        return Replacement(f"[{name} removed]" if self._pii == "mask" else whole, len(whole))

    def _numbers(self, run: str, after: str) -> Replacement:
        """Mask cards, ID and phone numbers in a run of digits; the start of an e-mail is left to it."""
        digits = sum(char.isdigit() for char in run)
        spans = [(*span, "card number") for span in _cards(run)] if digits >= 13 else []
        spans += [(*span, "ID number") for span in identities.spans(run, self._regions)]
        if _dialled(run, digits, self._regions):
            taken = [(start, stop) for start, stop, _ in spans]
            spans += [(*span, "phone number") for span in self._phones(_blank(run, taken))]
        if not spans and after == "@":
            start = max(run.rfind(char) for char in " ()/")
            return Replacement(run[: start + 1], start + 1) if start > 0 else Replacement(run[:1], 1)
        out, at = "", 0
        for start, stop, name in sorted(spans):
            if start >= at:
                self._findings.append(f"pii:{name}")
                out += run[at:start] + (f"[{name} removed]" if self._pii == "mask" else run[start:stop])
                at = stop
        overlong = digits > 40
        if overlong:
            self._findings.append("pii:digits")
        return Replacement(out + run[at:], len(run), _END_OF_NUMBER if overlong else None)

    def _phones(self, run: str) -> list[tuple[int, int]]:
        import phonenumbers

        return [
            (match.start, match.end)
            for region in self._regions
            for match in phonenumbers.PhoneNumberMatcher(run, region, phonenumbers.Leniency.VALID)
            if not self._allowed(match.raw_string)
        ]


def masked(text: str, pii: Pii, regions: Sequence[str]) -> str:
    """Return a passage as it may be shown: without what is masked in an answer that quotes it."""
    findings: list[str] = []
    return Quoted(pii, lambda _: True, findings, regions).window.feed(text, end=True) if text else text


class Quoted(Private):
    """The same for a document's own text, whose addresses and long words stay."""

    def _rewrite(self, match: re.Match[str]) -> Replacement:
        if match.lastgroup in ("long", "active", "url"):
            return Replacement(match[0], len(match[0]))
        return super()._rewrite(match)


def unnamed(regions: Sequence[str]) -> Callable[[str], str]:
    """Return what masks all personal data of a text that is recorded, wherever it is from and stands."""

    def mask(text: str) -> str:
        if "@" not in text and not SUSPECT.search(text):  # most texts, in a tenth of the time
            return text
        return UnnamedText(regions).window.feed(text, end=True)

    return mask


class UnnamedText(Private):
    """Masks personal data alone, within addresses and beside labels too; no passage excuses any."""

    def __init__(self, regions: Sequence[str]) -> None:
        super().__init__("mask", lambda _: False, [], regions)
        self.window = PatternWindow(PERSONAL, UNFINISHED, self._rewrite, CALM, RISKY)


def unknown_regions(regions: Sequence[str]) -> list[str]:
    """Return those of the regions that nobody knows phone numbers of."""
    if tuple(regions) == REGIONS:
        return []  # known without loading the library
    import phonenumbers

    return [region for region in regions if region not in phonenumbers.SUPPORTED_REGIONS]


def _blank(run: str, spans: list[tuple[int, int]]) -> str:
    """Return the run with the spans blanked out."""
    for start, stop in spans:
        run = run[:start] + "|" * (stop - start) + run[stop:]
    return run


def _unbalanced(url: str) -> int:
    """Return where a closing parenthesis without its opening one stands, else the length."""
    depth = 0
    for at, char in enumerate(url):
        depth += (char == "(") - (char == ")")
        if depth < 0:
            return at
    return len(url)


def _dialled(run: str, digits: int, regions: Sequence[str]) -> bool:
    """Tell whether a run of digits may be a phone number; cheap, before the library is asked."""
    if not 7 <= digits <= 30 or _DATE_OR_VERSION.fullmatch(run):
        return False
    written = any(char in " -.()/" for char in run)
    abroad = tuple(regions) != REGIONS and run.lstrip("(").startswith("0") and digits >= 8
    return "+" in run or (written and (digits >= 10 or abroad))


def _iban(text: str) -> int | None:
    """Return the length of the valid IBAN the text begins with."""
    from stdnum import iban

    return next((stop for stop in range(len(text), 14, -1) if iban.is_valid(text[:stop].strip())), None)


def _cards(run: str) -> list[tuple[int, int]]:
    """Return the spans of groups of digits that together are a payment card number (Luhn)."""
    groups = [match.span() for match in re.finditer(r"[0-9]+", run)]
    spans: list[tuple[int, int]] = []
    for first, (start, _) in enumerate(groups):
        digits = ""
        for _, stop in groups[first : first + 6]:
            digits = re.sub(r"[^0-9]", "", run[start:stop])
            if 13 <= len(digits) <= 19 and digits[0] in "3456" and len(set(digits)) > 1 and _luhn(digits):
                spans.append((start, stop))
                break
    return spans


def _luhn(digits: str) -> bool:
    from stdnum import luhn

    return luhn.is_valid(digits)
