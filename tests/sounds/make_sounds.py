"""Synthesises the sounds beside this file: one sentence, spoken by espeak-ng with different prosody.

    sudo apt-get install espeak-ng
    .venv/bin/python tests/sounds/make_sounds.py

Voice, pace, pitch and loudness were chosen so that both bundled models give each sound the same label, and each another
one. That shows how answers look, not how good they are: no emotion was spoken, and the models were trained on human
voices only.
"""

import io
import subprocess
from pathlib import Path

import soundfile
import soxr

HERE = Path(__file__).parent
RATE = 16_000  # Hz
SENTENCE = "Kids are talking by the door"
# Name: voice, words a minute, pitch 0..99, range of the pitch in percent of the voice's, amplitude 0..200, last mark.
VOICES = {
    "fast-high": ("en-us+anika", 191, 72, 50, 190, "?"),  # fearful
    "loud-low": ("en-us+f4", 225, 26, 70, 200, "!"),  # angry
    "plain": ("en-us+anika", 165, 1, 70, 100, "."),  # neutral
    "slow-soft": ("en-us+travis", 119, 1, 70, 25, "?"),  # sad
    "varied-pitch": ("en-us+steph", 113, 10, 400, 120, "."),  # calm
}


def main() -> None:
    """Writes a 16 kHz, 16-bit WAV for each voice."""
    for name, (voice, speed, pitch, pitch_range, amplitude, mark) in VOICES.items():
        command = ["espeak-ng", "-v", voice, "-s", str(speed), "-p", str(pitch), "-a", str(amplitude), "--stdout"]
        text = f'<prosody range="{pitch_range}%">{SENTENCE}{mark}</prosody>'
        wav = subprocess.run([*command, "-m", text], capture_output=True, check=True).stdout
        samples, rate = soundfile.read(io.BytesIO(wav), dtype="float32")
        soundfile.write(HERE / f"{name}.wav", soxr.resample(samples, rate, RATE), RATE, subtype="PCM_16")


if __name__ == "__main__":
    main()
