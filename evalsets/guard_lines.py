"""The lines that the guard's classifier is fitted on: the shared sets, read where they lie, and our own."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.guardrails.planted import LONGEST, contexts
from pipeline.knowledge.chunking import chunk
from pipeline.knowledge.ingest import sample
from pipeline.text.sentences import sentences

OWN = Path(__file__).parent / "training"
HAZARDS = frozenset({"cse", "hte", "iwp", "ncr", "vcr", "src", "ssh", "prv", "dfm"})
UNSEEN = frozenset(
    {"mtrag_cloud", "clapnq_dev", "demo_gnome_help"}
)  # in no fit: their figures are the file's
PRODUCT = 3_500  # questions about products, made of our own wordings
WEIGHT = {"ailuminate": 0.5, "clinc150": 0.5, "xstest": 2.0, "own": 2.0, "messages": 0.5, "bipia": 2.0}
PASSAGES = 800  # clean ones of each corpus
PREAMBLES = 250  # long prompts composed of our sentences
MESSAGES = 400  # of several sentences, hostile and harmless each
PASTES = 120  # logs, settings, code and mails composed of our lines
FAQS = 400  # passages of questions and answers
FORMS = (
    "{ask}\n{answer}",
    "Q: {ask}\nA: {answer}",
    "id: q{n}\nquestion: {ask}\nanswer: {answer}",
    "{ask} {answer}",
    "Question: {ask}\nAnswer: {answer}",
    "{n}. {ask}\n{answer}",
    "Title: {ask}\nText: {answer}",
)
BODY = (("freedom", 3), ("duty", 4), ("format", 2), ("threat", 1))  # the most of each in one


@dataclass(frozen=True, slots=True)
class LabelledText:
    """A text of one set. `kind` is harm, injection, distress, planted, benign (a lookalike) or clean."""

    text: str
    kind: str
    source: str
    group: int = -1  # its passage, for sentences
    attack: str = ""  # its kind
    context: tuple[str, ...] = ()
    vector: NDArray[np.float32] | None = None

    @property
    def unseen(self) -> bool:
        """Whether no fit may read it."""
        return self.group < 0 and self.source in UNSEEN

    @property
    def weight(self) -> float:
        return WEIGHT.get(self.source.split(":")[0], 1.0)


def questions(folder: Path) -> Iterator[LabelledText]:
    """Yield every line that is a question, with its set."""
    for row in read(folder / "ailuminate" / "prompts.jsonl"):
        if row["hazard"] in HAZARDS:
            yield LabelledText(row["text"], "harm", f"ailuminate:{row['locale'][:2]}")
    for row in read(folder / "advbench" / "prompts.jsonl"):
        yield LabelledText(row["text"].split("[/INST]")[0].strip(), "harm", "advbench")
    for row in read(folder / "xstest" / "prompts.jsonl"):
        yield LabelledText(row["text"], "harm" if row["label"] == "unsafe" else "benign", "xstest")
    for row in read(folder / "jailbreak_inthewild" / "prompts.jsonl"):
        yield LabelledText(row["text"], "injection", "jailbreak_inthewild")
    yield from plain(folder)
    yield from pairs()
    yield from preambles()
    yield from messages(folder)
    yield from pastes()
    for name in ("harm", "injection"):
        for kind, language, text in own(name):
            yield LabelledText(text, kind, f"own:{language}")


def pairs(name: str = "pairs") -> Iterator[LabelledText]:
    """Yield hostile requests of ours, each with a harmless one of the same words, in one fold."""
    with (OWN / f"{name}.tsv").open(encoding="utf-8", newline="") as file:
        for number, row in enumerate(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)):
            source = f"own:{row.get('language', 'en')}"
            yield LabelledText(row["hostile"], row["kind"], source, attack=f"{name} {number}")
            yield LabelledText(row["harmless"], "benign", source, attack=f"{name} {number}")


def preambles() -> Iterator[LabelledText]:
    """Yield long hostile prompts composed of our sentences, each with a harmless one, by how they open."""
    parts = _composed()
    asks = [line.text for line in pairs() if line.kind == "harm"]
    rng = random.Random(3)
    for _ in range(PREAMBLES):
        opening = rng.choice(parts["opening"])
        body = [text for kind, most in BODY for text in rng.sample(parts[kind], rng.randint(0, most))]
        rng.shuffle(body)
        text = " ".join([opening, rng.choice(parts["freedom"]), *body, rng.choice(parts["closing"])])
        text = text.format(name=rng.choice(parts["name"]), ask=rng.choice(asks))
        yield LabelledText(text, "injection", "own:en", attack=opening)
        opening = rng.choice(parts["mild_opening"])
        body = rng.sample(parts["mild_body"], rng.randint(1, 6))
        thing, other = rng.sample(parts["thing"], 2)
        text = " ".join([opening, *body, rng.choice(parts["mild_closing"])])
        text = text.format(act=rng.choice(parts["act"]), thing=thing, other=other)
        yield LabelledText(text, "benign", "own:en", attack=opening)


def messages(folder: Path) -> Iterator[LabelledText]:
    """Yield messages of several sentences: harmless questions in a row, and with a hostile one among them."""
    asks = [line for line in pairs() if line.kind == "harm"]
    harmless = [line.text for line in pairs() if line.kind == "benign"]
    harmless += [line.text for line in products()] + [row["text"] for row in _benign(folder)]
    rng = random.Random(13)
    for number in range(MESSAGES):
        parts = [_sentence(text) for text in rng.sample(harmless, rng.randint(2, 6))]
        yield LabelledText(" ".join(parts), "benign", "messages:en", attack=f"message {number}")
        ask = rng.choice(asks)
        beside = [_sentence(text) for text in rng.sample(harmless, rng.randint(1, 4))]
        beside.insert(rng.randint(0, len(beside)), _sentence(ask.text))
        yield LabelledText(" ".join(beside), "harm", "messages:en", attack=ask.attack)


def _sentence(text: str) -> str:
    """Return a line as it stands among others: with a capital and an end."""
    return text[:1].upper() + text[1:] + ("" if text[-1:] in ".?!" else ".")


def _benign(folder: Path) -> list[dict[str, Any]]:
    """Return the questions of clinc150 that are in the fit."""
    rows = read(folder / "clinc150" / "train.jsonl")
    random.Random(5).shuffle(rows)
    return rows[:2500]


def pastes() -> Iterator[LabelledText]:
    """Yield what people paste, logs, settings, code and mails: kinds of line repeated with other numbers."""
    parts = _composed()
    rng = random.Random(4)
    for number in range(PASTES):
        kinds = rng.sample(parts["paste"], rng.randint(1, 6))
        thing, other = rng.sample(parts["thing"], 2)
        lines = [kinds[at % len(kinds)] for at in range(rng.randint(2, 30))]
        texts = [line.format(n=rng.randint(1, 9), thing=thing, other=other) for line in lines]
        yield LabelledText("\n".join(texts), "benign", "own:en", attack=f"paste {number}")


def _composed() -> dict[str, list[str]]:
    parts: dict[str, list[str]] = {}
    for name in ("preambles", "product"):
        for kind, _, text in own(name):
            parts.setdefault(kind, []).append(text)
    return parts


def plain(folder: Path) -> Iterator[LabelledText]:
    """Yield questions that nobody would refuse."""
    yield from products()
    for row in _benign(folder) + read(folder / "clinc150" / "val.jsonl"):
        yield LabelledText(row["text"], "plain", "clinc150")
    turns = {turn for row in read(folder / "mtrag_cloud" / "queries.jsonl") for turn in row["user_turns"]}
    for text in sorted(turns):
        yield LabelledText(text, "plain", "mtrag_cloud")
    for row in read(folder / "clapnq_dev" / "questions.jsonl"):
        yield LabelledText(row["question"], "plain", "clapnq_dev")
    for row in read(folder / "demo_gnome_help" / "queries.jsonl"):
        yield LabelledText(row["text"], "plain", "demo_gnome_help")


def products() -> Iterator[LabelledText]:
    """Yield questions as people ask them about any product, a wording's questions in one group."""
    parts: dict[str, list[str]] = {}
    for kind, _, text in own("product"):
        parts.setdefault(kind, []).append(text)
    rng = random.Random(11)
    for text in parts["line"]:
        yield LabelledText(text, "plain", "product")
    for number in range(PRODUCT):
        wording = parts["wording"][number % len(parts["wording"])]
        thing, other = rng.sample(parts["thing"], 2)
        text = wording.format(act=rng.choice(parts["act"]), thing=thing, other=other)
        yield LabelledText(text, "plain", "product", attack=wording)


