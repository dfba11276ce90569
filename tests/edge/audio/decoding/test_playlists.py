"""A file that names others, or an address, opens neither."""

import io
import shutil
from pathlib import Path

import pytest

from ser_edge.audio.decoding import ffmpeg as media
from ser_edge.audio.decoding.decoder import open_sound
from ser_edge.errors import AudioError

PLAYLISTS = {
    "concat": "ffconcat version 1.0\nfile '{path}'\n",
    "HLS": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{path}\n#EXT-X-ENDLIST\n",
    "HLS, URL": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile://{path}\n#EXT-X-ENDLIST\n",
    "session": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n",
}


@pytest.mark.parametrize("decoder", ["PyAV", "ffmpeg"])
@pytest.mark.parametrize("path", ["plain.wav", "tests/sounds/plain.wav"])
@pytest.mark.parametrize("kind", PLAYLISTS)
def test_what_names_other_files_is_no_sound(
    kind: str, path: str, decoder: str, sounds: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(media, "decoder", lambda: decoder)
    if decoder == "ffmpeg" and shutil.which("ffmpeg") is None:
        pytest.skip("no ffmpeg")
    playlist = tmp_path / "sound.m4a"
    for place in (path, str(sounds[0].parent / "plain.wav")):
        playlist.write_text(PLAYLISTS[kind].format(path=place))
        (tmp_path / "plain.wav").write_bytes(sounds[0].read_bytes())
        for source in (playlist, io.BytesIO(playlist.read_bytes())):
            with pytest.raises(AudioError) as caught, open_sound(source, "sound.m4a") as sound:
                list(sound.chunks)
            assert caught.value.code in ("audio-unknown-format", "audio-damaged")
