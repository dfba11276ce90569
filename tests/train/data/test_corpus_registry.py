"""Every corpus is known by its own file names, and no name of one is taken for another's."""

import logging
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ser_train.data.corpus_loader import CorpusError, parse, read_corpora, read_corpus
from ser_train.data.corpus_registry import CORPORA, EMOTIONS
from tests import messages

# Real names, with what they say: corpus, emotion, speaker, sex, intensity, text.
NAMES = {
    "Actor_12/03-01-05-02-01-02-12.wav": ("ravdess", "angry", "ravdess/12", "female", "strong", "01"),
    "Actor_01/03-01-02-01-02-01-01.flac": ("ravdess", "calm", "ravdess/01", "male", "normal", "02"),
    "Actor_01/03-01-08-01-02-01-01.wav": ("ravdess", "surprised", "ravdess/01", "male", "normal", "02"),
    "03-02-06-02-01-01-12.opus": ("ravdess_song", "fearful", "ravdess/12", "female", "strong", "01"),
    "03-02-01-01-01-01-01.wav": ("ravdess_song", "neutral", "ravdess/01", "male", "normal", "01"),
    "EB0_anger_1.opus": ("nemo", "angry", "nemo/EB0", "female", "", "1"),
    "samples/KS0_fear_16.wav": ("nemo", "fearful", "nemo/KS0", "male", "", "16"),
    "KD0_happiness_90.wav": ("nemo", "happy", "nemo/KD0", "female", "", "90"),
    "WR0_neutral_37.wav": ("nemo", "neutral", "nemo/WR0", "male", "", "37"),
    "IC0_sadness_7.wav": ("nemo", "sad", "nemo/IC0", "female", "", "7"),
    "WR0_surprised_64.wav": ("nemo", "surprised", "nemo/WR0", "male", "", "64"),
    "AudioWAV/1001_DFA_ANG_XX.wav": ("crema-d", "angry", "crema-d/1001", "male", "", "DFA"),
    "AudioWAV/1002_IEO_DIS_LO.wav": ("crema-d", "disgust", "crema-d/1002", "female", "normal", "IEO"),
    "AudioMP3/1091_IEO_FEA_MD.mp3": ("crema-d", "fearful", "crema-d/1091", "female", "normal", "IEO"),
    "AudioWAV/1090_IEO_HAP_HI.wav": ("crema-d", "happy", "crema-d/1090", "male", "strong", "IEO"),
    "AudioWAV/1076_MTI_NEU_XX.wav": ("crema-d", "neutral", "crema-d/1076", "female", "", "MTI"),
    "AudioWAV/1040_ITH_SAD_X.wav": ("crema-d", "sad", "crema-d/1040", "male", "", "ITH"),
    "OAF_angry/OAF_back_angry.wav": ("tess", "angry", "tess/OA", "female", "", "back"),
    "OAF_disgust/OAF_mouse_disgust.wav": ("tess", "disgust", "tess/OA", "female", "", "mouse"),
    "OAF_neutral/OA_bite_neutral.wav": ("tess", "neutral", "tess/OA", "female", "", "bite"),
    "YAF_fear/YAF_shout_fear.wav": ("tess", "fearful", "tess/YA", "female", "", "shout"),
    "YAF_happy/YAF_happy_happy.wav": ("tess", "happy", "tess/YA", "female", "", "happy"),
    "YAF_pleasant_surprised/YAF_dog_ps.wav": ("tess", "surprised", "tess/YA", "female", "", "dog"),
    "YAF_sad/YAF_walk_sad.wav": ("tess", "sad", "tess/YA", "female", "", "walk"),
    "ALL/DC_a01.wav": ("savee", "angry", "savee/DC", "male", "", "a01"),
    "AudioData/DC/a02.wav": ("savee", "angry", "savee/DC", "male", "", "a02"),
    "AudioData/JE/d15.wav": ("savee", "disgust", "savee/JE", "male", "", "d15"),
    "AudioData/JK/f03.wav": ("savee", "fearful", "savee/JK", "male", "", "f03"),
    "AudioData/KL/h03.wav": ("savee", "happy", "savee/KL", "male", "", "h03"),
    "ALL/KL_n30.wav": ("savee", "neutral", "savee/KL", "male", "", "n30"),
    "ALL/KL_sa01.wav": ("savee", "sad", "savee/KL", "male", "", "sa01"),
    "AudioData/KL/su01.wav": ("savee", "surprised", "savee/KL", "male", "", "su01"),
    "wav/03a01Fa.wav": ("emo-db", "happy", "emo-db/03", "male", "", "a01"),
    "wav/16b10Wb.wav": ("emo-db", "angry", "emo-db/16", "female", "", "b10"),
    "wav/11a02Ac.wav": ("emo-db", "fearful", "emo-db/11", "male", "", "a02"),
    "wav/08a05Ea.wav": ("emo-db", "disgust", "emo-db/08", "female", "", "a05"),
    "wav/03a01Nc.wav": ("emo-db", "neutral", "emo-db/03", "male", "", "a01"),
    "wav/13b09Ta.wav": ("emo-db", "sad", "emo-db/13", "female", "", "b09"),
    "wav/03a01Lb.wav": ("emo-db", "boredom", "emo-db/03", "male", "", "a01"),
}
UNLABELLED = {"wav/03a01Lb.wav"}


