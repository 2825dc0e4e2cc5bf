"""English words for the made-up samples: nouns and verbs by scene, and names.

So that an example in a README works on the model of a sample. Which words follow which is decided by each sample.
"""

from __future__ import annotations

SCENES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "sea": (
        ("ship", "captain", "harbor", "storm", "island", "sailor", "wave", "anchor"),
        ("crossed", "reached", "followed", "watched"),
    ),
    "kitchen": (
        ("cook", "oven", "bread", "soup", "table", "kettle", "knife", "plate"),
        ("baked", "served", "tasted", "carried"),
    ),
    "castle": (
        ("king", "queen", "tower", "gate", "sword", "bridge", "knight", "crown"),
        ("guarded", "defended", "built", "lost"),
    ),
    "garden": (
        ("gardener", "rose", "tree", "fence", "apple", "pond", "bee", "hedge"),
        ("planted", "watered", "picked", "painted"),
    ),
    "school": (
        ("teacher", "lesson", "student", "book", "letter", "exam", "desk", "library"),
        ("read", "wrote", "forgot", "explained"),
    ),
    "railway": (
        ("train", "driver", "station", "ticket", "engine", "platform", "clock", "tunnel"),
        ("missed", "boarded", "drove", "repaired"),
    ),
    "stage": (
        ("singer", "piano", "song", "dancer", "curtain", "violin", "choir", "drum"),
        ("played", "heard", "praised", "rehearsed"),
    ),
    "mountain": (
        ("climber", "summit", "valley", "rope", "glacier", "eagle", "hut", "cliff"),
        ("climbed", "saw", "feared", "named"),
    ),
}
"""Scene -> 8 nouns, the most frequent first, and 4 verbs in the past tense; no word is there twice."""

NAMES: tuple[str, ...] = tuple(
    """Alice Arthur Clara Daniel Edith Felix Grace Henry Irene Jacob Laura Martin Nora Oscar Paula Robert Sarah Thomas
    Ursula Victor Wendy Anthony Bertha Charles Dora Edward Frank George Helen Isaac Julia Leonard""".split()
)  # fmt: skip
"""First names."""
