"""Reads numbers, units, names and denials in German, French, Spanish, Portuguese and Chinese."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.text.polarity import one_unit

READ = ("de", "fr", "es", "pt", "zh")
_NUMBERS = {
    "de": """zwei=2 drei=3 vier=4 fünf=5 sechs=6 sieben=7 acht=8 neun=9 zehn=10 elf=11 zwölf=12 dreizehn=13
        vierzehn=14 fünfzehn=15 sechzehn=16 siebzehn=17 achtzehn=18 neunzehn=19 zwanzig=20 dreißig=30
        vierzig=40 fünfzig=50 sechzig=60 neunzig=90 hundert=100 zweimal=2 dreimal=3 viermal=4 fünfmal=5""",
    "fr": """deux=2 trois=3 quatre=4 cinq=5 six=6 sept=7 huit=8 neuf=9 dix=10 onze=11 douze=12 treize=13
        quatorze=14 quinze=15 seize=16 vingt=20 trente=30 quarante=40 cinquante=50 soixante=60 cent=100""",
    "es": """dos=2 tres=3 cuatro=4 cinco=5 seis=6 siete=7 ocho=8 nueve=9 diez=10 once=11 doce=12 trece=13
        catorce=14 quince=15 dieciséis=16 diecisiete=17 dieciocho=18 diecinueve=19 veinte=20 treinta=30
        cuarenta=40 cincuenta=50 sesenta=60 noventa=90 cien=100""",
    "pt": """dois=2 duas=2 três=3 quatro=4 cinco=5 seis=6 sete=7 oito=8 nove=9 dez=10 onze=11 doze=12 treze=13
        catorze=14 quatorze=14 quinze=15 dezesseis=16 dezesseis=16 dezoito=18 vinte=20 trinta=30 quarenta=40
        cinquenta=50 sessenta=60 noventa=90 cem=100""",
}
_WORDS = {
    code: {word: float(value) for pair in table.split() for word, _, value in [pair.partition("=")]}
    for code, table in _NUMBERS.items()
}
_UNITS = """second=sekunde/sekunden/seconde/secondes/segundo/segundos/秒
    minute=minute/minuten/min/minutes/minuto/minutos/分钟 hour=stunde/stunden/std/heure/heures/hora/horas/小时
    day=tag/tage/tagen/jour/jours/día/días/dia/dias/天 week=woche/wochen/semaine/semaines/semana/semanas/周
    month=monat/monate/monaten/mois/mes/meses/mês/个月 time=mal/fois/vez/veces/vezes/次
    year=jahr/jahre/jahren/an/ans/année/années/año/años/ano/anos/年 euro=euro/euros/eur/€/欧元
    cent=cent/cents/centime/centimes/céntimo/céntimos/cêntimos percent=prozent/pourcent/%
    m=meter/metern/mètre/mètres/metro/metros/米 km=kilometer/kilometern/kilomètres/kilómetros/quilômetros/公里
    cm=zentimeter/zentimetern/centimètre/centimètres/centímetro/centímetros/厘米
    mm=millimeter/millimetern/millimètres/milímetros/毫米 g=gramm/gramme/grammes/gramo/gramos/grama/gramas/克
    kg=kilogramm/kilo/kilos/kilogrammes/kilogramos/quilos/公斤 l=liter/litern/litre/litres/litro/litros/升
    ml=milliliter/millilitres/mililitros/毫升"""
_UNIT_OF = {
    word: one_unit(unit)
    for pair in _UNITS.split()
    for unit, _, words in [pair.partition("=")]
    for word in words.split("/")
    if word
}
_UNIT_OF |= {unit: one_unit(unit) for unit in ("mm", "cm", "m", "km", "mg", "g", "kg", "ml", "l")}
_NUMERALS = dict(zip("一二两三四五六七八九", (1, 2, 2, 3, 4, 5, 6, 7, 8, 9), strict=True))
_DENIALS = {
    "de": r"\b(?:nicht(?! mehr| nur| später| länger)|kein\w*|nie|niemals|ohne|weder|nichts|niemand)\b",
    "fr": r"\b(?:pas(?! plus| seulement)|jamais|aucune?|rien|ni|sans)\b",
    "es": r"(?<!^)(?<!\bya )\b(?:no(?! más| s[oó]lo)|nunca|jamás|sin|ningun\w*|ningún|nada|nadie|tampoco)\b"
    r"|^no\b(?!,)",
    "pt": r"(?<!^)(?<!\bjá )\b(?:não(?! mais| só| apenas)|nunca|jamais|sem|nenhum\w*|nada|ninguém)\b"
    r"|^não\b(?!,)",
    "zh": r"不|没|无|未|勿",
    "en": r"\b(?:not(?!(?: \w+)? (?:more|longer|later|only)\b)|no(?! longer| more| later)|never|without"
    r"|cannot|neither|nor|none|nobody|nothing|\w+n['’]t)\b",
}
_REFUSALS = {
    "de": r"\b(?:verb[io]\w+|untersag\w+|unzulässig|geschlossen|kostenlos|gratis|umsonst|außer|nur|selten"
    r"|kaum|lehn\w+|vermeid\w+|statt|un\w{4,})\b",
    "fr": r"\b(?:interdi\w+|défend\w+|ferm\w+|sauf|seul\w*|gratuit\w*|refus\w*|évit\w*|rarement|que|plus)\b",
    "es": r"\b(?:prohib\w+|cerrad\w+|cierra\w*|salvo|excepto|s[oó]lo|únicamente|gratis|gratuit\w+|rechaz\w+"
    r"|evit\w+|apenas)\b",
    "pt": r"\b(?:proib\w+|fechad\w+|fecha\w*|salvo|exceto|só|apenas|somente|grátis|gratuit\w+|recus\w+"
    r"|evit\w+)\b",
    "zh": r"禁|只|免费|除|关闭|拒",
    "en": r"\b(?:forb\w+|prohibit\w*|ban(?:ned)?|refus\w+|clos\w+|only|except|free|hardly|rarely|seldom"
    r"|avoid\w*|prevent\w*|exempt\w*|void|instead|impossible|invalid|illegal|alone|dis(?:abl|allow|courag|card)\w*"
    r"|un(?!til|der|less|ion|it|iver)\w{4,})\b",
}
_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*|[^\W\d_]+|[%€]")
_NUMBER_ZH = re.compile(
    r"(\d+(?:[.,:]\d+)*(?!\d|[.,:]?\d|[月日])|[一二两三四五六七八九十百]+(?=个|天|年|周|小时|分钟|欧元|米|公|克|升|次))"
    r"\s*(个月|小时|分钟|欧元|厘米|公里|毫米|毫升|公斤|天|年(?!\d)|周|秒|米|克|升|%|次)?"
)
_HOUR = re.compile(r"\b(\d{1,2}) ?h(?: ?(\d\d))?\b")
_PERCENT = re.compile(r"\b(?:pour cent|por ciento|por cento)\b", re.IGNORECASE)
_ALIKE = (("ph", "f"), ("th", "t"), ("qu", "k"), ("ck", "k"), ("c", "k"), ("y", "i"), ("w", "v"), ("ß", "ss"))
_TITLE = r"(?:Herrn?|Frau|Dr|Doktor|Dra|Mme|Mlle|M|Monsieur|Madame|Sra?|Señora?|Senhora?|Mr|Mrs|Ms)\.?"
_TITLED = re.compile(rf"\b{_TITLE} ([A-ZÀ-Ý][\w’'-]+)")
_PERSON = re.compile(r"(?<=[^.!?] )[A-ZÀ-Ý][\w’'-]+(?: [A-ZÀ-Ý][\w’'-]+)+")
_CODE = re.compile(r"\b[A-Z]{1,4}-?\d{1,4}\b|\b\d{1,4}[A-Z]{1,4}\b")
_BEFORE = frozenset(
    """ende anfang mitte linie raum zimmer saal gleis gruppe stufe terminal stock etage platz tor schalter der
    die das den dem des ein eine einen einem einer im am zum zur bei mit für von""".split()  # noqa: SIM905
)


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number of a sentence with its unit in English, "" without one, as it is written there."""

    value: float
    unit: str
    text: str