def sounds(folder: Path, *names: str) -> Path:
    """A tiny sound for each name, another one in each."""
    for value, name in enumerate(names, 1):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / name, np.full(480, value * 100, np.int16), 48_000)
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_a_real_name_says_all_of_its_utterance(name: str) -> None:
    u = parse(Path(name))
    assert (u.corpus, u.emotion, u.speaker, u.sex, u.intensity, u.text) == NAMES[name]


@pytest.mark.parametrize("name", [*NAMES, *(corpus.example for corpus in CORPORA.values())])
def test_a_real_name_has_the_pattern_of_one_corpus_alone_wherever_it_lies(name: str) -> None:
    for path in (Path(name), Path("/data/DC") / name, Path("OAF_angry") / name):
        assert len([corpus for corpus in CORPORA.values() if corpus.parts(path)]) == 1


def test_an_example_is_a_name_of_its_own_corpus() -> None:
    assert {name: parse(Path(corpus.example)).corpus for name, corpus in CORPORA.items()} == {n: n for n in CORPORA}


def test_every_emotion_of_every_corpus_has_a_real_name_here() -> None:
    covered = {(corpus, emotion) for corpus, emotion, *_ in NAMES.values()}
    missing = {(c.name, emotion) for c in CORPORA.values() for emotion in c.emotion_codes.values()} - covered
    assert {corpus for corpus, _ in missing} <= {"ravdess", "ravdess_song"}  # test_corpus has all of theirs


def test_a_corpus_knows_the_labels_it_lacks() -> None:
    assert {name: set(EMOTIONS) - corpus.emotions for name, corpus in CORPORA.items()} == {
        "ravdess": set(),
        "ravdess_song": {"disgust", "surprised"},
        "nemo": {"calm", "disgust"},
        "crema-d": {"calm", "surprised"},
        "tess": {"calm"},
        "savee": {"calm"},
        "emo-db": {"calm", "surprised"},
    }


def test_every_corpus_has_as_many_men_and_women_as_its_documentation_says() -> None:
    assert {name: Counter(corpus.sexes.values()) for name, corpus in CORPORA.items()} == {
        "ravdess": {"male": 12, "female": 12},
        "ravdess_song": {"male": 12, "female": 12},
        "nemo": {"male": 5, "female": 4},
        "crema-d": {"male": 48, "female": 43},
        "tess": {"female": 2},
        "savee": {"male": 4},
        "emo-db": {"male": 5, "female": 5},
    }


