"""What people ask about, and what had no answer: what the drainer sorted, and the turns it has not yet."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from evalsets.fitted import TopicFit, fit, labels, restored, stems
from traces.queries import asked, sortings
from traces.queries.asked import AskedQuestion
from traces.queries.sortings import TopicSums, UnansweredQuestion, Wording
from traces.queries.window import Rows, Window
from traces.records import NO_ANSWER

NO_TOPIC = "other questions"
MOST_UNSORTED = 5_000  # turns without a topic that a page sorts itself
MOST_GAPS = 100
NAMED = timedelta(days=31)  # in which a workspace's topics are named by its questions


@dataclass(frozen=True, slots=True)
class Topic:
    """Questions that share their words; shares are of `turns`, `down` of `rated`, None without any."""

    name: str
    turns: int
    down: float | None
    rated: int
    refused: float
    unanswered: float
    cost_usd: float | None  # of the turns with a known price
    change: float | None  # second half of the window against the first, None when that had no turn
    left: float | None  # share of its turns, those of the last hour aside, after which the conversation ended
    ended: int  # how many that were
    example: str


@dataclass(frozen=True, slots=True)
class Gap:
    """A question that had no answer, in all its wordings with the same words; the newest turn decides."""

    key: str
    question: str
    times: int
    people: int  # conversations
    first_id: str
    first_at: datetime
    newest_id: str
    newest_at: datetime
    answered: bool  # asked again since, and answered


@dataclass(slots=True)
class Sorted:
    """The topics of a window, the largest first, what fits none last; and how many turns they are of."""

    turns: int
    topics: list[Topic]


@dataclass(slots=True)
class _Place:
    """The fit in force with its labels, and the turns that it is yet to place."""

    fit: TopicFit
    labels: dict[int, tuple[str, str]]
    waiting: list[AskedQuestion] = field(default_factory=list[AskedQuestion])
    _placed: dict[str, int | None] = field(default_factory=dict[str, int | None])

    def of(self, turn: AskedQuestion) -> int | None:
        """Return a turn's topic; people repeat themselves, so each wording is placed once."""
        if turn.question not in self._placed:
            self._placed[turn.question] = self.fit.place(turn.question)[0]
        return self._placed[turn.question]


def topics(ledger: Rows, window: Window) -> Sorted:
    """Return what people asked about in a window."""
    place = _place(ledger, window)
    merged: dict[int | None, list[TopicSums]] = defaultdict(list)
    for row in sortings.sums(ledger, window) if window.long else ():
        merged[row.topic if row.topic in place.labels else None].append(row)
    groups: dict[int | None, list[AskedQuestion]] = defaultdict(list)
    for turn in place.waiting:
        groups[place.of(turn)].append(turn)
    middle, quiet = window.since + window.length / 2, window.until - asked.QUIET
    for topic, turns in groups.items():
        merged[topic].append(_sums(topic, turns, middle, quiet))
    shown = [_topic(topic, rows, place.labels) for topic, rows in merged.items()]
    shown.sort(key=lambda row: (row.name == NO_TOPIC, -row.turns, row.name))
    return Sorted(sum(row.turns for row in shown), shown)


def questions(ledger: Rows, window: Window, name: str, most: int) -> list[AskedQuestion]:
    """Return the newest questions of a topic of this name."""
    place = _place(ledger, window)
    numbers = {label: topic for topic, (label, _) in place.labels.items()}
    topic = numbers.get(name)
    if topic is None and name != NO_TOPIC:
        return []
    ids = sortings.of_topic(ledger, window, topic, most) if window.long else []
    there = asked.questions(ledger, window, most, ids=ids) if ids else []
    fresh = [turn for turn in place.waiting if place.of(turn) == topic]
    return sorted([*fresh, *there], key=lambda turn: turn.started_at, reverse=True)[:most]


def gaps(ledger: Rows, window: Window) -> list[Gap]:
    """Return the questions that got no answer, those asked most often first, answered ones last."""
    groups = _by_words(_waiting(ledger, window))
    result = {gap.key: gap for gap in unanswered(groups)}
    for row in sortings.missing(ledger, window, MOST_GAPS) if window.long else ():
        gap = _gap(row)
        result[gap.key] = _joined(gap, groups.get(gap.key, []), result.get(gap.key))
    return sorted(result.values(), key=lambda gap: (gap.answered, -gap.times, gap.key))


def _by_words(turns: Iterable[AskedQuestion]) -> dict[str, list[AskedQuestion]]:
    """Group turns by the content words of their questions, the oldest first; those without are left out."""
    groups: dict[str, list[AskedQuestion]] = defaultdict(list)
    by_wording: dict[str, list[AskedQuestion]] = defaultdict(list)
    for turn in turns:
        by_wording[turn.question].append(turn)
    for question, repeated in by_wording.items():
        if words := key(question):
            groups[words] += repeated
    for group in groups.values():
        group.sort(key=lambda turn: (turn.started_at, turn.turn_id))
    return groups


