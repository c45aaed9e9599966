"""The quickstart's input: written episodes, drawn picture sequences and tiny models, below an artifact root.

`prepare` makes each piece once; a piece whose sources have not changed is left alone.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from fabula_api.artifact import canonical_json, digest_of
from fabula_quickstart.pictures import write_vist
from fabula_workloads import models
from fabula_workloads.recipes.podcast.dialogue import Turn, written
from fabula_workloads.recipes.podcast.prompt import inference_prompt, training_prompt
from fabula_workloads.runtime.failures import ConfigInvalid, NotFound, WorkerError
from fabula_workloads.runtime.open_store import open_store
from fabula_workloads.runtime.store import Store, resolve_uri

FOLDER = "quickstart"
EPISODES = f"{FOLDER}/episodes.jsonl.gz"
VIST = f"{FOLDER}/vist"
MODELS = f"{FOLDER}/models"
_STAMPS = f"{FOLDER}/.stamps"
_WORDS_PER_SECOND = 2.6
_HERE = Path(__file__).resolve().parent
_PACKED = _HERE / "episodes"
SCRIPTS = _PACKED if _PACKED.is_dir() else _HERE.parents[1] / "examples" / "quickstart" / "data" / "episodes"
"""Where the written episodes are: in a wheel beside this file, in a checkout in its examples."""


@dataclass(frozen=True, slots=True)
class Script:
    """A written episode: its header and (name, text) in order."""

    show: str
    title: str
    url: str
    lines: tuple[tuple[str, str], ...]


def parse_script(text: str, name: str) -> Script:
    """A `key: value` header with show, title and url, a blank line, then `Name: text` lines. Raises ConfigInvalid."""
    head, _, body = text.partition("\n\n")
    header = dict(line.split(": ", 1) for line in head.splitlines() if ": " in line)
    lines = []
    for number, line in enumerate(body.splitlines(), start=head.count("\n") + 3):
        if not line.strip():
            continue
        speaker, colon, said = line.partition(": ")
        if not colon or not speaker.isalpha() or not said.strip():
            raise ConfigInvalid(f"{name}, line {number}: expected `Name: text`")
        lines.append((speaker, said.strip()))
    if missing := [key for key in ("show", "title", "url") if key not in header]:
        raise ConfigInvalid(f"{name}: the header has no {', '.join(missing)}")
    return Script(header["show"], header["title"], header["url"], tuple(lines))


def read_scripts(folder: Path = SCRIPTS) -> list[Script]:
    """The written episodes, by file name. Raises ConfigInvalid where there are none."""
    files = sorted(folder.glob("*.txt"))
    if not files:
        raise ConfigInvalid(
            f"the quickstart's episodes are not in {folder}: install the package whole, or run this from a checkout, "
            "which has them in examples/quickstart/data/episodes"
        )
    return [parse_script(file.read_text(encoding="utf-8"), file.name) for file in files]


def turn_records(script: Script) -> Iterator[dict[str, Any]]:
    """The episode in SPoRC's legacy turn layout; times follow from the number of words."""
    speakers: dict[str, str] = {}
    start = 0.0
    for count, (name, text) in enumerate(script.lines):
        label = speakers.setdefault(name, f"SPEAKER_{len(speakers):02d}")
        duration = round(len(text.split()) / _WORDS_PER_SECOND, 2)
        yield {
            "mp3url": script.url,
            "podTitle": script.show,
            "epTitle": script.title,
            "speaker": [label],
            "turnText": text,
            "startTime": round(start, 2),
            "endTime": round(start + duration, 2),
            "duration": duration,
            "turnCount": count,
            "inferredSpeakerName": name,
            "inferredSpeakerRole": "host" if label == "SPEAKER_00" else "guest",
        }
        start += duration


def episodes_gz(scripts: Iterable[Script]) -> bytes:
    """All turns as gzip JSON lines; equal scripts give equal bytes."""
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0, filename="") as file:
        for script in scripts:
            for record in turn_records(script):
                file.write(json.dumps(record, ensure_ascii=False).encode() + b"\n")
    return buffer.getvalue()


def corpus(scripts: Iterable[Script]) -> list[str]:
    """The texts that the tiny models' tokenizers learn: each dialogue as a training target has it, and the prompts."""
    texts = []
    for script in scripts:
        names: dict[str, str] = {}
        turns = [Turn(names.setdefault(name, f"Speaker {len(names) + 1}"), text) for name, text in script.lines]
        texts.append(written(turns))
    return [*texts, inference_prompt(), *(training_prompt(words) for words in range(0, 1000, 100))]


@dataclass(frozen=True, slots=True)
class Piece:
    """Something to prepare: where it goes, what it is made from, and how (into a local path)."""

    path: str
    sources: str
    build: Callable[[Path], None]
    for_people: str