def passages(folder: Path) -> Iterator[tuple[str, str, str, str]]:
    """Yield (source, text, planted instruction or "", its kind or the page)."""
    for row in read(folder / "bipia" / "passages_train.jsonl"):
        yield "bipia", row["passage"], row["attack"] or "", row["category"] or ""
    rng = random.Random(7)
    hosts: list[str] = []
    for name in ("demo_gnome_help", "mtrag_cloud", "clapnq_dev"):
        texts = [row["text"] for row in read(folder / name / "corpus.jsonl") if row["text"]]
        rng.shuffle(texts)
        hosts += texts[:150]
        for text in texts[:PASSAGES]:
            yield name, text, "", ""
            ends = sentences(text)
            first = rng.randrange(len(ends)) if ends else 0
            yield name, " ".join(text[a:b] for a, b in ends[first : first + rng.randint(1, 3)]), "", ""
    for number, (kind, language, text) in enumerate([*own("planted"), *own("injection")] * 3):
        if kind == "benign":
            continue
        host = rng.choice(hosts)[:700]
        at = rng.choice([0, *(end for _, end in sentences(host))])
        mark = rng.choice(["\n", "\n", " "])
        whole = host[:at] + (mark if at else "") + text + mark + host[at:].lstrip()
        if kind == "clean" and number % 2:
            whole = text
        yield "own", whole, "" if kind == "clean" else text, f"{language}{number % 5}"
    yield from faqs(rng)
    for page in sample():
        for part in chunk(page):
            yield "handbook", part.text, "", page.document_id


