"""Tells in which language a short text is written, by its letters and its commonest words."""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache

from pipeline.text.sentences import rarity, tokens

_WORDS = {
    "en": """the a an is are was were be been do does did how what when where why who which can could should
        would will my your his her our their this that these those i you he she it we they to of in on for
        with
        from by and or but not no yes please there have has had if then than about into get make want need
        me as at after before more most change turn set use way between thanks hello""",
    "de": """der die das den dem des ein eine einen einem einer ist sind war waren sein wird werden wie was
        wann wo warum wer welche welcher welches kann könnte soll sollte muss darf ich du er sie es wir ihr
        mein meine meinen meinem dein deine und oder aber nicht kein keine ja nein bitte mit von zu zum zur im
        in auf für aus bei nach über unter wenn dann als auch noch schon mir mich dir dich uns gibt man habe
        hat haben danke hallo tschüss ändere mache""",
    "fr": """le la les l un une des du de d est sont était être sera comment que quoi quand où pourquoi qui
        quel quelle quels quelles peut puis dois doit faut je tu il elle nous vous ils elles mon ma mes ton ta
        tes son sa ses notre votre leur et ou mais ne pas non oui s'il plaît avec pour dans sur par au aux ce
        cette ces en y se j'ai c'est qu'est avez merci bonjour salut est-ce""",
    "es": """el la los las un una unos unas es son era ser será cómo como qué que cuándo cuando dónde donde
        por quién quien cuál cual puede puedo debo debe yo tú él ella nosotros ustedes ellos mi mis tu tus su
        sus y o pero no sí con para en sobre de del al este esta estos estas ese eso hay se lo le me te nos
        tiene tengo gracias hola adiós está están hago activo cambio""",
    "pt": """o a os as um uma uns umas é são era ser será como que quando onde por quem qual quais pode posso
        devo deve eu tu ele ela nós vocês eles meu minha meus minhas seu sua seus suas e ou mas não sim com
        para em
        sobre de do da dos das no na nos nas ao à este esta isto isso há se lhe me te tem tenho obrigado
        obrigada olá está estão faço você porquê""",
    "it": """il lo la i gli le un uno una è sono era essere come che cosa quando dove perché chi quale quali
        può
        posso devo deve io tu lui lei noi voi loro mio mia miei mie tuo tua suo sua e o ma non sì con per in
        su
        di del della dei delle al alla nel nella sul questo questa c'è si mi ti ci ho ha grazie ciao""",
    "nl": """de het een is zijn was waren hoe wat wanneer waar waarom wie welke kan kun moet mag ik jij je
        hij zij
        wij we jullie mijn jouw en of maar niet geen ja nee met van naar in op voor uit bij over onder als dan
        ook nog er dit dat deze die heb heeft hebben dank hallo""",
    "sv": """och att det som en ett är var hur vad när varför vem vilken vilket vilka kan ska jag du
        han hon vi ni min mitt mina inte på för med av till från om eller men har den de tack hej""",
    "pl": """jak co gdzie kiedy dlaczego kto czy jest są był być nie tak na w z do dla od po i lub ale się mój
        moja moje to ten ta mogę można jaki jaka dziękuję cześć""",
    "tr": """nasıl ne nerede neden kim mi mı mu mü bir ve veya ama için ile bu şu o ben sen biz siz benim
        değil
        var yok nedir merhaba teşekkürler""",
    "fi": """ja on ei ole olen oli mitä mikä mitkä missä mistä mihin milloin miten miksi kuka kenen kuinka
        paljonko montako voi voiko voin voinko saa saako pitää minun sinun hänen minä sinä hän he se ne tämä
        nämä että kun jos tai mutta myös vain kanssa ilman mukaan kiitos hei moi auki kiinni""",
    "da": """og er det den de en et ikke hvad hvor hvornår hvordan hvorfor hvem hvilken hvilket hvilke kan
        skal må jeg du han hun vi min mit mine til på af med fra om eller men har som der når hvis tak hej
        være bliver meget koster""",
    "no": """og er det den de en et ei ikke hva hvor når hvordan hvorfor hvem hvilken hvilket hvilke kan
        skal må jeg du han hun vi min mitt mine til på av med fra om eller men har som der hvis takk hei
        være blir mye koster""",
    "cs": """je jsou jak co kde kdy proč kdo který která které kolik můžu mohu může nebo ale že se si na do
        pro od po při bez jsem jste není ne ano můj moje to ten ta tento prosím děkuji ahoj""",
    "hu": """a az és hogy hol mikor miért mennyi mennyibe hány ki mi melyik kell lehet van vannak nem igen
        egy ez azt ezt hogyan milyen tudom tudok szabad vagy de meg csak köszönöm szia kérem""",
    "ro": """este sunt și si cum ce unde când cine care cât câte pot poate trebuie nu da la din pe cu pentru
        sau dar în un o al ale mea meu mulțumesc bună""",
    "vi": """là có không ở đâu khi nào thế làm sao tại ai gì của và cho với tôi bạn được những một các này
        bao nhiêu cảm ơn chào để trong""",
    "id": """apa di mana kapan bagaimana mengapa siapa berapa saya anda bisa dapat dan atau tidak yang untuk
        dengan dari ke ini itu adalah ada boleh terima kasih halo""",
}
_SCRIPTS = (
    ("ja", r"[\u3040-\u30ff]"),
    ("ko", r"[\uac00-\ud7af\u1100-\u11ff]"),
    ("zh", r"[\u3400-\u9fff]"),
    ("ru", r"[\u0400-\u04ff]"),
    ("ar", r"[\u0600-\u06ff\u0750-\u077f]"),
    ("he", r"[\u0590-\u05ff]"),
    ("el", r"[\u0370-\u03ff]"),
    ("hi", r"[\u0900-\u097f]"),
    ("th", r"[\u0e00-\u0e7f]"),
)
_KIN = {"ru": ("uk", re.compile(r"[іїєґ]", re.IGNORECASE)), "ar": ("fa", re.compile("[پچژگ]"))}
_SIGNS = {
    "de": r"[äöüß]", "fr": r"[àâçèêëîïôûœ]|\b(?:qu|l|d|j|n|s|c)['’]", "es": r"[¿¡ñ]|ción\b",
    "pt": r"[ãõ]|ção\b|ções\b", "pl": r"[ąęłńśźż]", "tr": r"[ığş]", "sv": r"å",
    "fi": r"ää|öö|yö|äy|äi|(?:pp|kk|ll|ss|tt)[äö]|[äö]n?\b",
    "da": r"[æøå]", "no": r"[æøå]", "cs": r"[ěřů]", "hu": r"[őű]", "ro": r"[ășț]",
    "vi": r"[ơưđạảấầẩậắằẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹ]",
}  # fmt: skip
SPOKEN = ("en", "de", "fr", "es", "pt", "zh")  # what the product itself speaks
LETTERS = re.compile(r"[^\W\d_]")
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_SPOKEN: dict[str, list[str]] = {}  # the languages in which a word is common
for _code, _common in _WORDS.items():
    for _word in dict.fromkeys(_common.split()):
        _SPOKEN.setdefault(_word, []).append(_code)
