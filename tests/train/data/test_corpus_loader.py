"""File names become utterances, and a corpus with a hole in it is refused with every path."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ser_edge.audio.formats import AUDIO_SUFFIXES
from ser_train.data.audio_files import audio_digest, find_sounds
from ser_train.data.corpus_loader import (
    EMOTIONS,
    CorpusError,
    Utterance,
    digest,
    duplicates,
    parse,
    read_corpora,
    read_corpus,
    unique,
)
from ser_train.data.utterance import raise_problems
from tests import messages
from tests.conftest import voice

RATE = 16_000


def sound(path: Path, value: int = 1, subtype: str = "PCM_16", samples: int = 100) -> Path:
    """A short sound whose samples all are `value`: the same recording wherever the value is the same."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.full(samples, value, np.int16), RATE, subtype=subtype)
    return path


def name(emotion: int = 1, take: int = 1, actor: int = 1, suffix: str = ".wav") -> str:
    return f"03-01-{emotion:02}-01-01-{take:02}-{actor:02}{suffix}"


def test_every_part_of_a_name_is_read() -> None:
    path = Path("deep/03-01-05-02-01-02-12.wav")
    assert parse(path) == Utterance(path, "ravdess", "angry", "ravdess/12", "female", "strong", "01")


@pytest.mark.parametrize(("code", "emotion"), list(enumerate(EMOTIONS, 1)))
def test_emotion_codes_are_labels_in_their_order(code: int, emotion: str) -> None:
    assert parse(Path(name(emotion=code))).emotion == emotion


def test_odd_actors_are_male_and_even_ones_female() -> None:
    assert [parse(Path(name(actor=actor))).sex for actor in (1, 2, 23, 24)] == ["male", "female"] * 2


@pytest.mark.parametrize(
    "stem",
    [
        "hello",
        "03-01-05-02-01-02",
        "03-01-05-02-01-02-12-01",
        "03-01-5-02-01-02-12",
        "01-01-05-02-01-02-12",  # video with sound
        "02-01-05-02-01-02-12",  # video
        "03-01-05-02-03-02-12",  # statement 03
        "03-01-05-02-01-03-12",  # repetition 03
        "03-01-00-02-01-02-12",  # emotion 00
        "03-01-09-02-01-02-12",  # emotion 09
        "03-01-05-03-01-02-12",  # intensity 03
        "03-01-05-02-01-02-25",  # speaker 25
        "03-01-05-02-01-02-00",  # speaker 00
    ],
)
def test_a_foreign_name_is_refused_with_its_path(stem: str) -> None:
    with messages.raises(CorpusError, "corpus-layout") as caught:
        parse(Path(f"folder/{stem}.wav"))
    assert str(caught.value).startswith(f"folder/{stem}.wav: ")


def test_wav_and_flac_are_found_at_any_depth_in_the_order_of_their_names(tmp_path: Path) -> None:
    last = sound(tmp_path / name(emotion=3), 3)
    first = sound(tmp_path / "z" / "deeper" / name(emotion=1, suffix=".FLAC"), 1)
    middle = sound(tmp_path / "a" / name(emotion=2, suffix=".flac"), 2)
    assert [u.path for u in read_corpus(tmp_path, jobs=1)] == [first, middle, last]


def test_hidden_and_other_files_are_left_alone(tmp_path: Path) -> None:
    wanted = sound(tmp_path / name())
    sound(tmp_path / f"._{name()}")  # what macOS leaves in zips
    (tmp_path / "README.txt").write_text("not a sound")
    assert [u.path for u in read_corpus(tmp_path, jobs=1)] == [wanted]


def test_what_phones_record_is_found_and_links_are_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    sound(elsewhere / name(emotion=2))
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "linked").symlink_to(elsewhere)
    (tmp_path / "here" / "again").symlink_to(tmp_path / "here")  # in a circle
    (tmp_path / "here" / "__MACOSX").mkdir()
    sound(tmp_path / "here" / "__MACOSX" / name(emotion=4))
    (tmp_path / "here" / name(suffix=".m4a")).touch()
    found = [path.relative_to(tmp_path / "here") for path in find_sounds(tmp_path / "here")]
    assert found == [Path(name(suffix=".m4a")), Path("linked") / name(emotion=2)]


