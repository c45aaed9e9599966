"""A filtered prompt in milder words: the one rewrite that it gets. By rules, so that it is free and always the same.

Words that filters look for become plainer ones in the same place of the sentence, and people's names "a person".
"""

from __future__ import annotations

import re

_MILDER = {
    r"blood(?:y|ied|stain(?:s|ed)?)?": "red paint",
    r"(?:hand)?guns?|rifles?|pistols?|weapons?|shotguns?|revolvers?": "tool",
    r"kni(?:fe|ves)|daggers?|swords?|machetes?": "kitchen tool",
    r"bombs?|grenades?|explosives?|missiles?": "box",
    r"explosions?|exploding": "bright light",
    r"(?:dead )?(?:bod(?:y|ies)|corpses?)": "figure lying down",
    r"dead|dying|killed|murdered|wounded|injured": "resting",
    r"kill(?:s|ing)?|murder(?:s|ing)?|shoot(?:s|ing)?|shot at|stab(?:s|bing|bed)?|attack(?:s|ing|ed)?": "meeting",
    r"fight(?:s|ing)?|punch(?:es|ing|ed)?|war|battle": "gathering",
    r"naked|nude|topless|shirtless|undressed|lingerie|underwear": "dressed",
    r"bikinis?|swimsuits?": "summer clothes",
    r"sexy|sensual|erotic|seductive": "elegant",
    r"kiss(?:es|ing|ed)?": "greeting",
    r"drunk|intoxicated|high on \w+": "tired",
    r"drugs?|cocaine|heroin|marijuana|cannabis|weed|needles?|syringes?": "parcel",
    r"cigarettes?|cigars?|joints?": "cup",
    r"smoking": "sitting",
    r"suicide|hanging himself|hanging herself|torture[sd]?": "silence",
    r"terrorists?|nazis?|gangsters?|soldiers?": "people",
    r"children|kids|toddlers?|bab(?:y|ies)|infants?|teenagers?": "people",
}
_RULES = [(re.compile(rf"\b(?:{pattern})\b", re.IGNORECASE), milder) for pattern, milder in _MILDER.items()]
_NAME = re.compile(r"(?<=[a-z,] )(?:[A-Z][a-z]+ ){1,2}[A-Z][a-z]+\b")


def soften(prompt: str) -> str:
    """The prompt in milder words; the same when there is nothing in it that the rules know."""
    for pattern, milder in _RULES:
        prompt = pattern.sub(milder, prompt)
    return _NAME.sub("a person", prompt)