def quantities(text: str, code: str) -> list[Quantity]:
    """Return the numbers of a sentence in one of the languages, in digits or words; "one" is an article."""
    text = _CODE.sub(" ", _HOUR.sub(lambda match: f"{match[1]}:{match[2] or '00'}", text))
    if code == "zh":
        pairs = [(number, (unit,)) for number, unit in _NUMBER_ZH.findall(text)]
    else:
        words = _NUMBER.findall(_PERCENT.sub("%", text))
        pairs = [(word, words[place + 1 : place + 3]) for place, word in enumerate(words)]
    return [
        Quantity(value, _unit(number, after), number)
        for number, after in pairs
        if (value := _value(number, code)) is not None
    ]


def _unit(number: str, after: Sequence[str]) -> str:
    """Return the unit after a number, one word may stand between them: "les trois derniers mois"."""
    if number.endswith("mal"):
        return "time"
    return next((_UNIT_OF[word.lower()] for word in after if word.lower() in _UNIT_OF), "")


def _value(number: str, code: str) -> float | None:
    """Return a number's value, "0,40" and "1.000" as they are written there; a clock's is its hour."""
    if number[0].isdigit():
        number = number.partition(":")[0]
        if re.fullmatch(r"\d{1,3}(?:\.\d{3})+", number) or re.fullmatch(r"\d{1,3}(?:,\d{3})+", number):
            return float(re.sub(r"[.,]", "", number))
        return float(number.replace(",", ".")) if number.count(",") + number.count(".") <= 1 else None
    if code != "zh":
        return _WORDS.get(code, {}).get(number.lower())
    return _numeral(number)


