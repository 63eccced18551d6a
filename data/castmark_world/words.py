"""The words of the full grammar: every value of every attribute, said in several ways.

The first of several ways is the plain one, which class phrases use.
"""

from __future__ import annotations

from typing import TypeAlias

Words: TypeAlias = dict[str, tuple[str, ...]]

PERSON: Words = {
    "woman": ("woman", "woman", "lady"),
    "man": ("man", "man", "guy", "gentleman"),
    "person": ("person", "person", "adult"),
    "girl": ("girl", "little girl", "young girl"),
    "boy": ("boy", "little boy", "young boy"),
    "child": ("child", "kid", "young child"),
    "old woman": ("old woman", "old lady", "elderly woman", "older woman", "grandmother"),
    "old man": ("old man", "elderly man", "older man", "old gentleman", "grandfather"),
    "old person": ("old person", "elderly person", "older person", "senior"),
}
GENDER: Words = {"feminine": ("female", "woman"), "masculine": ("male",), "neutral": ("",)}
AGED: Words = {"older": ("old", "elderly", "older"), "adult": ("",), "child": ("young",)}
OCCUPATION: Words = {
    "doctor": ("doctor", "physician"),
    "nurse": ("nurse",),
    "chef": ("chef", "cook"),
    "firefighter": ("firefighter",),
    "teacher": ("teacher", "school teacher"),
    "engineer": ("engineer", "construction engineer"),
    "manager": ("manager", "business manager"),
    "artist": ("artist", "painter"),
    "farmer": ("farmer",),
    "police officer": ("police officer", "cop"),
    "scientist": ("scientist", "researcher"),
    "cleaner": ("cleaner", "janitor"),
    "pilot": ("pilot", "airline pilot"),
    "waiter": ("waiter", "server"),
}
SKIN: tuple[tuple[str, ...], ...] = (
    ("very light skin", "very pale skin", "very fair skin"),
    ("very light skin", "very pale skin", "very fair skin"),
    ("light skin", "fair skin", "pale skin"),
    ("light skin", "fair skin"),
    ("medium skin", "light brown skin"),
    ("tan skin", "tanned skin", "light brown skin"),
    ("brown skin",),
    ("dark skin", "dark brown skin"),
    ("very dark skin", "deep dark skin"),
    ("very dark skin", "deep dark skin"),
)
HAIR: Words = {
    "short": ("short {} hair", "short {} hair", "cropped {} hair"),
    "bob": ("bobbed {} hair", "a {} bob", "chin-length {} hair"),
    "long": ("long {} hair", "long straight {} hair"),
    "ponytail": ("ponytailed {} hair", "a {} ponytail", "{} hair in a ponytail"),
    "bun": ("tied up {} hair", "a {} bun", "{} hair in a bun", "a {} topknot"),
    "curly": ("curly {} hair", "{} curls"),
    "spiky": ("spiky {} hair", "{} spikes"),
    "afro": ("afro {} hair", "a {} afro", "a big {} afro"),
    "braids": ("braided {} hair", "{} braids", "two {} plaits"),
    "pigtails": ("pigtailed {} hair", "{} pigtails", "{} bunches"),
    "mohawk": ("mohawk {} hair", "a {} mohawk"),
    "wavy": ("wavy {} hair", "{} waves", "long wavy {} hair"),
    "buzz cut": ("buzz cut {} hair", "a {} buzz cut", "shaved {} hair"),
    "locs": ("{} locs", "{} dreadlocks", "long {} locs"),
    "fringe": ("fringed {} hair", "a {} fringe", "{} hair with bangs"),
    "double buns": ("double {} buns", "two {} buns", "{} space buns"),
    "side parting": ("side parted {} hair", "{} hair with a side parting", "swept {} hair"),
}
FACIAL_HAIR: Words = {
    "beard": ("a beard", "a full beard", "a bushy beard"),
    "moustache": ("a moustache", "a mustache"),
    "goatee": ("a goatee", "a small chin beard"),
    "stubble": ("stubble", "a stubbly chin"),
}
COLOR: Words = {
    "red": ("red", "red", "red", "crimson", "scarlet"),
    "orange": ("orange", "orange", "tangerine"),
    "yellow": ("yellow", "yellow", "golden yellow"),
    "green": ("green", "green", "emerald"),
    "teal": ("teal", "teal", "turquoise"),
    "blue": ("blue", "blue", "royal blue"),
    "purple": ("purple", "purple", "violet"),
    "pink": ("pink", "pink", "rose"),
    "white": ("white",),
    "black": ("black",),
    "navy": ("navy", "navy blue", "dark blue"),
    "brown": ("brown", "brown", "chocolate"),
    "grey": ("grey", "gray"),
    "lime": ("lime", "lime green", "light green"),
}
HAIR_COLOR: Words = {
    "blond": ("blond", "blonde", "golden"),
    "red": ("red", "red", "ginger"),
    "grey": ("grey", "gray"),
    "brown": ("brown", "brown", "chestnut"),
    "auburn": ("auburn", "auburn", "dark red"),
    "turquoise": ("turquoise", "teal"),
    "purple": ("purple", "violet"),
}
PATTERN: Words = {
    "plain": ("", "", "plain"),
    "striped": ("striped", "striped", "stripy"),
    "dotted": ("dotted", "polka dot", "spotted"),
    "checked": ("checked", "checkered", "checkerboard"),
    "pinstriped": ("pinstriped", "pinstripe"),
    "zigzag": ("zigzag", "chevron"),
    "flowered": ("flowered", "floral", "flowery"),
    "starred": ("starred", "starry", "star-patterned"),
}
NOUN: Words = {
    "shirt": ("shirt", "t-shirt", "tee"),
    "jumper": ("jumper", "sweater", "pullover"),
    "tank top": ("tank top", "sleeveless top"),
    "dungarees": ("dungarees", "overalls"),
    "lab coat": ("lab coat", "white coat"),
    "chef jacket": ("chef jacket", "chef's jacket"),
    "fire coat": ("fire coat", "firefighter coat"),
    "hi-vis vest": ("hi-vis vest", "safety vest"),
    "smock": ("smock", "painter's smock"),
    "trousers": ("trousers", "pants"),
    "jeans": ("jeans", "denim jeans"),
    "wide trousers": ("wide trousers", "wide-leg pants"),
    "sun hat": ("sun hat", "straw hat"),
    "cap": ("cap", "baseball cap"),
    "beanie": ("beanie", "woolly hat"),
    "headscarf": ("headscarf", "hijab"),
    "chef hat": ("chef hat", "chef's hat", "toque"),
    "hard hat": ("hard hat", "safety helmet"),
    "fire helmet": ("fire helmet", "firefighter helmet"),
    "police cap": ("police cap", "police hat"),
    "pilot cap": ("pilot cap", "captain's hat"),
    "nurse cap": ("nurse cap", "nurse's cap"),
    "bandana": ("bandana", "spotted bandana"),
    "round glasses": ("round glasses", "glasses"),
    "square glasses": ("square glasses", "red-rimmed glasses", "glasses"),
    "sunglasses": ("sunglasses", "dark glasses", "shades"),
    "goggles": ("goggles", "safety goggles"),
    "shoulder bag": ("shoulder bag", "satchel", "handbag"),
    "headband": ("headband", "hair band"),
    "watch": ("watch", "wristwatch"),
    "mug": ("mug", "coffee mug"),
    "sneaker": ("sneaker", "running shoe", "trainer"),
    "backpack": ("backpack", "rucksack"),
    "lamp": ("lamp", "table lamp"),
    "teapot": ("teapot", "tea pot"),
    "perfume": ("perfume bottle", "bottle of perfume"),
    "headphones": ("headphones", "pair of headphones"),
    "jar": ("jar", "jam jar"),
    "box": ("box", "parcel"),
    "can": ("can", "drink can", "soda can"),
    "camera": ("camera", "photo camera"),
    "guitar": ("guitar", "acoustic guitar"),
    "cup": ("cup", "cup of coffee"),
    "beer bottle": ("beer bottle", "bottle of beer", "beer"),
    "wine bottle": ("wine bottle", "bottle of wine", "wine"),
    "water bottle": ("water bottle", "bottle of water"),
    "beer glass": ("beer glass", "glass of beer", "pint of beer", "beer"),
    "wine glass": ("wine glass", "glass of wine", "glass of red wine"),
    "gun": ("gun", "pistol", "handgun"),
    "pipe": ("pipe", "tobacco pipe"),
    "cigarette": ("cigarette", "lit cigarette", "burning cigarette"),
    "syringe": ("syringe", "needle", "injection needle"),
    "pills": ("bottle of pills", "pill bottle"),
    "hair dryer": ("hair dryer", "blow dryer"),
    "drill": ("drill", "power drill"),
    "wand": ("wand", "magic wand"),
    "pen": ("pen", "blue pen"),
    "lollipop": ("lollipop", "sucker"),
    "phone": ("phone", "smartphone", "mobile phone"),
    "ice cream": ("ice cream", "ice cream cone"),
    "glass of juice": ("glass of juice", "orange juice", "glass of orange juice"),
    "glass of milk": ("glass of milk", "milk"),
    "gift": ("gift", "present", "wrapped gift"),
    "basket": ("basket", "basket of fruit"),
    "potted plant": ("potted plant", "plant in a pot"),
}
PLURAL = frozenset(
    (
        "trousers", "pants", "jeans", "denim jeans", "shorts", "wide trousers", "wide-leg pants", "dungarees",
        "overalls", "scrubs", "earrings", "headphones",
    )
)  # fmt: skip
UNCOUNTED = frozenset(("beer", "wine", "milk", "orange juice", "stubble"))
STAINS: Words = {
    "blood stains": (
        "with blood stains",
        "with blood on the clothes",
        "covered in blood",
        "with a bloody shirt",
    ),
    "paint stains": (
        "with paint stains",
        "with paint on the clothes",
        "covered in paint",
        "with paint splashes",
    ),
}
POSE: Words = {
    "standing": ("standing", "standing still"),
    "waving": ("waving", "waving hello", "with a raised hand"),
    "cheering": ("cheering", "with both arms up", "with raised arms"),
    "hands on hips": ("with hands on hips", "hands on hips"),
    "walking": ("walking", "taking a walk", "strolling"),
    "pointing": ("pointing", "pointing to the side"),
    "sitting": ("sitting", "sitting cross-legged", "sitting on the ground"),
    "jumping": ("jumping", "leaping for joy", "jumping in the air"),
    "thinking": ("thinking", "with a hand on the chin", "lost in thought"),
}
EXPRESSION: Words = {
    "smiling": ("smiling", "happy", "cheerful"),
    "serious": ("serious", "stern"),
    "surprised": ("surprised", "astonished", "amazed"),
    "laughing": ("laughing", "joyful"),
    "sad": ("sad", "crying", "unhappy"),
}
SPECIES: Words = {
    "fox": ("fox", "fox mascot", "cartoon fox"),
    "cat": ("cat", "cat mascot", "cartoon cat"),
    "bear": ("bear", "bear mascot", "teddy bear"),
    "rabbit": ("rabbit", "bunny", "rabbit mascot"),
    "robot": ("robot", "robot mascot", "friendly robot"),
    "owl": ("owl", "owl mascot", "cartoon owl"),
    "frog": ("frog", "frog mascot", "cartoon frog"),
    "dragon": ("dragon", "dragon mascot", "little dragon"),
}
MARKING: Words = {
    "spotted": ("{} spots", "{} dots"),
    "striped": ("{} stripes", "{} striped fur"),
    "patched": ("a {} patch over one eye", "{} patches"),
}
MATERIAL: Words = {
    "matte": ("", "", "matte"),
    "glossy": ("glossy", "shiny"),
    "metal": ("metal", "metallic", "steel"),
    "wood": ("wooden", "wood"),
}
PLACE: Words = {
    "beach": ("at the beach", "on the beach", "by the sea", "on a sandy shore", "at the seaside"),
    "forest": ("in the forest", "in the woods", "among tall trees"),
    "city": ("in the city", "on a city street", "in town", "among tall buildings"),
    "kitchen": ("in the kitchen", "in a kitchen"),
    "bedroom": ("in the bedroom", "in a bedroom", "beside a bed"),
    "snow": ("in the snow", "on a snowy mountain", "in the snowy mountains"),
    "desert": ("in the desert", "in a sandy desert", "beside a cactus"),
    "studio": ("in a studio", "on a plain background", "in a photo studio"),
    "park": ("in the park", "in a park", "by a park bench"),
    "farm": ("on the farm", "on a farm", "in front of a red barn"),
    "lake": ("by the lake", "at a mountain lake", "on the lake shore"),
    "garden": ("in the garden", "among flower beds", "in a flower garden"),
    "harbour": ("at the harbour", "in a harbor", "on the pier", "among sailing boats"),
    "playground": ("at the playground", "on a playground", "by the slide and swings"),
    "market": ("at the market", "at a street market", "among market stalls"),
    "bridge": ("on the bridge", "by a red bridge", "at a suspension bridge"),
    "rooftop": ("on the rooftop", "on a roof", "above the rooftops"),
    "office": ("in the office", "in an office", "at work by the desk"),
    "classroom": ("in the classroom", "at school", "in front of a blackboard"),
    "library": ("in the library", "among bookshelves", "in front of bookshelves"),
    "cafe": ("in the cafe", "in a coffee shop", "at a cafe"),
    "gym": ("in the gym", "at the gym", "in a sports hall"),
    "hospital": ("in the hospital", "in a hospital room", "by a hospital bed"),
    "laboratory": ("in the laboratory", "in a lab", "among glass flasks"),
    "living room": ("in the living room", "in front of a sofa", "at home by the sofa"),
    "bathroom": ("in the bathroom", "in a bathroom", "beside a bathtub"),
    "workshop": ("in the workshop", "in front of a tool wall", "in a workshop"),
    "gallery": ("in the gallery", "in an art gallery", "in a museum"),
    "stage": ("on stage", "on a theatre stage", "in the spotlight"),
    "pedestal": ("on a pedestal", "on a round podium", "on a display stand"),
    "wooden table": ("on a wooden table", "on a table by the window"),
    "marble counter": ("on a marble counter", "on marble", "on a marble top"),
    "colour backdrop": (
        "on a colourful backdrop",
        "in front of a colored backdrop",
        "on a coloured background",
    ),
}
TIME: Words = {
    "morning": ("in the morning", "at sunrise", "early in the morning", "at dawn"),
    "day": ("by day", "in daylight", "at noon"),
    "sunset": ("at sunset", "at dusk", "in evening light", "in the evening"),
    "night": ("at night", "by night", "after dark"),
}
WEATHER: Words = {
    "rain": ("in the rain", "in rainy weather", "on a rainy day"),
    "fog": ("in the fog", "in mist", "in foggy weather"),
    "snow": ("while it snows", "in falling snow", "in a snowfall"),
    "clear": ("under a clear sky", "in fine weather"),
}
CAMERA: Words = {
    "full": ("a full-body picture of", "a full-length view of"),
    "half": ("a half-length portrait of", "a waist-up picture of", "a medium shot of"),
    "close-up": ("a close-up of", "a close-up portrait of", "a headshot of"),
}
NEAR_PRODUCT = ("a close-up of", "a macro shot of", "a detail view of")
STYLE: Words = {
    "flat": ("flat illustration", "flat vector art"),
    "outlined": ("bold outlines", "cartoon with black outlines", "line art style"),
    "soft-shaded": ("soft shading", "softly shaded illustration", "smooth gradients"),
    "neon": ("neon style", "glowing neon lights", "neon night art"),
    "paper": ("grainy paper texture", "printed on paper", "paper grain"),
}
SIDE: Words = {"left": ("on the left", "on the left side"), "right": ("on the right", "on the right side"),
               "middle": ("in the middle", "in the centre")}  # fmt: skip
