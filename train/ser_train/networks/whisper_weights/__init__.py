"""The encoder weights of Whisper tiny.en, from the formats that they are published in."""
