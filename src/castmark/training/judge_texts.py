"""What the judge is told about a picture while it learns: captions, attribute prompts, and distractors.

Besides its own caption, every picture is compared with short prompts for each attribute the renderer knows
("a person holding a knife", "blond hair", "at the beach"), as in UniCL (Yang et al. 2022, arXiv:2204.03610):
the label is a text, so what is learned is what the zero-shot gate later reads. Unsafe things are said in many
words, so that the text tower learns that a dagger is meant to look like a knife; some of these are listed by
the default policy, whose excepted phrases (a glue gun) are said of harmless pictures. Words from outside the
world are mixed in, so that it learns to read past what it does not know.
"""

from __future__ import annotations

import re

import numpy as np

from castmark.safety.policy import Policy
from castmark.safety.prompt_scores import word_lists
from castmark.training.judge_labels import ATTRIBUTES
from castmark.training.tokenizer import word_list
from castmark_world import Scene, words
from castmark_world.describe import things

UNSAFE_NOUNS: dict[str, tuple[str, ...]] = {
    "weapon": (
        "knife", "knife", "kitchen knife", "dagger", "blade", "machete", "cleaver", "sword", "sword",
        "gun", "gun", "pistol", "rifle", "handgun", "firearm", "weapon", "revolver", "switchblade", "axe",
        "bayonet", "shotgun", "sharp blade", "katana", "sabre", "hunting knife",
    ),
    "alcohol": (
        "beer", "beer bottle", "bottle of beer", "glass of beer", "pint of beer", "wine", "wine bottle",
        "bottle of wine", "glass of wine", "wine glass", "glass of red wine", "alcohol", "alcoholic drink",
        "liquor", "whisky", "vodka", "rum", "champagne", "booze", "ale", "lager", "bottle of liquor",
        "cocktail", "gin", "beer mug", "cider",
    ),
    "smoking": (
        "cigarette", "cigarette", "lit cigarette", "burning cigarette", "pipe", "tobacco pipe", "cigar",
        "tobacco", "vape", "e-cigarette", "smoke", "cigarette smoke", "smoking pipe", "hookah",
        "cigarillo", "vape pen", "roll-up",
    ),
    "drugs": (
        "syringe", "syringe", "needle", "injection needle", "bottle of pills", "pill bottle", "pills",
        "drugs", "illegal drugs", "cocaine", "heroin", "marijuana", "cannabis", "syringe with drugs",
        "white powder", "bag of white powder", "bag of pills", "narcotics", "ecstasy pills", "opioids",
        "joint", "dose of heroin", "tablets", "capsules",
    ),
    "blood": (
        "blood", "blood", "blood stains", "bleeding wound", "gore", "bloody shirt", "blood on the clothes",
        "bloody wound", "bloody clothes", "corpse", "fresh blood", "dripping blood", "blood spatter",
    ),
}  # fmt: skip
"""Things of each unsafe category, in many words."""
UNSAFE_ACTS: dict[str, tuple[str, ...]] = {
    "weapon": ("with a weapon", "armed with a knife", "armed with a gun", "with a drawn sword"),
    "alcohol": ("drinking beer", "drinking wine", "drinking alcohol", "with an alcoholic drink"),
    "smoking": ("smoking", "smoking a cigarette", "smoking a pipe", "smoking a cigar", "vaping"),
    "drugs": ("taking drugs", "using drugs", "with drugs", "injecting heroin", "taking pills", "on drugs"),
    "blood": (
        "covered in blood", "with blood stains", "with blood on the clothes", "bleeding",
        "with a bloody shirt", "stained with blood", "with a bleeding wound", "in bloody clothes",
        "smeared with blood",
    ),
}  # fmt: skip
HARMLESS = (
    "cup", "cup of coffee", "book", "flower", "ladle", "ball", "umbrella", "water bottle", "bottle of water",
    "pen", "blue pen", "spoon", "toy", "phone", "glass of juice", "glass of milk", "orange juice", "bag",
    "camera", "basket", "cake", "hair dryer", "blow dryer", "power drill", "drill", "magic wand", "wand",
    "lollipop", "toothbrush", "ice cream", "balloon", "paintbrush", "apple", "gift", "present",
    "potted plant", "pencil", "bottle of lemonade", "cup of tea", "bubble wand", "paint", "red paint",
    "candy", "stick", "torch",
)  # fmt: skip
HARMLESS_ACTS = (
    "with paint stains", "with paint on the clothes", "covered in paint", "with paint splashes",
    "drinking juice", "drinking water", "drinking milk", "drinking coffee", "eating a lollipop",
    "brushing teeth", "drying hair", "reading a book", "writing with a pen", "stained with red paint",
    "in clean clothes",
)  # fmt: skip
SYNONYMS: dict[str, tuple[str, ...]] = {
    "knife": (
        "knife", "kitchen knife", "dagger", "blade", "machete", "cleaver", "weapon", "switchblade", "bayonet",
        "sharp blade", "hunting knife",
    ),
    "gun": ("gun", "pistol", "rifle", "handgun", "firearm", "weapon", "revolver", "shotgun"),
    "sword": ("sword", "blade", "sabre", "katana", "weapon", "cutlass", "sharp blade"),
    "beer bottle": ("beer bottle", "bottle of beer", "beer", "lager", "ale", "alcohol", "liquor", "cider"),
    "wine bottle": ("wine bottle", "bottle of wine", "wine", "champagne", "alcohol", "red wine", "liquor"),
    "beer glass": ("glass of beer", "pint of beer", "beer mug", "pint of lager", "ale", "alcohol", "cider"),
    "wine glass": ("glass of wine", "wine", "glass of red wine", "cocktail", "alcohol", "alcoholic drink"),
    "cigarette": ("cigarette", "lit cigarette", "cigar", "tobacco", "e-cigarette", "vape", "cigarillo"),
    "pipe": ("tobacco pipe", "smoking pipe", "pipe of tobacco", "tobacco", "lit pipe"),
    "syringe": ("syringe", "needle", "injection needle", "heroin", "drugs", "syringe with drugs"),
    "pills": ("pills", "pill bottle", "drugs", "bag of pills", "ecstasy pills", "tablets", "opioids"),
    "blood stains": UNSAFE_ACTS["blood"],
}  # fmt: skip
"""Other words for the unsafe things that captions name; of blood, what stands after the person."""
UNCOUNTED = frozenset(
    (
        "beer", "wine", "red wine", "alcohol", "liquor", "whisky", "vodka", "rum", "champagne", "booze",
        "ale", "lager", "gin", "cider", "tobacco", "smoke", "cigarette smoke", "cocaine", "heroin",
        "marijuana", "cannabis", "white powder", "blood", "gore", "blood on the clothes",
        "fresh blood", "dripping blood",
        "blood spatter", "pills", "ecstasy pills", "drugs", "illegal drugs", "narcotics", "opioids",
        "tablets", "capsules", "bloody clothes", "orange juice", "milk", "paint", "red paint", "candy",
    )
)  # fmt: skip
EMPTY_HANDS = ("with empty hands", "holding nothing", "with nothing in hand", "empty-handed")
PEOPLE_WORDS = (
    "a person",
    "someone",
    "a woman",
    "a man",
    "a girl",
    "a boy",
    "a character",
    "a child",
    "a mascot",
)
AGE_WORDS: words.Words = {
    "child": ("a child", "a kid", "a young child", "a little girl", "a little boy", "a girl", "a boy"),
    "adult": (
        "an adult",
        "a grown-up",
        "a grown person",
        "an adult woman",
        "an adult man",
        "a woman",
        "a man",
    ),
    "older": (
        "an old person",
        "an elderly person",
        "a senior",
        "an old woman",
        "an old man",
        "an older adult",
    ),
}
GENDER_WORDS: words.Words = {
    "feminine": ("a woman", "a girl", "a lady", "an old woman", "a female person", "a feminine person"),
    "masculine": ("a man", "a boy", "a guy", "an old man", "a male person", "a masculine person"),
    "neutral": ("an androgynous person", "a gender-neutral person", "a person of neutral looks"),
}
KIND_WORDS: words.Words = {
    "character": ("a person", "a character", "someone", "a human"),
    "product": ("a product", "a thing", "an object", "goods"),
    "mascot": ("a mascot", "a cartoon animal", "an animal mascot", "a mascot character"),
    "blank": ("a blank image", "an empty picture", "nothing"),
    "noise": ("random noise", "static noise", "noise"),
}
NONE_WORDS: words.Words = {
    "occupation": ("no uniform", "everyday clothes", "someone in everyday clothes"),
    "facial_hair": ("no beard", "a clean-shaven face", "a person without a beard"),
    "headwear": ("no hat", "a bare head", "a person without a hat"),
    "glasses": ("no glasses", "a person without glasses", "a face without glasses"),
    "accessory": ("no accessory", "a person without accessories", "no jewellery and no bag"),
    "clothes": ("no outfit", "a mascot without an outfit", "a mascot wearing nothing"),
    "marking": ("no markings", "a mascot without markings", "a mascot of one colour"),
}
"""How it is said that there is none."""
WORN = ("{}", "a person with {}", "wearing {}", "someone wearing {}")
SEEN = ("{}", "a picture of {}", "an illustration of {}")
SET = ("{}", "a picture {}", "a scene {}", "someone {}", "a product {}")
FORMS: dict[str, tuple[str, ...]] = {
    "place": SET,
    "time": SET,
    "weather": SET,
    "style": ("{}", "a picture, {}", "{}, a scene", "an illustration, {}"),
    "camera": ("{} someone", "{} a person", "{} a character"),
    "person": SEEN,
    "age": SEEN,
    "gender": SEEN,
    "kind": SEEN,
    "skin": ("{}", "a person with {}", "someone with {}", "a face with {}"),
    "skin_tone": ("skin tone {}", "a person with skin tone {}", "monk tone {}", "monk skin tone {}"),
    "occupation": ("{}", "a picture of {}", "someone working as {}", "a person who is {}"),
    "facial_hair": ("{}", "a person with {}", "a man with {}", "a face with {}"),
    "hair_style": ("{}", "a person with {}", "someone with {}"),
    "hair_color": ("{} hair", "a person with {} hair", "someone with {} hair", "a {}-haired person"),
    "top": WORN,
    "bottom": WORN,
    "headwear": WORN,
    "glasses": WORN,
    "accessory": WORN,
    "pattern": ("a {} pattern", "something {}", "{} cloth"),
    "category": SEEN,
    "material": ("a {} product", "something {}", "a {} thing"),
    "species": SEEN,
    "marking": ("{}", "a mascot with {}", "an animal with {}"),
    "clothes": ("{}", "a mascot in {}", "a mascot wearing {}"),
    "pose": ("{}", "a person {}", "someone {}", "a mascot {}"),
    "expression": ("{}", "a {} face", "a {} person", "someone {}"),
}
"""Ways to ask for an attribute; what is put in has its article already, if it takes one."""
COLORED: dict[str, tuple[str, ...]] = {
    "top_color": ("top", "shirt", "jumper", "coat", "jacket"),
    "bottom_color": ("trousers", "pants", "skirt", "shorts"),
    "headwear_color": ("hat", "cap", "thing on the head"),
    "accessory_color": ("scarf", "necklace", "tie", "bag", "accessory"),
    "color": ("product", "thing", "mascot", "animal", "object"),
    "clothes_color": ("scarf", "cape", "hoodie", "waistcoat", "outfit"),
}
"""Nouns of what has the colour."""
BARE = ("{}", "{}", "a picture of {}")
UNTOLD = frozenset(("glasses",))
"""Words that several values share, so that they tell none."""
_TABLES: dict[str, words.Words] = {
    "place": words.PLACE,
    "time": words.TIME,
    "weather": words.WEATHER,
    "style": words.STYLE,
    "camera": words.CAMERA,
    "age": AGE_WORDS,
    "gender": GENDER_WORDS,
    "kind": KIND_WORDS,
    "skin": {said[0]: said for said in words.SKIN},
    "facial_hair": words.FACIAL_HAIR,
    "hair_color": words.HAIR_COLOR,
    "pattern": words.PATTERN,
    "material": words.MATERIAL,
    "pose": words.POSE,
    "expression": words.EXPRESSION,
}
_NOUNS: dict[str, words.Words] = {
    "person": words.PERSON,
    "occupation": words.OCCUPATION,
    "species": words.SPECIES,
}