def pieces(scripts: list[Script]) -> list[Piece]:
    """Everything that the quickstart reads."""
    texts = corpus(scripts)
    data = episodes_gz(scripts)
    libraries = _versions("torch", "transformers", "diffusers")
    tiny = digest_of([_sources(_HERE / "tiny"), _sources(*map(Path, models.__path__)), libraries, texts])
    drawn = _sources(_HERE / "drawing", _HERE / "pictures.py", _HERE / "stories")
    pictures = [drawn, _versions("pillow", "scikit-image")]

    def qwen(path: Path) -> None:
        from fabula_quickstart.tiny import qwen3_vl

        qwen3_vl.build(path, texts)

    def sd3(path: Path) -> None:
        from fabula_quickstart.tiny import sd3

        sd3.build(path)

    def clip(path: Path) -> None:
        from fabula_quickstart.tiny import clip

        clip.build(path, texts)

    return [
        Piece(EPISODES, _hex(data), lambda path: _write(path, data), f"{len(scripts)} podcast episodes"),
        Piece(VIST, digest_of(pictures), write_vist, "8 picture sequences"),
        Piece(f"{MODELS}/tiny-qwen3-vl", tiny, qwen, "a tiny Qwen3-VL"),
        Piece(f"{MODELS}/tiny-sd3", tiny, sd3, "a tiny Stable Diffusion 3"),
        Piece(f"{MODELS}/tiny-clip", tiny, clip, "a tiny CLIP"),
    ]


def narration_pieces() -> list[Piece]:
    """What the tiny example of audio description reads."""
    from fabula_quickstart import narration

    here = _sources(_HERE / "narration.py", _HERE / "tiny" / "llama.py")
    texts = narration.corpus()

    def llama(path: Path) -> None:
        from fabula_quickstart.tiny import llama

        llama.build(path, texts)

    libraries = _versions("torch", "transformers", "h5py", "numpy")
    return [
        Piece(f"{narration.FOLDER}/films", digest_of([here, libraries]), narration.write, "12 films' clips"),
        Piece(f"{narration.FOLDER}/tiny-llama", digest_of([here, libraries, texts]), llama, "a tiny LLaMA"),
    ]


def watching_pieces() -> list[Piece]:
    """What the tiny example of visual instruction reads."""
    from fabula_quickstart import watching

    here = _sources(_HERE / "watching.py", _HERE / "tiny" / "qwen3_vl.py")
    texts = watching.corpus()

    def qwen(path: Path) -> None:
        from fabula_quickstart.tiny import qwen3_vl

        qwen3_vl.build(path, texts)

    drawn = _versions("av", "numpy")
    libraries = _versions("torch", "transformers")
    return [
        Piece(f"{watching.FOLDER}/clips", digest_of([here, drawn]), watching.write, f"{watching.CLIPS} videos"),
        Piece(f"{watching.FOLDER}/tiny-qwen3-vl", digest_of([here, libraries, texts]), qwen, "a tiny Qwen3-VL"),
    ]


EXAMPLES: dict[str, Callable[[], list[Piece]]] = {
    "quickstart": lambda: pieces(read_scripts()),
    "audio-description": narration_pieces,
    "visual-instruction": watching_pieces,
}
"""Examples whose input is made here, by name."""


def prepare(root: Path) -> None:
    """Put the quickstart's input below an artifact root that is a local folder. Prints a line for each piece."""
    prepare_store(open_store(root.resolve().as_uri()))


def prepare_uri(root: str, example: str = FOLDER) -> int:
    """As `prepare`, for a `file://` or `s3://` root; returns an exit code."""
    try:
        prepare_store(open_store(resolve_uri(root, root)), example)
    except WorkerError as error:
        print(f"{error.reason}: {error.message}", file=sys.stderr)
        return error.exit_code
    return 0


def prepare_store(store: Store, example: str = FOLDER) -> None:
    """Make what is missing or has other sources; the rest is left alone."""
    for piece in EXAMPLES[example]():
        stamp = f"{_STAMPS}/{piece.path.replace('/', '-')}.json"
        expected = canonical_json({"sources": piece.sources})
        if _stored(store, stamp) == expected and next(store.list(piece.path), None) is not None:
            print(f"quickstart: {piece.for_people}: there already", flush=True)
            continue
        print(f"quickstart: making {piece.for_people}", flush=True)
        _make(store, piece)
        store.write(stamp, expected)


def _make(store: Store, piece: Piece) -> None:
    """Build locally first, so that a build that breaks off leaves nothing half made in the store."""
    with tempfile.TemporaryDirectory(prefix="fabula-quickstart-") as folder:
        made = Path(folder) / "made"
        piece.build(made)
        store.delete(piece.path)
        if made.is_file():
            store.upload(made, piece.path)
        for file in sorted(path for path in made.rglob("*") if path.is_file()):
            store.upload(file, f"{piece.path}/{file.relative_to(made).as_posix()}")


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def _stored(store: Store, path: str) -> bytes | None:
    try:
        return store.read(path)
    except NotFound:
        return None


def _sources(*places: Path) -> str:
    """Digest of the code that makes a piece: files, or all below folders."""
    files = [file for place in places for file in ([place] if place.is_file() else sorted(place.rglob("*.py")))]
    return digest_of([[path.name, _hex(path.read_bytes())] for path in files])


def _versions(*packages: str) -> list[str | None]:
    versions: list[str | None] = []
    for package in packages:
        try:
            versions.append(version(package))
        except PackageNotFoundError:
            versions.append(None)
    return versions


def _hex(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
