"""English words for the made-up samples: nouns and verbs by scene, names, titles, praise and blame.

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

TITLES: tuple[str, ...] = tuple(
    """Afterglow Alibi Almanac Amber Apricot Archway Ashes Atlas Avalanche Aviary Balcony Ballad Beacon Bellows
    Birchwood
    Blizzard Bluebell Bonfire Boulevard Bramble Briar Cadence Canopy Caravan Carousel Cascade Cathedral Cedar Chandelier
    Chimera Cipher Citadel Clockwork Cobalt Comet Compass Copper Coral Crossroads Daybreak Delta Diamond Driftwood Dune
    Eclipse Ember Emerald Encore Equinox Estuary Evergreen Falcon Feather Firefly Flint Foxglove Frontier Galaxy Gazelle
    Geyser Gondola Granite Grotto Hailstorm Halcyon Harvest Hazel Heirloom Hemlock Heron Highland Homeward Horizon
    Hourglass Icicle Indigo Inkwell Ivory Jasmine Jigsaw Juniper Kaleidoscope Keystone Labyrinth Lagoon Lantern Larkspur
    Lighthouse Limelight Lullaby Magnolia Marble Meadow Meridian Midnight Mirage Monsoon Moonstone Mosaic Nightfall
    Nocturne Northbound Obsidian Octave Orchard Orchid Outpost Overture Palisade Parasol Passage Pendulum
    Pinnacle Plateau
    Prairie Quarry Quicksilver Rapture Ravine Riddle Rosewood Sandstone Sapphire Saffron Shadow Snowdrift Solstice
    Starling""".split()
)  # fmt: skip
"""Titles of films that do not exist, a word each."""

PRAISE: tuple[str, ...] = (
    *("brilliant", "moving", "charming", "superb", "funny", "clever", "gripping", "lovely"),
    *("delightful", "touching", "splendid", "wonderful"),
)
BLAME: tuple[str, ...] = (
    *("boring", "awful", "clumsy", "stupid", "dull", "tedious", "lifeless", "dreadful"),
    *("pointless", "shallow", "messy", "terrible"),
)
"""What reviews call a film: each list without words of the other."""
