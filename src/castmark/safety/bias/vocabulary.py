"""Words for people, and what they state of gender presentation, age and skin tone: lists, read elsewhere.

A list that ends too early leaves a prompt as it is; one that goes too far rewrites what somebody wrote. So
what is not listed is taken for something said (`castmark.safety.bias.words`).
"""

from __future__ import annotations

from castmark_world import words

STATED: dict[str, dict[str, str]] = {
    "gender": {
        "feminine": "woman women lady ladies girl girls female mother grandmother sister daughter aunt "
        "queen princess actress waitress nun bride grandma granny wife mum mom she her",
        "masculine": "man men guy guys gentleman gentlemen boy boys male father grandfather brother son "
        "uncle king prince actor monk groom grandpa husband dad fisherman fireman he him his",
    },
    "age": {
        "child": "girl girls boy boys child children kid kids baby babies toddler toddlers infant teen teens "
        "teenager teenagers teenage adolescent schoolgirl schoolboy pupil",
        "adult": "woman women man men lady ladies guy guys gentleman gentlemen adult adults mother father "
        "bride groom middle.aged",
        "older": "elderly senior seniors pensioner pensioners grandmother grandfather grandma grandpa granny",
    },
}
NOT_NOUNS = frozenset(
    "female male she her he him his elderly senior teenage adolescent middle.aged".split()  # noqa: SIM905
)
"""Words of `STATED` that stand before a noun or for one."""
GENDERED: dict[str, tuple[str, ...]] = {
    "non-?binary|androgynous|genderqueer|gender-?fluid|agender": ("neutral",),
    "transgender|trans(?!-)|intersex": ("feminine", "masculine", "neutral"),
    "bearded|beards?|mou?staches?|mou?stached|goatees?": ("masculine", "neutral"),
    "pregnant": ("feminine", "neutral"),
    "latina|filipina": ("feminine",),
}
"""Words that say something of gender where nothing plainer does, and what they leave possible."""
LIGHT, BROWN, DARK = range(1, 6), range(5, 9), range(7, 11)
TONED: dict[str, range] = {
    "albino|pale|white|caucasian": LIGHT,
    "tan|tanned|suntanned": range(4, 8),
    "brown": BROWN,
    "black": DARK,
}
"""Words that say something of skin before a word for a person, and the tones of the Monk scale, loosely."""
PEOPLES = (
    "african", "asian", "european", "american", "latin american", "native american", "latino", "latina",
    "latinx", "latin", "hispanic", "arab", "arabic", "middle[ -]eastern", "indian", "pakistani",
    "bangladeshi", "nepali", "nepalese", "tibetan", "sri lankan", "chinese", "taiwanese", "japanese",
    "korean", "vietnamese", "thai", "cambodian", "burmese", "filipino", "filipina", "indonesian",
    "malaysian", "mongolian", "persian", "iranian", "iraqi", "syrian", "lebanese", "turkish", "kurdish",
    "israeli", "jewish", "palestinian", "saudi", "yemeni", "egyptian", "moroccan", "algerian", "tunisian",
    "libyan", "berber", "ethiopian", "eritrean", "somali", "sudanese", "nigerian", "ghanaian", "senegalese",
    "malian", "ivorian", "kenyan", "ugandan", "tanzanian", "rwandan", "congolese", "angolan", "zulu",
    "maasai", "zimbabwean", "mexican", "guatemalan", "cuban", "jamaican", "haitian", "dominican",
    "puerto rican", "caribbean", "brazilian", "argentinian", "argentine", "chilean", "peruvian", "bolivian",
    "colombian", "venezuelan", "canadian", "australian", "aboriginal", "maori", "polynesian", "hawaiian",
    "samoan", "inuit", "indigenous", "british", "english", "scottish", "irish", "welsh", "french", "german",
    "dutch", "belgian", "swiss", "austrian", "italian", "spanish", "portuguese", "greek", "polish", "czech",
    "slovak", "hungarian", "romanian", "bulgarian", "serbian", "croatian", "bosnian", "albanian",
    "ukrainian", "russian", "finnish", "swedish", "norwegian", "danish", "icelandic", "estonian", "latvian",
    "lithuanian", "georgian", "armenian", "kazakh", "uzbek", "afghan", "nordic", "scandinavian", "slavic",
    "mediterranean", "romani", "mixed[ -]race", "biracial", "multiracial",
    "(?:north|south|east|west)(?:ern)?",
)  # fmt: skip
"""Peoples and places before a word for a person: they say something of skin, and no tone in particular."""
PLAIN = (
    "teenage", "adolescent", "young", "old", "older", "elderly", "senior", "middle[ -]aged",
    r"\d{1,3}[ -]years?[ -]old", "smiling",
    "happy", "cheerful", "laughing", "serious", "sad", "angry", "tired", "calm", "friendly", "busy", "proud",
    "confident", "surprised", "astonished", "relaxed", "thoughtful", "lonely", "single", "lone", "tall",
    "short", "little", "small", "big", "slim", "thin", "strong", "elegant", "stylish", "fashionable",
    "professional", "experienced", "hardworking", "real", "realistic", "ordinary", "random",
)  # fmt: skip
"""Adjectives that leave gender presentation and skin open."""
OPEN_PERSON = (
    "person", "someone", "somebody", "human", "character", "individual", "figure",
)  # fmt: skip
"""Words for one person that say nothing of who it is."""
OCCUPATIONS = (
    "doctor", "nurse", "teacher", "student", "chef", "cook", "farmer", "pilot", "astronaut", "soldier",
    "firefighter", "police officer", "judge", "lawyer", "engineer", "scientist", "artist", "painter",
    "singer", "dancer", "musician", "athlete", "builder", "carpenter", "mechanic", "plumber", "electrician",
    "barber", "bartender", "clerk", "cashier", "manager", "boss", "secretary", "journalist", "photographer",
    "writer", "librarian", "tailor", "baker", "butcher", "gardener", "driver", "cyclist", "receptionist",
    "physician", "cleaner", "janitor", "researcher", "cop", "waiter", "school teacher", "airline pilot",
    "construction engineer", "business manager",
)  # fmt: skip
"""Words for one person by occupation."""
AFTER = (
    "at", "in", "on", "with", "by", "near", "and", "or", "who", "whose", "that", "while", "as", "under",
    "over", "behind", "beside", "between", "among", "against", "along", "across", "around", "inside",
    "outside", "through", "towards?", "before", "after", "during", "without", "into", "onto", "beneath",
    "above", "below", "next to", "in front of", "from (?:behind|above|below|afar|the (?:side|front|back))",
    "is", "was", "has", "sits", "stands", "walks", "runs", "looks", "holds", "wears", "waits", "works",
    "smiles", "reads", "sleeps", "rides", "plays", "dances", "eats", "drinks", "jumps", "leans", "lies",
    "kneels", "sings", "carries", "drives", "talks", "laughs", "waves", "points", "alone", "outdoors",
    "indoors", "here", "there", "today", "together", "seated", "dressed", "surrounded", "covered", "seen",
    "lit", "posed", "lost", "asleep", "happy", "serious", "sad", "surprised", "astonished", "slowly",
    "quickly", "quietly", "happily",
)  # fmt: skip
"""What may follow a word for a person that stands for one; before another noun it does not ("a nurse
shark", "a pilot pen")."""
THINGS_IN_ING = (
    "being", "building", "thing", "king", "ring", "string", "spring", "wing", "morning", "evening",
    "ceiling", "clothing", "housing", "meeting", "training", "parking", "skating", "earring", "painting",
    "drawing", "pudding", "wedding", "railing", "stocking", "crossing",
)  # fmt: skip
"""Nouns that end as what somebody is doing does."""
LIKENESS = (
    "photo|photograph|picture|image|portrait|headshot|close-?up|shot|drawing|illustration|painting|sketch"
)
"""After "... of" a word for a person needs no article."""


def _tones() -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {"olive": ("monk 05",), "black": ("monk 09", "monk 10")}
    for number, ways in enumerate(words.SKIN, start=1):
        for way in ways:
            word = way.removesuffix(" skin")
            found[word] = (*found.get(word, ()), f"monk {number:02d}")
    return found


SKIN = _tones()
"""Words for skin, and the tones of the Monk scale they stand for in the world's captions."""
