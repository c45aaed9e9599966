"""From a corpus file to episodes with numbered speakers: read, count what is wrong, group, tidy, write.

Its artifact lies in a folder named by the source's content, so a source that changed is read anew and one that did not
is not read twice.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO, cast

from fabula_api.artifact import Manifest
from fabula_api.recipes.podcast.build import PodcastBuildSpec
from fabula_api.recipes.podcast.build import Source as SourceSpec
from fabula_api.status import Lineage
from fabula_workloads.recipes.podcast.corpus import sporc
from fabula_workloads.recipes.podcast.corpus.parquet import ParquetSource
from fabula_workloads.recipes.podcast.corpus.placing import Placed, Said, place
from fabula_workloads.recipes.podcast.corpus.source import Line, Source
from fabula_workloads.recipes.podcast.corpus.spill import Spill, open_spill
from fabula_workloads.recipes.podcast.details import EpisodesDetails
from fabula_workloads.recipes.podcast.dialogue import Dialogue, Turn, TurnPolicy, assemble, tidy, written
from fabula_workloads.runtime.artifact import add_part, commit
from fabula_workloads.runtime.by_content import made_before
from fabula_workloads.runtime.context import StageContext, StageResult
from fabula_workloads.runtime.failures import ConfigInvalid, InputInvalid, NotFound
from fabula_workloads.text.words import num_words

KIND = "episodes"
EPISODES, SKIPPED = "episodes.jsonl", "skipped.jsonl"
_LOOK_EVERY = 1000
_HOPELESS_RECORDS = 100
_SHOWN_BAD = 3


@dataclass
class Reading:
    """Tallies of one pass over the source."""

    records: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    first_bad: list[str] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    ok: int = 0
    placed: Counter[str] = field(default_factory=Counter)
    """Episodes whose turns the file has in another order, or whose times contradict the order that was taken."""

    def place(self, placed: Placed) -> None:
        """Count how an episode's turns were put in order."""
        self.dropped["Double"] += placed.doubles
        self.placed["AgainstFileOrder"] += placed.moved
        self.placed["AgainstTimes"] += placed.doubtful

    @property
    def num_bad(self) -> int:
        return sum(self.rejected.values())

    def reject(self, line: Line, reason: str, detail: str) -> None:
        """Count a line that is no record."""
        self.rejected[reason] += 1
        if len(self.first_bad) < _SHOWN_BAD:
            self.first_bad.append(f"{line.file} line {line.number}: {reason} ({detail})")

    def counts(self) -> dict[str, int]:
        """The tallies by `kind/outcome/Reason`."""
        counts = {"episode/ok": self.ok}
        tallies = {
            "episode/placed": self.placed, "episode/skipped": self.skipped, "record/rejected": self.rejected,
            "turn/dropped": self.dropped,
        }  # fmt: skip
        for kind, tally in tallies.items():
            counts |= {f"{kind}/{reason}": count for reason, count in sorted(tally.items()) if count}
        return counts


def run(context: StageContext) -> StageResult:
    """The `ingest` stage."""
    spec = context.spec_of(PodcastBuildSpec)
    check_source(spec.podcast.source)
    source = open_source(context.resolve(spec.podcast.source.uri), spec.podcast.source, context.cache)
    digest = source.digest()
    store, before = made_before(context, KIND, digest)
    if before is not None:
        return before
    with context.scratch() as scratch:
        reading, details = read_source(context, source, spec.podcast.source, scratch)
        parts = [add_part(store, name, scratch / name) for name in (EPISODES, SKIPPED)]
        manifest = commit(
            store,
            kind=KIND,
            key=context.config.key,
            parts=parts,
            counts=reading.counts(),
            lineage=[Lineage(name="source", uri=source.uri, digest=digest)],
            details=details,
            attempt=context.config.attempt,
        )
    return _result(manifest, store.uri, reading)


def check_source(spec: SourceSpec) -> None:
    """Raise ConfigInvalid for a source that may not, or cannot yet, be read."""
    if not spec.license_accepted:
        raise ConfigInvalid(
            "podcast.source.licenseAccepted is false: the layouts of SPoRC are those of a gated corpus, for research "
            "and may not be passed on. Set it to true if you may process this source."
        )


def open_source(uri: str, spec: SourceSpec, scratch: Path) -> Source | ParquetSource:
    """The source in its format; `auto` takes a folder or file of JSON lines for that, and else looks for Parquet."""
    if spec.format == "sporc-parquet" or (spec.format == "auto" and uri.endswith(".parquet")):
        return ParquetSource(uri, scratch)
    try:
        return Source(uri)
    except InputInvalid as without_lines:
        if spec.format != "auto" or isinstance(without_lines, NotFound):
            raise
        try:
            return ParquetSource(uri, scratch)
        except InputInvalid:
            raise without_lines from None


def read_source(
    context: StageContext, source: Source | ParquetSource, spec: SourceSpec, scratch: Path
) -> tuple[Reading, EpisodesDetails]:
    """Write episodes and skipped lines into `scratch`; return the tallies and the choices made."""
    reading = Reading()
    with open_spill(scratch, spec.limit) as spill, (scratch / SKIPPED).open("w", encoding="utf-8") as skipped:
        layout = _gather(context, source, spec, spill, reading, skipped)
        _check_bad_fraction(source.uri, reading, spec.max_bad_fraction)
        with (scratch / EPISODES).open("w", encoding="utf-8") as episodes:
            _write_episodes(context, spill, layout, spec, reading, episodes, skipped)
    return reading, EpisodesDetails(
        recipe=context.config.spec.recipe,
        layout=layout,
        records=reading.records,
        min_turn_characters=spec.min_turn_characters,
        merge_turns=spec.merge_turns,
        back_channels=spec.back_channels,
        min_turns=spec.min_turns if layout == "sporc-turns" else None,
        min_characters=spec.min_characters,
        limit=spec.limit,
    )


