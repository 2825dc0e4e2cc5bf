"""A small made-up data set in the layout of the assignment's: treebank.txt, synonyms.json, debug.txt.

Sentences follow templates over real English words: four meanings of one topic in its order, between function words. The
words of a meaning replace each other at random, so a model that learns anything gives them similar vectors;
`synonyms.json` lists them for half of the topics. All of it is a function of `SEED`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from shared.files import whole_file, write_json

SEED = 7
SENTENCES = 3000
_FUNCTION_WORDS = ("the", "a", "of", "and", "in", "to", "is", "was", "with", "for")
_TOPICS = """\
great superb wonderful, film movie picture, tells shows presents, moving touching tender, story tale plot,
    actor performer player, plays portrays acts, hero champion idol
funny comic amusing, joke gag jest, makes keeps leaves, happy glad cheerful, audience crowd public,
    laugh giggle chuckle, loud noisy rowdy, evening night dusk
hot warm heated, tea coffee cocoa, sweet sugary syrupy, cake pie tart, fresh new recent, bread loaf roll,
    cook chef baker, serves offers brings
old aged elderly, king queen emperor, rules governs leads, rich wealthy prosperous, kingdom realm empire,
    man woman person, loyal faithful devoted, soldier warrior fighter
fast quick rapid, car bus truck, drives rides travels, long lengthy extended, road street path,
    driver pilot rider, stops halts pauses, town city village
green leafy lush, forest wood jungle, grows sprouts blooms, tall high lofty, tree oak pine, bird owl hawk,
    sings chirps whistles, morning dawn sunrise
cold icy chilly, sea ocean lake, moves flows drifts, blue azure navy, water wave tide, boat ship vessel,
    sails floats glides, shore coast beach
clever smart bright, student pupil learner, reads studies learns, hard difficult tough, book novel text,
    teacher tutor professor, asks inquires wonders, question problem riddle
big large huge, house home cottage, has holds contains, wooden timber oaken, door gate entrance,
    room chamber hall, clean neat tidy, floor ground carpet
busy active diligent, worker employee laborer, builds constructs assembles, strong sturdy solid,
    bridge wall tower, boss manager director, pays rewards compensates, money cash wage
sick ill unwell, patient sufferer invalid, needs requires wants, good helpful useful, medicine drug remedy,
    doctor physician surgeon, cures heals treats, illness disease sickness
soft gentle quiet, music song melody, sounds rings echoes, sad gloomy mournful, violin guitar piano,
    singer vocalist musician, practices rehearses prepares, concert recital gig
"""
TOPICS = [
    [meaning.split() for meaning in topic.split(",")]
    for topic in _TOPICS.replace(",\n", ",").splitlines()
]
"""Topic -> meanings in the order of its sentences -> words of one meaning."""
_DEBUG_LINES = """\
i drink tea
we drink tea
they drink tea
i read a long book
we read a long book
they read a long book
i walk slow
we walk slow
they walk slow
the sky looks blue
the sea looks blue
all of them can sing
"""


def write(folder: Path) -> None:
    """Write the sample's three files into a folder, which is made if missing."""
    random = np.random.default_rng(SEED)
    with whole_file(folder / "treebank.txt") as file:
        file.writelines(_sentence(random) + "\n" for _ in range(SENTENCES))
    synonyms = [[word, others] for topic in TOPICS[::2] for word, *others in topic]
    write_json(folder / "synonyms.json", synonyms)
    with whole_file(folder / "debug.txt") as file:
        file.write(_DEBUG_LINES)


def _sentence(random: np.random.Generator) -> str:
    """Return one sentence: four meanings of one topic, in the topic's order, between function words."""
    topic = TOPICS[random.integers(len(TOPICS))]
    start = random.integers(len(topic))
    words = []
    for step in range(4):
        meaning = topic[(start + step) % len(topic)]
        words.append(_FUNCTION_WORDS[random.integers(len(_FUNCTION_WORDS))])
        words.append(meaning[random.integers(len(meaning))])
    return " ".join(words).capitalize() + "."