_SCRIPT_PATTERNS = [(code, re.compile(pattern)) for code, pattern in _SCRIPTS]
_SIGN_PATTERNS = {code: re.compile(pattern) for code, pattern in _SIGNS.items()}
_PLAIN_SIGNS = {"fr": _SIGN_PATTERNS["fr"]}  # those that plain ASCII can have
SHARE = 0.3  # of the letters that another script must have
MOST_SIGNS = 3  # letters peculiar to a language that count beside its common words
LETTERS_OF_A_WORD = 4  # that tell English from other languages
RARE = 0.9  # rarity in English from which a word speaks for another language
LONG = 5  # letters from which on a word of one language alone speaks for it by itself, unless English has it
LEAST = 2  # common words (or signs) that must speak for a language


@lru_cache(maxsize=1024)  # a turn asks it of its question six times
def language(text: str) -> str | None:
    """Return the ISO 639-1 code of a text's language, or None when too little speaks for one.

    Latin script is told by function words and peculiar letters, others by the script.
    """
    if not text.isascii() and (script := _script(text)) is not None:
        return script
    votes = _votes(text)
    if votes["da"] == votes["no"]:  # most short questions are the same in both
        del votes["no"]
    (best, most), (_, next_most) = votes.most_common(2)
    return best if most >= LEAST and most > next_most else None


def leaning(text: str) -> str | None:
    """Return which of our other languages a text leans to where `language` cannot tell; None of English.

    One common word or sign speaks for it, as few or none for English, and most words are not English ones.
    """
    votes = _votes(text)
    code = max((code for code in _WORDS if code in SPOKEN and code != "en"), key=votes.__getitem__)
    if votes[code] == 0 or votes[code] < votes["en"]:
        return None
    long = [word for word in tokens(text) if len(word) >= LETTERS_OF_A_WORD and word.isalpha()]
    return code if sum(rarity(word) >= RARE for word in long) > len(long) / 2 else None


def _script(text: str) -> str | None:
    """Return the language of a script that the text has enough letters of."""
    letters = len(LETTERS.findall(text))
    for code, pattern in _SCRIPT_PATTERNS:
        if letters and len(pattern.findall(text)) >= SHARE * letters:
            kin, peculiar = _KIN.get(code, (code, pattern))
            return kin if peculiar.search(text) else code
    return None


def _votes(text: str) -> Counter[str]:
    text = text.casefold()
    votes: Counter[str] = Counter(dict.fromkeys(_WORDS, 0))
    for word in _WORD.findall(text):
        codes = _SPOKEN.get(word, ())
        telling = len(codes) == 1 and len(word) >= LONG and rarity(word) >= RARE
        for code in codes:
            votes[code] += LEAST if telling else 1
    signs = _PLAIN_SIGNS if text.isascii() else _SIGN_PATTERNS
    for code, pattern in signs.items():
        votes[code] += min(len(pattern.findall(text)), MOST_SIGNS)
    return votes


def accepted(header: str) -> str | None:
    """Return the first of our languages that an Accept-Language header names, by its weights; else None."""
    named: list[tuple[float, str]] = []
    for part in header[:200].split(","):
        tag, _, parameters = part.strip().partition(";")
        weight = re.fullmatch(r"\s*q\s*=\s*([01](?:\.\d{0,3})?)\s*", parameters)
        named.append((float(weight[1]) if weight else 1.0, tag.strip().lower().partition("-")[0]))
    codes = [code for weight, code in sorted(named, key=lambda entry: -entry[0]) if weight > 0]
    return next((code for code in codes if code in SPOKEN), None)
