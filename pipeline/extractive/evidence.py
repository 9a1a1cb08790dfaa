"""Weighs sentences as evidence: which of them answer the question, and whether any does."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from operator import or_
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.context.condenser import split
from pipeline.extractive import home
from pipeline.extractive.exact import about_another, comparable, lacking, misnamed, numbered
from pipeline.extractive.forms import unmet
from pipeline.extractive.headings import inherited, introduced
from pipeline.extractive.home import share
from pipeline.extractive.kinds import CUES, NARROW, does, kind, names
from pipeline.extractive.reading import Reading, Sentence
from pipeline.extractive.rows import ROW, narrowed, statements
from pipeline.knowledge.found import Retrieved, RetrievedChunk
from pipeline.text.codes import codes, forms, written
from pipeline.text.definitions import defining
from pipeline.text.polarity import affirms, alike, avoids, negates, opposites, turns_away
from pipeline.text.sentences import STOP_WORDS, rarity, sentences, stem, tokens, words
from pipeline.text.spelling import doubtful, joinable, joined, little, mended, put, vocabulary

Numbers = NDArray[np.float64]
WEIGHTS = Path(__file__).parent / "evidence.json"  # fitted by evalsets/fit_evidence.py
READ = 5  # passages read when none is numbered yet
ABSTAIN_BELOW = 0.5  # strength under which the documents are said not to answer
TOPIC_SHARE = 0.5  # weight of a word that a follow-up got from the turn before
CONTRARY = 0.2  # what is left of a sentence that says the contrary, and of the strength without others
LEFT = 0.6  # share of the best probability from which on a contrary sentence speaks for the page
ANOTHER = 0.05  # what is left of a sentence about another code or number
NAMED = 1.5  # how much likelier a sentence with the code asked for is
EXACT = 0.6  # the least probability and strength of an exact code
ALIKEROWS = 3  # rows with every word of the question from which on the words tell them not apart
ALONE = 2.0  # how far a passage without others is ahead of the next
DEFINES = 3.0  # factor on the odds of a sentence that says what the thing asked for is or does
DEFINED = 1.0  # odds that a passage with such a sentence gains
TELLS_NOT = 0.6  # factor on the odds of a sentence that says nothing to do, for "how do I"
UNMET = 0.4  # what is left of the strength when a phone number is asked for and none is there


_ACT = re.compile(
    r"\W*(?:(?:and|but|so|then|or|now|also|please)\W+)*(?:how (?:do|can|to|should|would|could)"
    r"|(?:can|could|may) (?:i|we|you)|where (?:do|can) i|i (?:want|need)"
    r"|(?:turn|switch) (?:\w+ ){0,4}(?:on|off)\b|\w+able\b|(?:de)?activate\b|(?:un)?(?:lock|mute|mount"
    r"|install|pair)\b"
    r"|(?:dis)?connect\b|hide\b|show\b|add\b|remove\b|delete\b)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class _Logistic:
    names: tuple[str, ...]
    bias: float
    weights: Numbers

    def odds(self, features: dict[str, Numbers]) -> Numbers:
        """Return the logarithm of the odds."""
        return self.bias + np.stack([features[name] for name in self.names], axis=1) @ self.weights

    def __call__(self, features: dict[str, Numbers]) -> Numbers:
        return 1 / (1 + np.exp(-np.clip(self.odds(features), -30, 30)))


def strength(question: str, retrieved: Retrieved) -> float:
    """Return how likely the retrieved passages answer the question, 0..1.

    Compare it with ABSTAIN_BELOW. Reads the numbered passages, or the first READ of them when
    none is numbered yet; without sentence vectors it reads the words alone.
    """
    return read(question, retrieved).strength


def texts_read(retrieved: Retrieved) -> list[str]:
    """Return the texts of the passages that reached the prompt, or of the first READ."""
    return [candidate.passage.text or "" for candidate in _passages(retrieved)]


def _passages(retrieved: Retrieved) -> tuple[RetrievedChunk, ...]:
    numbered = tuple(f for f in retrieved.candidates if f.passage.n is not None)
    return tuple(f for f in numbered or retrieved.candidates[:READ] if f.passage.text)


def read(question: str, retrieved: Retrieved) -> Reading:
    """Weigh every sentence of the passages that reached the prompt."""
    page = Page(question, retrieved)
    if not page.texts:
        return Reading(page.passages, (), 0.0)
    suffix = "" if page.vectors else "_lexical"
    sentence, features = _model("sentence" + suffix), page.sentence_features()
    first = probabilities = sentence(features)
    strength_ = float(_model("strength" + suffix)(page.strength_features())[0])
    titles = [candidate.passage.title for candidate in page.passages]
    if unmet(question, [f"{titles[n]}: {text}" for n, text in zip(page.owner, page.texts, strict=True)]):
        strength_ *= UNMET
    if page.kind == "how":
        odds = probabilities / (1 - probabilities) * np.where(page.doing > 0, 1.0, TELLS_NOT)
        probabilities = odds / (1 + odds)
    if page.defining.any():
        odds = probabilities / (1 - probabilities) * np.where(page.defining > 0, DEFINES, 1.0)
        probabilities = odds / (1 + odds)
    probabilities, strength_ = _exactly(page, probabilities, strength_)
    probabilities = introduced(page, split(question)[0], inherited(page, probabilities))
    alone = features | {"gap": np.zeros(len(first)), "same": np.ones(len(first))}
    within = np.minimum(sentence(alone) * probabilities / np.maximum(first, 1e-12), 1.0)
    weighed = _weighed(page, probabilities, within)
    least = min(page.least, strength_)
    return Reading(page.passages, weighed, strength_, page.chances(), least, page.spelt)


def _weighed(page: Page, chances: Numbers, within: Numbers) -> tuple[Sentence, ...]:
    own = split(page.question)[0]
    texts = [narrowed(own, text) if ROW.match(text) else text for text in page.texts]
    places = zip(page.owner, page.position, page.starts, strict=True)
    shapes = zip(page.stems, page.joined, page.contrary, strict=True)
    rows = zip(texts, places, shapes, chances.tolist(), within.tolist(), strict=True)
    return tuple(Sentence(text, *place, chance, *shape, alone) for text, place, shape, chance, alone in rows)


def _exactly(page: Page, probabilities: Numbers, strength_: float) -> tuple[Numbers, float]:
    """Take away what speaks of another code, number or name than the one asked for, or of the contrary."""
    stated = [*page.texts, *(candidate.passage.title for candidate in page.passages)]
    own = written(split(page.question)[0], forms(stated))
    if lacking(own, stated) or misnamed(put(own, page.fixes), stated):
        return probabilities, 0.0
    if codes(own) or numbered(own):
        probabilities, strength_ = _named(page, own, probabilities, strength_)
    probabilities, strength_ = _rowed(page, probabilities, strength_)
    page.contrary = [_against(own, text) for text in page.texts]
    against = np.array(page.contrary, bool)
    if against.any():
        weaker = np.where(against, probabilities * CONTRARY, probabilities)
        if not _affirmed(page, own) and (probabilities * against).max() >= LEFT * probabilities.max():
            strength_ *= CONTRARY
        probabilities = weaker
    page.contrary = [*map(or_, page.contrary, page.another)]
    return probabilities, strength_


def _named(page: Page, own: str, probabilities: Numbers, strength_: float) -> tuple[Numbers, float]:
    """Keep to the sentences about the code or numbered name that is asked for."""
    weights = np.ones(len(page.texts))
    there = False
    owner = ""
    for place, text in enumerate(page.texts):
        owner = text if codes(text) or numbered(text) or not page.joined[place] else owner
        if about_another(own, owner):
            weights[place], page.another[place] = ANOTHER, comparable(own, owner)
        elif codes(own) & codes(owner):
            weights[place], there = NAMED, True
    chances = np.minimum(probabilities * weights, 0.99)
    if there:
        page.least = EXACT
        exact = weights == NAMED
        chances = np.where(exact, np.maximum(chances, EXACT), chances * ANOTHER)
        strength_ = max(strength_, EXACT)
    return chances, strength_


def _rowed(page: Page, probabilities: Numbers, strength_: float) -> tuple[Numbers, float]:
    """Keep to the rows that have a word of the question which other rows of their passage lack.

    A row that has every word of the question, its heads included, answers it.
    """
    rows = np.array([row is not None for row in map(ROW.match, page.texts)])
    if rows.sum() < 1 or not page.words:
        return probabilities, strength_
    counts = page.matches.sum(axis=1) * rows
    for number in range(len(page.passages)):
        mine = rows & (page.rows == number)
        if mine.sum() > 1 and counts[mine].max() > counts[mine].min():
            probabilities = np.where(
                mine & (counts < counts[mine].max()), probabilities * ANOTHER, probabilities
            )
    whole = rows & (counts == len(page.words))
    if whole.sum() > ALIKEROWS:  # its heads alone have the words: the likeliest row is meant
        whole &= probabilities == (probabilities * whole).max()
    if whole.any() and len(page.words) > 1:
        page.least = EXACT
        return np.where(whole, np.maximum(probabilities, EXACT), probabilities), max(strength_, EXACT)
    return probabilities, strength_


def _affirmed(page: Page, own: str) -> bool:
    """Tell whether a sentence names what is asked to be done, with another word of the question."""
    return any(
        affirms(own, text) and page.matches[place].sum() + page.titled[page.rows[place]].sum() > 1
        for place, text in enumerate(page.texts)
        if not page.contrary[place]
    )


def _against(question: str, text: str) -> bool:
    """Tell whether a sentence says the contrary of the act asked for, and does not name or deny both."""
    if avoids(question):
        return not turns_away(text) or set(words(question)).isdisjoint(words(text))
    return bool(_ACT.match(question)) and not negates(text) and bool(opposites(question, text, acts=True))


class Page:
    """Question and passages side by side: what the features are computed from."""

    def __init__(self, question: str, retrieved: Retrieved) -> None:
        self.passages = _passages(retrieved)
        texts = [f"{candidate.passage.title} {candidate.passage.text}" for candidate in self.passages]
        unjoined = question
        if joinable(question, texts):
            question = joined(question, vocabulary(texts))
        self.question = question
        self.kind = kind(question)
        own, _ = split(question)
        self.own = {stem(token) for token in tokens(own)}  # not taken over from the turn before
        typed = list(dict.fromkeys(tokens(question)))
        slips = {token: word for token in typed if (word := little(token))}
        terms = [token for token in typed if token not in STOP_WORDS and token not in slips]
        odd = [token for token in terms if doubtful(token)]
        self.fixes = mended(odd, vocabulary(texts)) if odd else {}
        terms = [self.fixes.get(token, token) for token in terms]
        self.spelt = put(unjoined, self.fixes | slips)
        self.own |= {stem(token) for token in self.fixes.values()}
        self.words = list(dict.fromkeys(stem(token) for token in terms))
        rarities = {stem(token): rarity(token) for token in reversed(terms)}
        shares = [1.0 if word in self.own else TOPIC_SHARE for word in self.words]
        self.rarity = np.array([rarities[word] for word in self.words]) * shares
        named = names(question)
        self.named = np.array([word in named for word in self.words], float)
        self.vector = retrieved.query_vector
        self._open()

    def _open(self) -> None:
        self.texts: list[str] = []
        self.owner: list[int] = []
        self.position: list[int] = []
        self.starts: list[int] = []
        self.joined: list[bool] = []
        self.contrary: list[bool] = []
        self.another: list[bool] = []
        vectors: list[NDArray[np.float32]] = []
        for number, passage in enumerate(self.passages):
            text = passage.passage.text or ""
            spans = passage.spans or tuple(sentences(text))
            parts = statements(text, spans)
            self.texts += [part for part, _, _ in parts]
            self.owner += [number] * len(parts)
            self.position += range(len(parts))
            self.starts += [spans[first][0] for _, first, _ in parts]
            ends = [0, *(spans[last][1] for _, _, last in parts)]
            self.joined += [
                i > 0 and "\n" not in text[ends[i] : spans[first][0]] for i, (_, first, _) in enumerate(parts)
            ]
            if passage.vectors is not None and len(passage.vectors) == len(spans):
                vectors.append(_gathered(passage.vectors, parts))
        self.contrary = [False] * len(self.texts)
        self.another = [False] * len(self.texts)
        self.least = 0.0
        counted = [tokens(text) for text in self.texts]
        self.doing = np.array([does(text) for text in self.texts], float)
        self.defining = np.array(defining(split(self.question)[0], self.texts), float)
        self.lengths = np.array([len(words) for words in counted], float)
        self.stems = [frozenset(stem(word) for word in words if word not in STOP_WORDS) for words in counted]
        self.titles = [
            {stem(word) for word in tokens(candidate.passage.title)} for candidate in self.passages
        ]
        self.rows = np.array(self.owner, int)
        self.cosines = np.zeros(len(self.texts))
        self.vectors = False
        if vectors and self.vector is not None and len(vectors) == len(self.passages) and self.texts:
            self.vectors = True
            self.cosines = (np.concatenate(vectors) @ self.vector).astype(float)
        like = [alike(word) | {word} for word in self.words]
        stated = [
            stems | {"off"} if "off" in words else stems
            for stems, words in zip(self.stems, counted, strict=True)
        ]
        self.matches = np.array([[not words.isdisjoint(stems) for words in like] for stems in stated], float)
        self.matches = self.matches.reshape(len(self.texts), len(self.words))
        self.titled = np.array(
            [[not words.isdisjoint(title) for words in like] for title in self.titles], float
        )
        self.titled = self.titled.reshape(len(self.passages), len(self.words))

    def sentence_features(self) -> dict[str, Numbers]:
        """Return one value per sentence under each name."""
        cues = CUES.get(self.kind)
        support = self._support()
        best = np.zeros(len(self.passages))
        np.maximum.at(best, self.rows, support)
        tells = self.tells()
        documents = [candidate.passage.document_id for candidate in self.passages]
        best_page = documents[self.home()]
        return {
            "cosine": self.cosines,
            "cosine_z": self._standard(self.cosines),
            "coverage": share(self.matches, self.rarity),
            "cue": np.array([bool(cues and cues.search(text)) for text in self.texts], float),
            "length": np.log1p(self.lengths),
            "first": (np.array(self.position) == 0).astype(float),
            "gap": best.max() - best[self.rows],
            "same": np.array([documents[number] == best_page for number in self.owner], float),
            "telling": tells - tells.max(),
        }

    def strength_features(self) -> dict[str, Numbers]:
        """Return one value for the whole page under each name."""
        support = self._support()
        best = int(support.argmax())
        home = self.rows == self.rows[best]
        present = np.maximum(self.matches[home].max(axis=0), self.titled[self.rows[best]])
        anywhere = np.maximum(self.matches.max(axis=0), self.titled.max(axis=0))
        pairs = np.maximum(self.matches[:-1], self.matches[1:])[home[:-1] & home[1:]]
        stems = frozenset[str]().union(*(self.stems[i] for i in np.flatnonzero(home)))
        values = {
            "cosine_max": self.cosines.max(),
            "cosine_mean": self.cosines[home].mean(),
            "coverage": share(present[None], self.rarity)[0],
            "window": max(share(rows, self.rarity).max(initial=0) for rows in (self.matches, pairs)),
            "anywhere": share(anywhere[None], self.rarity)[0],
            "missing": ((1 - present) * self.rarity).max(initial=0),
            "names": ((1 - anywhere) * self.rarity * self.named).max(initial=0),
            "title": _overlap(self.titles[self.owner[best]], stems),
            "narrow": float(self.kind in NARROW),
            "ahead": self.ahead(),
            "rarest": self.rarity.max(initial=0),
        }
        return {name: np.array([float(value)]) for name, value in values.items()}

    @cached_property
    def homes(self) -> Numbers:
        """Return the odds that each passage is the one that answers."""
        odds = _model("home" if self.vectors else "home_lexical").odds(home.features(self))
        if self.defining.any():
            there = np.zeros(len(self.passages))
            np.maximum.at(there, self.rows, self.defining)
            odds = odds + DEFINED * there
        return odds - home.OTHER * home.others(self.question, [f.passage.title for f in self.passages])

    def home(self) -> int:
        """Return the number of the passage that most likely answers."""
        return int(self.homes.argmax())

    def chances(self) -> tuple[float, ...]:
        """Return how likely each passage is the one that answers, as the conditional logit has it."""
        chances = np.exp(self.homes - self.homes.max())
        return tuple((chances / chances.sum()).tolist())

    def ahead(self) -> float:
        """Return how far the passage that answers is ahead of the next one."""
        scores = np.sort(self.homes)
        return float(scores[-1] - scores[-2]) if len(scores) > 1 else ALONE

    def tells(self) -> Numbers:
        """Return how much of the question each sentence has, a word that many have telling little."""
        shared = np.maximum(self.matches.sum(axis=0), 1.0)
        return share(self.matches / shared, self.rarity)

    def _support(self) -> Numbers:
        """Return what ranks passages among themselves: cosines, or shared words without vectors."""
        return self.cosines if self.vectors else share(self.matches, self.rarity)

    def _standard(self, values: Numbers) -> Numbers:
        """Return z-scores within each passage."""
        scores = np.zeros(len(values))
        for number in range(len(self.passages)):
            own = self.rows == number
            scores[own] = (values[own] - values[own].mean()) / (values[own].std() + 0.02) if own.any() else 0
        return scores


def _gathered(vectors: NDArray[np.float32], parts: Sequence[tuple[str, int, int]]) -> NDArray[np.float32]:
    """Return a unit vector per statement; one of several sentences lies between theirs."""
    if all(first == last for _, first, last in parts) and len(parts) == len(vectors):
        return vectors
    means = np.array([vectors[first : last + 1].mean(axis=0) for _, first, last in parts], np.float32)
    means = means.reshape(len(parts), vectors.shape[1])
    return means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-9)


def _overlap(title: set[str], stems: frozenset[str]) -> float:
    title = title - STOP_WORDS
    return len(title & stems) / len(title) if title else 0.0


@cache
def _model(name: str) -> _Logistic:
    fitted = json.loads(WEIGHTS.read_text(encoding="utf-8"))[name]
    return _Logistic(tuple(fitted["weights"]), fitted["bias"], np.array(list(fitted["weights"].values())))
