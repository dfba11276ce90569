"""The known corpora: how each names its files, and what the names mean.

A table of facts; nothing here opens a file. Facts that a corpus publishes beside its sounds, like its speakers' sexes,
are here too, so that a folder with sounds only is enough. To add a corpus, add its row; the tests check that its
`example` matches no other row's pattern.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

EMOTIONS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")  # RAVDESS's 01 to 08


@dataclass(frozen=True)
class Corpus:
    """One corpus. Codes are parts of its file names, and the pattern's groups `emotion`, `speaker` and `intensity`."""

    name: str
    title: str
    licence: str  # as published; check it before sharing a network trained on it
    example: str  # a real file name
    pattern: str  # of names without suffix; its group `text` is the sentence
    emotion_codes: Mapping[str, str]  # to EMOTIONS, or to an emotion that is left out
    sexes: Mapping[str, str]  # of the speakers' codes: these are all speakers there are
    intensities: Mapping[str, str] = field(default_factory=lambda: {"": ""})  # to "normal", "strong", or "" if unknown
    family: str = ""  # another corpus with the same speakers

    @property
    def emotions(self) -> frozenset[str]:
        """Those of EMOTIONS that it has; the loss of its utterances leaves the others out."""
        return frozenset(self.emotion_codes.values()) & frozenset(EMOTIONS)

    def parts(self, path: Path) -> dict[str, str]:
        """The groups of the pattern in this path; none if it isn't this corpus's.

        >>> CORPORA["savee"].parts(Path("AudioData/DC/sa01.wav"))
        {'speaker': 'DC', 'text': 'sa01', 'emotion': 'sa'}
        """
        match = re.fullmatch(self.pattern, path.stem)
        match = match or re.fullmatch(self.pattern, f"{path.parent.name}/{path.stem}")  # SAVEE's folders are speakers
        return match.groupdict() if match else {}

    def unknown(self, parts: Mapping[str, str]) -> str:
        """The first group whose code the corpus doesn't have, like "emotion 09"; "" if it has all."""
        for part, codes in (("emotion", self.emotion_codes), ("speaker", self.sexes), ("intensity", self.intensities)):
            if (code := parts.get(part) or "") not in codes:
                return f"{part} {code}"
        return ""

    def names(self, path: Path) -> bool:
        """Whether the corpus can have this name; `AB1_angry_1` has nEMO's pattern, but nEMO has no such speaker.

        >>> CORPORA["nemo"].names(Path("EB0_anger_1.wav")), CORPORA["nemo"].names(Path("AB1_angry_1.wav"))
        (True, False)
        """
        parts = self.parts(path)
        return bool(parts) and not self.unknown(parts)


def _sexes(men: str = "", women: str = "") -> dict[str, str]:
    """Sexes of codes separated by spaces. Codes in both are women's, so `men` may be all."""
    return dict.fromkeys(men.split(), "male") | dict.fromkeys(women.split(), "female")


def _codes(text: str) -> dict[str, str]:
    """Emotions by code, like "ANG=angry HAP=happy"."""
    return dict(pair.split("=") for pair in text.split())


_RAVDESS = r"-(?P<emotion>\d\d)-(?P<intensity>\d\d)-(?P<text>0[12])-0[12]-(?P<speaker>\d\d)"  # 0[12]: which repetition
_RAVDESS_EMOTIONS = {f"{code:02}": emotion for code, emotion in enumerate(EMOTIONS, 1)}
_RAVDESS_INTENSITIES = {"01": "normal", "02": "strong"}
_RAVDESS_SEXES = {f"{actor:02}": "male" if actor % 2 else "female" for actor in range(1, 25)}

_CREMA_D_SEXES = _sexes(  # its VideoDemographics.csv
    men=" ".join(map(str, range(1001, 1092))),
    women="1002 1003 1004 1006 1007 1008 1009 1010 1012 1013 1018 1020 1021 1024 1025 1028 1029 1030 1037 1043 1046 "
    "1047 1049 1052 1053 1054 1055 1056 1058 1060 1061 1063 1072 1073 1074 1075 1076 1078 1079 1082 1084 1089 1091",
)

