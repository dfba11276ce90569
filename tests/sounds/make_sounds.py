"""Makes the sounds beside this file: one sentence, spoken by espeak-ng with different prosody.

    sudo apt-get install espeak-ng
    .venv/bin/python tests/sounds/make_sounds.py

They show the path from a sound to an answer, not how good the answer is: no emotion went into them, and a network that
heard 24 actors never heard a machine speak. So their names tell the prosody, and no test asks for an emotion.
"""

import io
import subprocess
from pathlib import Path

import soundfile
import soxr

HERE = Path(__file__).parent
RATE = 16_000  # Hz
SENTENCE = "Kids are talking by the door."
VOICES = {  # espeak-ng: -s words a minute, -p pitch 0..99, -a amplitude 0..200, -v voice
    "fast-high": ("-s", "230", "-p", "85", "-a", "190", "-v", "en-us+f3"),
    "loud-low": ("-s", "175", "-p", "20", "-a", "200", "-v", "en-us+m3"),
    "plain": ("-s", "160", "-p", "50", "-a", "100", "-v", "en-us"),
    "slow-soft": ("-s", "105", "-p", "30", "-a", "25", "-v", "en-us+f2"),
    "whispered": ("-s", "140", "-p", "40", "-a", "80", "-v", "en-us+whisper"),
}


def main() -> None:
    """Writes a 16 kHz, 16-bit WAV for each voice."""
    for name, options in VOICES.items():
        spoken = subprocess.run(["espeak-ng", *options, "--stdout", SENTENCE], capture_output=True, check=True).stdout
        samples, rate = soundfile.read(io.BytesIO(spoken), dtype="float32")
        soundfile.write(HERE / f"{name}.wav", soxr.resample(samples, rate, RATE), RATE, subtype="PCM_16")


if __name__ == "__main__":
    main()