def _gather(
    context: StageContext,
    source: Source | ParquetSource,
    spec: SourceSpec,
    spill: Spill,
    reading: Reading,
    skipped: TextIO,
) -> sporc.Layout:
    """Read every record into the spill; return the layout."""
    given = {"sporc-turns": "sporc-turns", "sporc-episodes": "sporc-episodes"}.get(spec.format)
    layout = cast(sporc.Layout | None, given)
    before, last = 0, Line("", 0, None)
    for line in source.lines():
        if line.file != last.file:
            before += last.number
        last, order = line, before + line.number
        reading.records += 1
        if reading.records % _LOOK_EVERY == 0:
            context.check_stop()
            context.reporter.update(done=spill.num_episodes)
        try:
            if line.data is None:
                raise sporc.BadRecord("TooLong", "longer than 8 MiB")
            record = sporc.parse_object(line.data) if line.record is None else line.record
            layout = layout or sporc.layout_of(record)
            if layout is None:
                raise sporc.BadRecord("UnknownLayout", "neither turnText nor transcript")
            if layout == "sporc-turns":
                turn = sporc.parse_turn(record)
                spill.add(turn.episode, turn.podcast, order, Said(turn.speaker, turn.text, turn.count, turn.start))
            else:
                _add_whole(spill, sporc.parse_episode(record), order, reading, skipped, line)
        except sporc.BadRecord as bad:
            reading.reject(line, bad.reason, bad.detail)
            _note(skipped, None, line, bad.reason)
        if reading.records == _HOPELESS_RECORDS == reading.num_bad:
            raise _too_bad(source.uri, reading, f"none of the first {_HOPELESS_RECORDS} lines is a record")
    if reading.records == 0:
        raise InputInvalid(f"{source.uri}, line 1: the source is empty")
    return layout or "sporc-turns"


def _add_whole(
    spill: Spill, episode: sporc.WholeEpisode, order: int, reading: Reading, skipped: TextIO, line: Line
) -> None:
    if spill.has(episode.episode):
        reading.skipped["Duplicate"] += 1
        _note(skipped, episode.episode, line, "Duplicate")
    else:
        spill.add(episode.episode, episode.podcast, order, Said(sporc.UNKNOWN_SPEAKER, episode.text))


def _check_bad_fraction(uri: str, reading: Reading, allowed: float) -> None:
    if reading.num_bad > allowed * reading.records:
        share = 100 * reading.num_bad / reading.records
        raise _too_bad(
            uri, reading,
            f"{reading.num_bad} of {reading.records} records ({share:.3g} %) are unreadable, more than "
            f"podcast.source.maxBadFraction allows ({100 * allowed:.3g} %)",
        )  # fmt: skip


def _too_bad(uri: str, reading: Reading, what: str) -> InputInvalid:
    return InputInvalid(f"{uri}: {what}. First: {'; '.join(reading.first_bad)}")


def _write_episodes(
    context: StageContext,
    spill: Spill,
    layout: sporc.Layout,
    spec: SourceSpec,
    reading: Reading,
    episodes: TextIO,
    skipped: TextIO,
) -> None:
    policy = TurnPolicy(spec.min_turn_characters, spec.merge_turns, spec.back_channels)
    total = spill.num_episodes
    for number, (episode, podcast, first_line, said) in enumerate(spill.episodes(), start=1):
        if number % _LOOK_EVERY == 0:
            context.check_stop()
            context.reporter.update(done=number, total=total)
        placed = place(said or [])
        reading.place(placed)
        dialogue = _dialogue(layout, [(turn.speaker, turn.text) for turn in placed.turns], policy)
        reading.dropped.update(dialogue.dropped)
        text = written(dialogue.turns)
        reason = skip_reason(dialogue.turns, text, layout, spec) if said is not None else "TooLong"
        if reason is not None:
            reading.skipped[reason] += 1
            skipped.write(_json({"id": episode, "line": first_line, "reason": reason}))
            continue
        reading.ok += 1
        turns = [{"speaker": turn.speaker, "text": turn.text} for turn in dialogue.turns]
        figures = {"words": num_words(text), "characters": len(text)}
        episodes.write(_json({"id": episode, "podcast": podcast, "turns": turns, **figures}))
    context.reporter.update(done=total, total=total)


def _dialogue(layout: sporc.Layout, said: list[tuple[str, str]], policy: TurnPolicy) -> Dialogue:
    if layout == "sporc-turns":
        return assemble(said, policy)
    text = tidy(said[0][1]) if said else ""
    return Dialogue([Turn("Speaker 1", text)] if text else [])


def skip_reason(turns: list[Turn], text: str, layout: sporc.Layout, spec: SourceSpec) -> str | None:
    """Why an episode is skipped; None when it stays. A transcript without speakers has no turns to count."""
    if not turns:
        return "NoText"
    if layout == "sporc-turns" and len(turns) < spec.min_turns:
        return "TooFewTurns"
    return "TooShort" if len(text) < spec.min_characters else None


def _note(skipped: TextIO, episode: str | None, line: Line, reason: str) -> None:
    known = {} if episode is None else {"id": episode}
    skipped.write(_json({**known, "file": line.file, "line": line.number, "reason": reason}))


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n"


def _result(manifest: Manifest, uri: str, reading: Reading) -> StageResult:
    counts = {name: float(count) for name, count in reading.counts().items()}
    return StageResult(artifact=manifest, uri=uri, counts=counts, lineage=manifest.lineage)