def faqs(rng: random.Random) -> Iterator[tuple[str, str, str, str]]:
    """Yield lists of questions and answers as passages: what readers ask instructs nobody."""
    asks = [line.text for line in products()]
    answers = [text for kind, _, text in own("planted") if kind == "clean" and text.endswith(".")]
    for number in range(FAQS):
        form = FORMS[number % len(FORMS)]
        texts = [
            form.format(n=at, ask=_sentence(rng.choice(asks)), answer=rng.choice(answers))
            for at in range(1, rng.randint(2, 4))
        ]
        yield "faq", "\n".join(texts), "", f"faq {number}"


def sentence_lines(folder: Path) -> list[LabelledText]:
    """Return the sentences of all passages."""
    lines: list[LabelledText] = []
    for group, (source, text, attack, kind) in enumerate(passages(folder)):
        spans = sentences(text)
        begin = text.find(attack) if attack else -1
        for (start, end), place in zip(spans, contexts(text, spans), strict=True):
            label = _kind(start, end, begin, begin + len(attack)) if attack else "clean"
            if label != "unclear":
                sentence = text[start : min(end, start + LONGEST)]
                lines.append(LabelledText(sentence, label, source, group, kind, place))
    return lines


def _kind(start: int, end: int, begin: int, stop: int) -> str:
    """Return whether a sentence is the planted one, clean, or partly both."""
    shared = max(0, min(end, stop) - max(start, begin))
    if shared >= 0.5 * (end - start) or shared >= 0.8 * (stop - begin):
        return "planted"
    return "unclear" if shared else "clean"


def own(name: str) -> Iterator[tuple[str, str, str]]:
    """Yield (kind, language, text) of our own lines; a heading `## kind language` begins a group."""
    kind = language = ""
    for line in (OWN / f"{name}.txt").read_text("utf-8").splitlines():
        if line.startswith("## "):
            _, kind, language = line.split()
        elif line:
            yield kind, language, line


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").split("\n") if line]