def _numeral(number: str) -> float | None:
    """Return the value of a Chinese numeral below a hundred."""
    tens, ten, ones = number.rpartition("十")
    if any(sign not in _NUMERALS for sign in tens + ones) or len(tens) > 1 or len(ones) > 1:
        return None
    value = (_NUMERALS.get(tens, 1) * 10 if ten else 0) + _NUMERALS.get(ones, 0)
    return float(value) if value > 1 else None


def denies(text: str, code: str) -> bool:
    """Tell whether a sentence denies something, an odd number of times."""
    return len(re.findall(_DENIALS.get(code, r"(?!)"), text, re.IGNORECASE)) % 2 == 1


def refuses(text: str, code: str) -> bool:
    """Tell whether a sentence has a word that comes near to a denial, such as "forbidden" or "only"."""
    return re.search(_REFUSALS.get(code, r"(?!)"), text, re.IGNORECASE) is not None


def has_name(text: str) -> bool:
    """Tell whether an English text has a name of two words, or one with a title."""
    return bool(_TITLED.search(text) or _PERSON.search(text))


def codes(text: str) -> list[str]:
    """Return the codes of a sentence, such as "K3"."""
    return _CODE.findall(text)


def names(text: str) -> list[str]:
    """Return the last words of a sentence's names of two words, and those with a title."""
    people = _TITLED.findall(text)
    for match in _PERSON.finditer(text):
        parts = match[0].split()
        if parts[0].lower() not in (_BEFORE | _UNIT_OF.keys()):
            people.append(parts[-1])
    return list(dict.fromkeys(people))


def folded(word: str) -> str:
    """Return a word as several languages would spell it: "fotografieren" and "photograph" begin alike."""
    plain = unicodedata.normalize("NFKD", word.casefold())
    plain = "".join(char for char in plain if not unicodedata.combining(char))
    for letters, instead in _ALIKE:
        plain = plain.replace(letters, instead)
    return plain