def test_a_wav_of_a_killed_recorder_is_known_by_its_samples(tmp_path: Path) -> None:
    whole = sound(tmp_path / name(), 7)
    killed = tmp_path / name(take=2)
    content = whole.read_bytes()
    killed.write_bytes(content[:40] + bytes(4) + content[44:])
    assert audio_digest(killed) == audio_digest(whole) != ("", "")


@pytest.mark.parametrize("suffix", [".aif", ".aifc", ".au", ".caf", ".flac", ".rf64", ".snd", ".w64", ".wav", ".wave"])
def test_a_recording_is_the_same_in_every_lossless_container(suffix: str, tmp_path: Path) -> None:
    samples = (32_000 * voice(1, 2, 3)).astype(np.int16)
    forms = {".aif": "AIFF", ".aifc": "AIFF", ".snd": "AU", ".wave": "WAV"}
    copy = tmp_path / f"copy{suffix}"
    soundfile.write(copy, samples, 16_000, "PCM_16", format=forms.get(suffix, suffix[1:].upper()))
    soundfile.write(tmp_path / "a.wav", samples, 16_000, "PCM_16")
    assert audio_digest(copy) == audio_digest(tmp_path / "a.wav") != ("", "")


def test_a_missing_folder_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with messages.raises(CorpusError, "corpus-not-found"):
        read_corpus(tmp_path / "none")


def test_a_folder_without_sounds_is_refused(tmp_path: Path) -> None:
    with messages.raises(CorpusError, "corpus-not-found"):
        read_corpus(tmp_path)


def test_unreadable_and_empty_files_are_refused_together(tmp_path: Path) -> None:
    sound(tmp_path / name(take=1))
    empty = sound(tmp_path / name(take=2), samples=0)
    garbage = tmp_path / name(emotion=2)
    garbage.write_bytes(b"not a sound at all")
    with messages.raises(CorpusError, "corpus-unreadable") as refusal:
        read_corpus(tmp_path, jobs=1)
    first, second, _ = str(refusal.value).split("; ")
    assert first.startswith(f"{empty}: ")
    assert second.startswith(f"{garbage}: ")


def test_several_foreign_names_are_one_problem_with_their_number(tmp_path: Path) -> None:
    for number in range(7):
        sound(tmp_path / f"{number}.wav")
    with messages.raises(CorpusError, "corpus-layout") as refusal:
        read_corpus(tmp_path, jobs=1)
    assert str(refusal.value).startswith(f"{tmp_path}/0.wav and 6 more: ")


def test_many_kinds_of_problems_are_counted_too() -> None:
    problems = [(f"{number}.wav", f"problem {number // 2}") for number in range(14)]
    with messages.raises(CorpusError, "corpus-table") as caught:
        raise_problems(problems, "corpus-table")
    assert re.fullmatch(r"0\.wav and 1 more: problem 0; .*: problem 4; and 4 more", str(caught.value))


def test_sounds_are_those_that_the_product_reads(tmp_path: Path) -> None:
    for suffix in AUDIO_SUFFIXES:
        (tmp_path / f"1{suffix}").touch()
    (tmp_path / "notes.txt").touch()
    assert {path.suffix for path in find_sounds(tmp_path)} == AUDIO_SUFFIXES


