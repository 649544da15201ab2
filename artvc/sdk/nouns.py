"""Names for runs that people can say: adjective, noun, and the number of the run in its project."""

import secrets
from typing import Final

ADJECTIVES: Final = tuple(
    ["amber", "ample", "apt", "ardent", "brave", "breezy", "bright", "brisk", "calm", "candid", "cheery", "civil", "clear", "clever", "cosy", "crisp", "curious", "dapper", "daring", "deft", "eager", "early", "easy", "fair", "fleet", "fond", "fresh", "gentle", "glad", "golden", "grand", "happy", "hardy", "hearty", "honest", "humble", "jolly", "keen", "kind", "light", "lively", "loyal", "lucid", "lucky", "mellow", "merry", "mild", "misty", "neat", "nimble", "noble", "patient", "placid", "plucky", "polite", "proud", "quick", "quiet", "ready", "rosy", "rustic", "serene", "sharp", "shiny", "silent", "silver", "sleek", "smooth", "snowy", "solid", "spry", "steady", "stout", "sunny", "swift", "tidy", "tranquil", "vivid", "warm", "wise", "witty", "young", "zesty"]
)
NOUNS: Final = tuple(
    ["acorn", "alder", "aspen", "badger", "bay", "beacon", "birch", "bloom", "bluff", "breeze", "brook", "canyon", "cedar", "cliff", "cloud", "clover", "comet", "coral", "cove", "crane", "creek", "dale", "dawn", "delta", "dew", "dune", "dusk", "eagle", "elm", "ember", "falcon", "fern", "field", "finch", "fjord", "flame", "forest", "fox", "frost", "garden", "glade", "glen", "grove", "harbor", "haven", "hawk", "hazel", "heron", "hill", "island", "ivy", "lagoon", "lake", "lark", "leaf", "ledge", "lynx", "maple", "marsh", "meadow", "mesa", "moon", "moss", "oak", "ocean", "orchid", "otter", "owl", "peak", "pebble", "pine", "plain", "planet", "pond", "poplar", "prairie", "rain", "raven", "reef", "ridge", "river", "robin", "sage", "shore", "sky", "smoke", "snow", "spruce", "star", "stone", "storm", "stream", "summit", "sunset", "swan", "thicket", "thunder", "tide", "trail", "tree", "valley", "violet", "wave", "willow", "wind", "wood", "wren"]
)


def run_name(number: int) -> str:
    """For example ``sunny-smoke-1``.

    Args:
        number: of the run in its project, from 1.
    """
    return f"{secrets.choice(ADJECTIVES)}-{secrets.choice(NOUNS)}-{number}"