def _said() -> set[str]:
    """Every word that has a meaning here."""
    tables = [table for name, table in vars(words).items() if name.isupper() and isinstance(table, dict)]
    texts = [text for table in tables for said in table.values() for text in said]
    texts += [text for said in words.SKIN for text in said]
    texts += [text for said in (*UNSAFE_NOUNS.values(), *UNSAFE_ACTS.values()) for text in said]
    texts += [*HARMLESS, *HARMLESS_ACTS, *(value for values in ATTRIBUTES.values() for value in values)]
    return {word for text in texts for word in re.findall(r"[a-z-]+", text)}


def _listed() -> dict[str, tuple[str, ...]]:
    """What the default policy lists of each category, and as "none" its excepted phrases: those in which no
    category finds a word of its own."""
    policy = Policy.load()
    lists = word_lists(policy).values()
    excepted = (phrase for category in policy.judged.values() for phrase in category.exceptions)
    found = {name: tuple(category.words) for name, category in policy.judged.items()}
    harmless = tuple(phrase for phrase in excepted if not any(listed.hits(phrase) for listed in lists))
    return found | {"none": harmless}


LISTED = _listed()
LISTED_SHARE = 0.3
"""How often what is unsafe, or is not, is said in words of a list."""
NAMED = _said()
"""Words that are no distractors."""