_TABLE = (
    Corpus(
        name="ravdess",
        title="RAVDESS speech",
        licence="CC BY-NC-SA 4.0",
        example="03-01-05-02-01-02-12.wav",
        pattern="03-01" + _RAVDESS,  # 03: neither video (02) nor video with sound (01)
        emotion_codes=_RAVDESS_EMOTIONS,
        sexes=_RAVDESS_SEXES,
        intensities=_RAVDESS_INTENSITIES,
    ),
    Corpus(
        name="ravdess_song",
        title="RAVDESS song",
        licence="CC BY-NC-SA 4.0",
        example="03-02-05-02-01-02-12.wav",
        pattern="03-02" + _RAVDESS,
        emotion_codes={code: _RAVDESS_EMOTIONS[code] for code in ("01", "02", "03", "04", "05", "06")},
        sexes=_RAVDESS_SEXES,
        intensities=_RAVDESS_INTENSITIES,
        family="ravdess",
    ),
    Corpus(
        name="nemo",
        title="nEMO",
        licence="CC BY-NC-SA 4.0",
        example="EB0_anger_10.wav",
        pattern=r"(?P<speaker>[A-Z]{2}\d)_(?P<emotion>[a-z]+)_(?P<text>\d+)",
        emotion_codes=_codes(
            "anger=angry fear=fearful happiness=happy neutral=neutral sadness=sad surprised=surprised"
        ),
        sexes=_sexes(men="KS0 MP0 SM0 TP0 WR0", women="EB0 IC0 KD0 MK0"),  # its data.tsv
    ),
    Corpus(
        name="crema-d",
        title="CREMA-D",
        licence="ODbL 1.0",
        example="1001_DFA_ANG_XX.wav",
        pattern=r"(?P<speaker>\d{4})_(?P<text>[A-Z]{3})_(?P<emotion>[A-Z]{3})_(?P<intensity>[A-Z]{1,2})",
        emotion_codes=_codes("ANG=angry DIS=disgust FEA=fearful HAP=happy NEU=neutral SAD=sad"),
        sexes=_CREMA_D_SEXES,
        intensities={"LO": "normal", "MD": "normal", "HI": "strong", "XX": "", "X": ""},  # X: 1040_ITH_SAD_X.wav
    ),
    Corpus(
        name="tess",
        title="TESS",
        licence="CC BY-NC-ND 4.0",
        example="OAF_back_angry.wav",
        pattern=r"(?P<speaker>OA|YA)F?_(?P<text>[a-z]+)_(?P<emotion>[a-z]+)",  # F?: for OA_bite_neutral.wav
        emotion_codes=_codes(
            "angry=angry disgust=disgust fear=fearful happy=happy neutral=neutral ps=surprised sad=sad"
        ),  # ps: pleasantly surprised
        sexes=_sexes(women="OA YA"),
    ),
    Corpus(
        name="savee",
        title="SAVEE",
        licence="for research, to those who register",
        example="DC_a01.wav",  # flattened; its own is DC/a01.wav
        pattern=r"(?P<speaker>DC|JE|JK|KL)[_/](?P<text>(?P<emotion>[a-z]+)\d\d)",  # each emotion numbers its sentences
        emotion_codes=_codes("a=angry d=disgust f=fearful h=happy n=neutral sa=sad su=surprised"),
        sexes=_sexes(men="DC JE JK KL"),
    ),
    Corpus(
        name="emo-db",
        title="EMO-DB",
        licence="free to download, no licence named",
        example="03a01Fa.wav",
        pattern=r"(?P<speaker>\d\d)(?P<text>[ab]\d\d)(?P<emotion>[A-Z])[a-z]",  # the last letter: which version
        emotion_codes=_codes(
            "A=fearful E=disgust F=happy L=boredom N=neutral T=sad W=angry"
        ),  # first letters of German words
        sexes=_sexes(men="03 10 11 12 15", women="08 09 13 14 16"),
    ),
)
CORPORA = {corpus.name: corpus for corpus in _TABLE}

# Recordings labelled by folders or a table: see `custom`. Not in CORPORA, for it has no pattern and any labels. Its
# name and title are part of run directories and model files.
CUSTOM = Corpus("own", "own recordings", "on their owner's terms", example="", pattern="", emotion_codes={}, sexes={})