@pytest.mark.parametrize("suffix", [".aiff", ".au", ".caf", ".oga"])
def test_every_format_is_read(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / name(suffix=suffix)
    soundfile.write(path, np.sin(np.arange(RATE) / 9), RATE, format="OGG" if suffix == ".oga" else None)
    assert [u.path for u in read_corpus(tmp_path, jobs=1)] == [path]


def test_sounds_are_found_through_links_and_each_once_where_links_lead_back(tmp_path: Path) -> None:
    elsewhere = sound(tmp_path / "elsewhere" / "deep" / name(), 1)
    folder = tmp_path / "corpus"
    (folder / "inner").mkdir(parents=True)
    (folder / "linked").symlink_to(elsewhere.parent, target_is_directory=True)
    (folder / "inner" / name(emotion=2)).symlink_to(sound(tmp_path / "elsewhere" / "2.wav", 2))
    (folder / "inner" / "back").symlink_to(folder, target_is_directory=True)
    (folder / "self").symlink_to(folder / "self")
    assert find_sounds(folder) == [folder / "inner" / name(emotion=2), folder / "linked" / name()]
    assert [u.emotion for u in read_corpus(folder, jobs=1)] == ["neutral", "calm"]


def test_a_link_that_leads_nowhere_is_refused_and_not_passed_over(tmp_path: Path) -> None:
    sound(tmp_path / name())
    (tmp_path / name(emotion=2)).symlink_to(tmp_path / "gone.wav")
    with messages.raises(CorpusError, "corpus-unreadable"):
        read_corpus(tmp_path, jobs=1)


def test_what_lies_beside_sounds_in_zips_of_macos_is_left_alone(tmp_path: Path) -> None:
    wanted = sound(tmp_path / name())
    for junk in (f"__MACOSX/{name(take=2)}", f"__MACOSX/._{name()}", f".Trashes/{name(take=2)}"):
        sound(tmp_path / junk)
    assert find_sounds(tmp_path) == [wanted]


def test_duplicates_are_known_by_their_samples_whatever_the_container(tmp_path: Path) -> None:
    same = [
        sound(tmp_path / "a" / name(), 7),
        sound(tmp_path / "b" / name(), 7),
        sound(tmp_path / "c" / name(suffix=".flac"), 7),
        sound(tmp_path / "d" / name(take=2), 7, subtype="PCM_24"),
    ]
    other = sound(tmp_path / "a" / name(emotion=2), 8)
    utterances = read_corpus(tmp_path, jobs=1)
    assert [[u.path for u in group] for group in duplicates(utterances)] == [same]
    assert [u.path for u in unique(utterances)] == [same[0], other]


def test_another_version_of_a_recording_is_left_out_whatever_the_order(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept = [sound(tmp_path / "a" / name(), 7), sound(tmp_path / "c" / name(suffix=".flac"), 7)]
    sound(tmp_path / "b" / name(), 7, samples=50)  # at half the rate, say
    for speaker in ("DC", "JK"):  # whose files have the same names
        kept.append(sound(tmp_path / speaker / "a01.wav", len(kept)))
    folders = [tmp_path / part for part in ("b", "c", "a", "DC", "JK")]
    assert [u.path for u in read_corpora(folders, jobs=1)] == kept
    (note,) = [record.message for record in caplog.records]
    assert note.endswith(f"like {tmp_path}/b/{name()} of {tmp_path}/a/{name()}")


def test_unique_keeps_the_first_of_each_recording_in_order() -> None:
    base = parse(Path(name()))
    utterances = [
        replace(base, path=Path(path), digest=content)
        for path, content in (("3", "x"), ("1", "y"), ("2", "x"), ("0", "z"), ("9", "y"))
    ]
    assert [str(u.path) for u in unique(utterances)] == ["3", "1", "0"]


def test_a_corpus_has_one_digest_wherever_it_is_and_however_often() -> None:
    base = parse(Path(name()))
    one = [replace(base, path=Path("a") / name(take=take), digest=f"d{take}") for take in (1, 2)]
    copies = [replace(u, path=Path("b") / u.path.name) for u in one]
    assert digest(one) == digest(copies[::-1]) == digest([*one, *copies])
    assert digest(one) != digest(one[:1])
    other = replace(parse(Path("EB0_anger_1.wav")), digest="d3")
    assert len({digest(one), digest([*one, other]), digest([other])}) == 3


def test_a_corpus_read_by_two_processes_is_the_same(corpus: Path) -> None:
    assert read_corpus(corpus / "Actor_01", jobs=2) == read_corpus(corpus / "Actor_01", jobs=1)