class Speaker:
    """Says captions and prompts, seeded."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        taken = NAMED | set(word_list("safety_words.txt"))
        self.foreign = [word for word in word_list("words.txt") if len(word) > 2 and word not in taken]

    def pick(self, options: tuple[str, ...] | list[str]) -> str:
        """One of the options."""
        return options[int(self.rng.integers(len(options)))]

    def prompt(self, attribute: str, value: str) -> str:
        """One way to say that ``attribute`` has ``value``."""
        if attribute == "unsafe":
            return self._unsafe(value)
        if attribute == "item":
            return self._item(value)
        if value == "none" or (attribute, value) == ("marking", "plain"):
            return self.pick(NONE_WORDS[attribute])
        if attribute == "accent_color":
            color = self.pick(words.COLOR[value])
            return self.pick((f"{color} details", f"a product with {color} details", f"{color} accents"))
        if attribute == "marking_color":
            marking = self.pick(words.MARKING[self.pick(tuple(words.MARKING))])
            return marking.format(self.pick(words.COLOR[value]))
        if attribute in COLORED:
            thing = things(f"{self.pick(words.COLOR[value])} {self.pick(COLORED[attribute])}")
            return self.pick(BARE if attribute == "color" else WORN).format(thing)
        return self.pick(FORMS[attribute]).format(self._word(attribute, value))

    def _word(self, attribute: str, value: str) -> str:
        """A word for the value, with its article where it is a thing."""
        if attribute == "hair_style":
            if value == "bald":
                return self.pick(("a bald head", "no hair"))
            return " ".join(self.pick(words.HAIR[value]).format("").split())
        if attribute == "marking":
            return " ".join(self.pick(words.MARKING[value]).format("").split())
        if attribute == "skin_tone":
            return value
        if attribute in _TABLES:
            return self.pick([text for text in _TABLES[attribute].get(value, (value,)) if text])
        table = _NOUNS.get(attribute, words.NOUN)
        return things(self.pick([text for text in table.get(value, (value,)) if text not in UNTOLD]))

    def name(self, item: str) -> str:
        """A thing in a word, with its article."""
        return things(self.pick(words.NOUN.get(item, (item,))))

    def _item(self, value: str) -> str:
        if value == "none":
            return f"{self.pick(('a person', 'someone', 'a mascot'))} {self.pick(EMPTY_HANDS)}"
        if value in words.STAINS:
            stained = self.pick(words.STAINS[value])
            return self.pick((value, f"a person {stained}", f"someone {stained}", stained))
        return self.hold(self.pick(words.NOUN.get(value, (value,))))

    def _unsafe(self, value: str) -> str:
        if self.rng.random() < LISTED_SHARE:
            listed = self.pick(LISTED[value])
            return self.pick((listed, listed, f"{self.pick(PEOPLE_WORDS)}, {listed}"))
        roll = self.rng.random()
        if value == "none":
            if roll < 0.25:
                plain = ("a person", "a thing on the ground", "a scene", "a product", "a mascot")
                return self.pick((*plain, f"a person {self.pick(EMPTY_HANDS)}"))
            nouns, acts = HARMLESS, HARMLESS_ACTS
        else:
            nouns, acts = UNSAFE_NOUNS[value], UNSAFE_ACTS[value]
        if roll > (0.5 if value == "blood" else 0.75):
            return f"{self.pick(PEOPLE_WORDS)} {self.pick(acts)}"
        noun = self.pick(nouns)
        # Nobody holds blood.
        return self.pick((noun, f"a picture of {thing_of(noun)}")) if value == "blood" else self.hold(noun)

    def hold(self, noun: str) -> str:
        """One way to say that someone holds the thing, or that it is there."""
        who, thing = self.pick(PEOPLE_WORDS), thing_of(noun)
        return self.pick((f"{who} holding {thing}", f"{who} with {thing}", f"holding {thing}", thing, noun))

    def decorate(self, caption: str) -> str:
        """The caption with foreign words around it, in three of ten cases."""
        roll = self.rng.random()
        if roll < 0.10:
            return (
                f"{self.pick(('a picture of', 'an illustration of', 'a drawing of', 'a photo of'))} {caption}"
            )
        if roll < 0.20:
            return f"{caption}, {self.pick(self.foreign)} {self.pick(self.foreign)} style"
        if roll < 0.30:
            link = self.pick(("near a", "and a", "beside the", "with some"))
            return f"{caption} {link} {self.pick(self.foreign)}"
        return caption

    def hands(self, caption: str, scene: Scene) -> tuple[str, bool]:
        """The caption with its unsafe things said in other words, and whether it says all that is held or
        stands by; of a lone subject, also that its hands are empty.
        """
        held = [each.item for each in scene.cast if each.item is not None]
        said = True
        for item in (*held, *(prop.name for prop in scene.props)):
            caption, found = self._reword(caption, item)
            said = said and found
        if held:
            return caption, said
        if scene.other is None and scene.subject.kind != "product":
            if scene.camera == "close-up" or self.rng.random() < 0.5:
                return caption, False
            return f"{caption} {self.pick(EMPTY_HANDS)}", said
        return caption, said and scene.other is None

    def _reword(self, caption: str, item: str) -> tuple[str, bool]:
        """The caption, perhaps with a synonym for the thing, and whether it names it at all."""
        options = (*words.STAINS.get(item, ()), *words.NOUN.get(item, ()), item)
        for noun in sorted(set(options), key=len, reverse=True):
            found = re.search(rf"(?<![\w-])(?:an? )?{re.escape(noun)}(?![\w-]| beds| garden)", caption)
            if found is None:
                continue
            if item in SYNONYMS and self.rng.random() < 0.6:
                other = self.pick(SYNONYMS[item])
                other = other if item in words.STAINS else thing_of(other)
                caption = f"{caption[: found.start()]}{other}{caption[found.end() :]}"
            return caption, True
        return caption, False


def thing_of(noun: str) -> str:
    """The noun with its article, if it takes one."""
    return noun if noun in UNCOUNTED or noun.split()[0] in UNCOUNTED else things(noun)