def test_an_actor_is_the_same_speaker_in_speech_and_song_and_nobody_elsewhere() -> None:
    speech, song = parse(Path("03-01-01-01-01-01-12.wav")), parse(Path("03-02-01-01-01-01-12.wav"))
    assert (speech.speaker, speech.actor) == (song.speaker, song.actor) == ("ravdess/12", 12)
    assert {parse(Path(name)).actor for name, (corpus, *_) in NAMES.items() if "ravdess" not in corpus} == {0}


@pytest.mark.parametrize(
    "name",
    [
        "03-02-07-01-01-01-01.wav",  # emotion 07
        "EB0_calm_1.wav",  # emotion calm
        "ZZ9_anger_1.wav",  # speaker ZZ9
        "1001_DFA_SUR_XX.wav",  # emotion SUR
        "1092_DFA_ANG_XX.wav",  # speaker 1092
        "1001_DFA_ANG_ZZ.wav",  # intensity ZZ
        "OAF_back_bored.wav",  # emotion bored
        "DC/x01.wav",  # emotion x
        "03a01Xa.wav",  # emotion X
        "04a01Fa.wav",  # speaker 04
        "a01.wav",  # SAVEE without its folder
        "XX/a01.wav",
        "EB0_anger.wav",
        "OAF_back_1.wav",
        "03a01F.wav",
        "1001_DFA_ANG.wav",
    ],
)
def test_a_name_that_only_resembles_is_refused(name: str) -> None:
    with messages.raises(CorpusError, "corpus-layout") as caught:
        parse(Path(name))
    assert str(caught.value).startswith(f"{name}: ")


def test_corpora_are_read_together_from_several_folders(tmp_path: Path) -> None:
    names = [name for name in NAMES if not name.endswith((".opus", ".mp3")) and name not in UNLABELLED]
    folders = [sounds(tmp_path / "one", *names[::2]), sounds(tmp_path / "two", *names[1::2])]
    utterances = read_corpora(folders, jobs=1)
    assert sorted(u.path.name for u in utterances) == sorted(Path(name).name for name in names)
    assert {u.corpus for u in utterances} == set(CORPORA)
    assert all(u.digest for u in utterances)
    assert read_corpora(folders[::-1], jobs=1) == utterances


def test_speech_and_song_may_share_a_folder(tmp_path: Path) -> None:
    folder = sounds(tmp_path, "03-01-01-01-01-01-01.wav", "03-02-01-01-01-01-01.wav")
    assert [u.corpus for u in read_corpus(folder, jobs=1)] == ["ravdess", "ravdess_song"]


@pytest.mark.parametrize("suffix", ["opus", "ogg", "mp3"])
def test_lossy_sounds_are_read_too(tmp_path: Path, suffix: str) -> None:
    sounds(tmp_path, "EB0_anger_1.wav")
    samples, rate = soundfile.read(tmp_path / "EB0_anger_1.wav")
    form, subtype = {"opus": ("OGG", "OPUS"), "ogg": ("OGG", "VORBIS"), "mp3": ("MP3", "MPEG_LAYER_III")}[suffix]
    soundfile.write(tmp_path / f"EB0_anger_2.{suffix}", samples, rate, format=form, subtype=subtype)
    assert [u.text for u in read_corpus(tmp_path, jobs=1)] == ["1", "2"]


def test_emotions_without_a_label_are_left_out_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = sounds(tmp_path, "03a01Fa.wav", "03a01Lb.wav", "16b10Lb.wav")
    with caplog.at_level(logging.WARNING, "ser_train.data.corpus_loader"):
        assert [u.emotion for u in read_corpus(folder, jobs=1)] == ["happy"]
    assert [record.message for record in caplog.records] == ["2 files of boredom are left out: none of the 8 labels"]


def test_a_few_foreign_names_are_refused(tmp_path: Path) -> None:
    folder = sounds(tmp_path, *(f"EB0_anger_{number}.wav" for number in range(1, 9)), "noise.wav")
    with messages.raises(CorpusError, "corpus-layout") as refusal:
        read_corpus(folder, jobs=1)
    assert str(refusal.value).startswith(f"{tmp_path}/noise.wav: ")
