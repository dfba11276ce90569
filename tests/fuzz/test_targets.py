"""A few seconds of `fuzz.py` without atheris: seeds, damaged the same way each time, are answered or refused."""

from random import Random

import pytest

from tests.fuzz.targets import TARGETS

ROUNDS = {"settings": 30, "pipe": 200}  # the slower ones
INTERESTING = (0, 1, 0x7F, 0x80, 0xFF)


def damaged(seed: bytes, random: Random) -> bytes:
    """A few bytes changed, left out or doubled, mostly at the beginning, where headers are; sometimes cut."""
    content = bytearray(seed)
    for _ in range(random.randint(1, 6)):
        end = min(len(content), random.choice((64, 400, len(content) or 1)))
        place, length = random.randrange(end + 1), random.choice((1, 1, 2, 4, 8))
        there = content[place : place + length]
        one = bytes([random.choice((*INTERESTING, random.randrange(256)))])
        content[place : place + length] = random.choice((one * len(there), one * len(there), b"", 2 * there))
    return bytes(content[: random.randrange(len(content) + 1)] if random.random() < 0.2 else content)


@pytest.mark.parametrize("name", TARGETS)
def test_damaged_seeds_are_answered_or_refused(name: str) -> None:
    target, random = TARGETS[name], Random(0)
    seeds = target.seeds()
    for seed in seeds:
        target.throw(seed)
    for _ in range(ROUNDS.get(name, 500)):
        target.throw(damaged(random.choice(seeds), random))
