"""English words for the made-up samples: synonyms by topic, nouns and verbs by topic, names, titles, praise and blame.

So that an example in a README works on the model of a sample. Which words follow which is decided by each sample.
"""

from __future__ import annotations


def _rows(text: str) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(line.split()) for line in text.strip().splitlines())


SYNONYMS: dict[str, tuple[tuple[str, ...], ...]] = {
    "film": _rows("""
        film movie picture
        actor performer star
        story plot tale
        scene moment sequence
        comedy farce satire
        funny amusing hilarious
        boring dull tedious
        director filmmaker auteur"""),
    "feeling": _rows("""
        happy glad cheerful
        sad unhappy gloomy
        angry furious mad
        afraid scared frightened
        love adore cherish
        hate despise loathe
        calm peaceful serene
        joy delight pleasure"""),
    "size": _rows("""
        big large huge
        small little tiny
        tall high lofty
        wide broad spacious
        thin slim slender
        heavy weighty massive
        long extended lengthy
        short brief concise"""),
    "motion": _rows("""
        run sprint dash
        walk stroll wander
        jump leap hop
        fast quick rapid
        slow sluggish unhurried
        arrive come appear
        leave depart exit
        travel journey voyage"""),
    "speech": _rows("""
        say state declare
        shout yell scream
        whisper murmur mutter
        ask inquire question
        answer reply respond
        talk chat converse
        speech lecture address
        word term expression"""),
    "home": _rows("""
        house home dwelling
        sofa couch settee
        room chamber hall
        garden yard lawn
        fence barrier wall
        clean tidy neat
        dirty filthy grimy
        build construct erect"""),
    "food": _rows("""
        food meal dish
        dinner supper feast
        bread loaf roll
        tasty delicious savory
        cook chef baker
        hungry starving famished
        drink beverage refreshment
        eat consume devour"""),
    "nature": _rows("""
        forest wood jungle
        river stream creek
        sea ocean gulf
        hill mound slope
        stone rock pebble
        wind breeze gale
        rain shower drizzle
        path trail track"""),
    "work": _rows("""
        job work occupation
        boss manager supervisor
        worker employee laborer
        pay wage salary
        office workplace bureau
        hard difficult tough
        easy simple effortless
        begin start commence"""),
    "school": _rows("""
        teacher tutor instructor
        pupil student learner
        lesson class course
        learn study memorize
        smart clever bright
        stupid foolish silly
        mistake error fault
        test exam quiz"""),
    "money": _rows("""
        money cash funds
        rich wealthy affluent
        poor needy penniless
        buy purchase acquire
        sell trade vend
        cheap inexpensive budget
        costly expensive pricey
        gift present donation"""),
    "health": _rows("""
        doctor physician medic
        sick ill unwell
        healthy fit robust
        pain ache soreness
        medicine drug remedy
        wound injury cut
        tired weary exhausted
        strong powerful mighty"""),
}
"""Topic -> 8 meanings of 3 words each; no word is there twice."""

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