def unanswered(groups: Mapping[str, list[AskedQuestion]]) -> list[Gap]:
    """Return which groups of turns hold one without an answer."""
    result: list[Gap] = []
    for words, group in groups.items():
        missing = [turn for turn in group if turn.outcome == "no_context"]
        if missing:
            first, last, newest = missing[0], missing[-1], group[-1]
            answered = newest.outcome == "answered" and newest.started_at > last.started_at
            people = len({turn.conversation_id for turn in missing})
            result.append(
                Gap(
                    words, last.question, len(missing), people, first.turn_id, first.started_at,
                    newest.turn_id, newest.started_at, answered,
                )
            )  # fmt: skip
    return result


def key(question: str) -> str:
    """Return the content words of a question, so that other wordings with the same words are the same."""
    return " ".join(stems(question))


def _place(ledger: Rows, window: Window) -> _Place:
    """Return the fit in force, or one of the window's own questions before there is any."""
    waiting = _waiting(ledger, window)
    if not waiting:
        return _Place(TopicFit({}, 0.0, ()), _labels(ledger, window))
    stored = sortings.sorting(ledger)
    if stored is not None:
        return _Place(restored(stored, sortings.topics(ledger)), _labels(ledger, window), waiting)
    volume = Counter(turn.question for turn in waiting)
    fitted = fit([Wording(question, times) for question, times in volume.most_common()])
    return _Place(fitted, {row.topic: (row.name, row.example) for row in fitted.topics}, waiting)


def _labels(ledger: Rows, window: Window) -> dict[int, tuple[str, str]]:
    """Return the name and the example of each topic; of a workspace alone, by its own people's words."""
    common = sortings.labels(ledger)
    stored = sortings.sorting(ledger)
    if stored is None or all(example for _, example in common.values()):
        return common
    questions = asked.sorted_ones(ledger, window.until - NAMED, window.until, MOST_UNSORTED)
    own = labels(questions, stored.words["weights"], stored.words["unknown"])
    return {**common, **own}


def _waiting(ledger: Rows, window: Window) -> list[AskedQuestion]:
    """Return the turns of a window that are not sorted: in short ones all, which count to the minute."""
    if not window.long:
        return asked.questions(ledger, window, MOST_UNSORTED)
    if not sortings.unsorted(ledger):
        return []
    stored = sortings.sorting(ledger)
    hours = sortings.lacking(ledger, stored.fit if stored else 0, window.since)
    inside = [row.hour for row in hours if window.hours.since <= row.hour < window.hours.until]
    if not inside:
        return []
    since = max(min(inside), window.since)
    return asked.questions(ledger, replace(window, since=since), MOST_UNSORTED, unsorted=True)


def _sums(topic: int | None, turns: Sequence[AskedQuestion], middle: datetime, quiet: datetime) -> TopicSums:
    ratings = [turn.rating for turn in turns if turn.rating is not None]
    prices = [turn.cost_usd for turn in turns if turn.cost_usd is not None]
    return TopicSums(
        topic=topic,
        turns=len(turns),
        later=sum(turn.started_at >= middle for turn in turns),
        refused=sum(turn.outcome == "refused" for turn in turns),
        unanswered=sum(turn.outcome in NO_ANSWER for turn in turns),
        rated=len(ratings),
        down=sum(rating <= 0 for rating in ratings),
        cost_n=len(prices),
        cost_usd=sum(prices) if prices else None,
        over=sum(turn.started_at < quiet for turn in turns),
        ended=sum(turn.last for turn in turns),
    )


def _topic(topic: int | None, rows: Sequence[TopicSums], labels: dict[int, tuple[str, str]]) -> Topic:
    def total(name: str) -> int:
        return sum(getattr(row, name) for row in rows)

    turns, later, rated, over = total("turns"), total("later"), total("rated"), total("over")
    name, example = (NO_TOPIC, "") if topic is None else labels[topic]
    return Topic(
        name=name,
        turns=turns,
        down=total("down") / rated if rated else None,
        rated=rated,
        refused=total("refused") / turns,
        unanswered=total("unanswered") / turns,
        cost_usd=sum(row.cost_usd or 0.0 for row in rows) if total("cost_n") else None,
        change=later / (turns - later) - 1 if turns > later else None,
        left=total("ended") / over if over else None,
        ended=total("ended"),
        example=example,
    )


def _gap(row: UnansweredQuestion) -> Gap:
    return Gap(
        key(row.question), row.question, row.times, row.people, row.first_id, row.first_at,
        row.newest_id, row.newest_at, row.answered,
    )  # fmt: skip


def _joined(gap: Gap, newer: list[AskedQuestion], fresh: Gap | None) -> Gap:
    """Add to what a question's sorted turns say those that are not sorted yet."""
    if fresh:
        first = min(gap, fresh, key=lambda either: either.first_at)
        gap = replace(
            gap, times=gap.times + fresh.times, people=gap.people + fresh.people,
            first_id=first.first_id, first_at=first.first_at,
        )  # fmt: skip
    if newer and newer[-1].started_at > gap.newest_at:
        last = newer[-1]
        answered = last.outcome == "answered"
        gap = replace(gap, newest_id=last.turn_id, newest_at=last.started_at, answered=answered)
    return gap
