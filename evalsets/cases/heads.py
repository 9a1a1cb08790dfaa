"""Which column of another tool's table is which field of a case, from the names people give them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from evalsets.cases.evalset import EvalsetError
from evalsets.cases.row import FIELDS

NONE = "none"  # "--map reference=none": no column holds it
WORDS = 3  # texts this long on average may be answers

# The first name of a field that a table has is taken; the more telling names stand first.
_NAMES = {
    "question": "question|user question|user input|query|prompt|input|user message|message|user query"
    "|utterance|ask|asked|questions|instruction|frage|fragen|nutzerfrage|nutzerfragen|kundenfrage|kundenfragen"
    "|fragestellung|question posée|pregunta|preguntas"
    "|domanda|domande|pergunta|perguntas|vraag|vragen|pytanie|pytania|вопрос|вопросы|fråga|spørgsmål"
    "|kysymys|otázka|soru|问题|提问|問題|質問|질문|سؤال|text|q",
    "reference": "reference|reference answer|expected answer|expected output|expected response|expected"
    "|expected result|ground truth|ground truth answer|ground truths|groundtruth|golden answer|gold answer"
    "|golden|gold|correct answer|right answer|ideal answer|ideal response|ideal|best answer|sample answer"
    "|model answer|target|target answer|label answer|erwartete antwort|erwartete antworten|musterantwort"
    "|musterantworten|soll antwort|referenzantwort|referenzantworten|referenz|antwort|antworten"
    "|réponses attendues|réponses|respuestas esperadas|respuestas|risposte attese|risposte"
    "|respostas esperadas|respostas|antwoorden|odpowiedzi|ответы"
    "|réponse attendue|réponse|respuesta esperada|respuesta correcta|respuesta|risposta attesa"
    "|risposta corretta|risposta|resposta esperada|resposta correta|resposta|verwacht antwoord"
    "|verwachte antwoord|antwoord|oczekiwana odpowiedź|odpowiedź|ожидаемый ответ|правильный ответ|ответ"
    "|förväntat svar|forventet svar|svar|vastaus|odpověď|cevap|标准答案|参考答案|期望答案|答案"
    "|回答|期待される回答|正解|期待する回答|정답|답변|예상 답변|إجابة"
    "|answer|answers|completion|output|response|a",
    "relevant_ids": "relevant ids|relevant id|relevant documents|relevant document|relevant docs|relevant"
    "|reference context ids|document ids|document id|documents|document|doc ids|doc id|source id|source ids"
    "|source document|source documents|dokument|dokumente|relevantes dokument|relevante dokumente"
    "|quelldokument|quelldokumente",
    "id": "id|case id|question id|qid|case|no|nr|number|key",
    "tags": "tags|tag|category|categories|topic|topics|kategorie|kategorien|thema|themen",
    "must_contain": "must contain|must include|contains|keywords|required texts",
    "must_refuse": "must refuse|should refuse|refuse",
    "answerability": "answerability",
    "history": "history|chat history|conversation",
}
NAMES = {field: tuple(names.split("|")) for field, names in _NAMES.items()}
_ASIDE = (
    "id|ids|type|kind|count|length|score|scores|rating|date|time|url|link|source|sources|quelle|quellen|document|documents|doc"
    "|docs|page|pages|context|contexts|comment|comments|note|notes|category|topic|status|language"
)
_MADE = "actual|generated|predicted|model|bot|system|llm|current|given"
_EXPECTED = (
    "expected|ideal|reference|gold|golden|correct|right|target|truth|should|desired|approved|erwartet|erwartete"
    "|soll|richtige|muster|attendue|esperada|esperado|attesa|correcta|corretta|verwacht"
)
_ANSWERS = (
    "answer|answers|response|responses|reply|replies|output|outputs|completion|antwort|antworten|réponse"
    "|réponses|respuesta|respuestas|risposta|risposte|resposta|respostas"
)
_NO_QUESTION = f"{_ASIDE}|{_EXPECTED}|{_ANSWERS}"
# (words of which a head has one, words of which it has none), the most telling first
_RULES = {
    "question": (
        (
            "question|questions|frage|fragen|pregunta|preguntas|domanda|domande|pergunta|perguntas|vraag"
            "|vragen|вопрос|вопросы",
            _NO_QUESTION,
        ),
        (
            "query|queries|prompt|prompts|inquiry|utterance|input|inputs|ask|asks|anfrage|anfragen",
            _NO_QUESTION,
        ),
        ("user|customer|visitor|nutzer|kunde", _NO_QUESTION),
    ),
    "reference": ((_EXPECTED, f"{_ASIDE}|question|questions|frage|fragen"), (_ANSWERS, f"{_ASIDE}|{_MADE}")),
}
_BREAK = re.compile(r"(?<=[a-zà-ÿ])(?=[A-Z])|[^\w]+|_+")


def fold(head: str) -> str:
    """Return a head as names are compared: "ExpectedOutput " and "expected_output" are the same."""
    return " ".join(part for part in _BREAK.split(head) if part).casefold()


def asks(heads: Iterable[str]) -> bool:
    """Say whether one of the heads is a name for questions."""
    return bool({fold(head) for head in heads} & set(NAMES["question"]))


def mapping(
    heads: Sequence[str], given: Mapping[str, str] | None = None, *, empty: Collection[str] = ()
) -> dict[str, str]:
    """Return {field: head}: what was given first, the usual names for the rest, `empty` heads aside.

    Raises EvalsetError for a field or head that is not there, and when no head holds questions.
    """
    given = dict(given or {})
    for field, head in given.items():
        if field not in FIELDS:
            raise EvalsetError([f"--map {field}={head}: a case has no field {field!r}; {_fields()}"])
    columns = {field: _head(field, head, heads) for field, head in given.items() if head != NONE}
    by_name = {fold(head): head for head in reversed(heads) if head not in empty}
    for field in NAMES.keys() - given.keys():
        free = (by_name[name] for name in NAMES[field] if name in by_name)
        head = next((head for head in free if head not in columns.values()), None)
        if head is not None:
            columns[field] = head
    left = [head for head in heads if head not in columns.values() and head not in empty]
    for field, head in guess(left).items():
        if field not in columns and field not in given:
            columns[field] = head
    if "question" not in columns:
        shown = ", ".join(repr(head) for head in heads)
        raise EvalsetError([f"no column holds the questions among {shown}; say which: --map question=HEAD"])
    return {field: columns[field] for field in NAMES if field in columns}


def guess(heads: Sequence[str]) -> dict[str, str]:
    """Return {field: head} of questions and expected answers by the words in the heads.

    The first rule that fits exactly one head decides; several that fit are left to the person.
    """
    words = {head: fold(head).split() for head in heads}
    columns: dict[str, str] = {}
    for field, rules in _RULES.items():
        for inside, outside in rules:
            fit = [
                head for head, parts in words.items()
                if head not in columns.values() and _any(parts, inside) and not _any(parts, outside)
            ]  # fmt: skip
            if fit:
                if len(fit) == 1:
                    columns[field] = fit[0]
                break
    return columns


def _any(parts: Sequence[str], words: str) -> bool:
    """Say whether a part is one of the words, or ends in one of those of five letters and more."""
    ends = tuple(word for word in words.split("|") if len(word) > 4)
    return any(part in words.split("|") or part.endswith(ends) for part in parts)


def forgotten(
    heads: Sequence[str], columns: Mapping[str, str], rows: Sequence[Mapping[str, Any]]
) -> list[str]:
    """Return the columns that were not understood and hold texts as long as answers are."""
    left = [head for head in heads if head not in columns.values()]
    return [head for head in left if _wordy([str(row[head]) for row in rows if row.get(head)], len(rows))]


def _wordy(texts: Sequence[str], rows: int) -> bool:
    words = [len(text.split()) for text in texts]
    return bool(words) and len(words) * 2 > rows and sum(words) / len(words) >= WORDS


def _head(field: str, name: str, heads: Sequence[str]) -> str:
    exact = [head for head in heads if head == name] or [h for h in heads if fold(h) == fold(name)]
    if not exact:
        shown = ", ".join(repr(head) for head in heads)
        raise EvalsetError([f"--map {field}={name}: no column is called {name!r}; there are {shown}"])
    return exact[0]


def _fields() -> str:
    return f"there are {', '.join(sorted(FIELDS))}"
