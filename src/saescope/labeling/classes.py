"""Classes of words that a feature may stand for: by their characters, or closed lists of English."""

import re
from functools import lru_cache

_SHAPES: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("4-digit years", re.compile(r"1[0-9]{3}|20[0-9]{2}")),
    ("numbers", re.compile(r"[0-9]+(?:[.,][0-9]+)*(?:st|nd|rd|th)?")),
    ("words in capitals", re.compile(r"[^\W\d_a-z]{2,}")),
    ("capitalised words", re.compile(r"[A-Z][^\W\d_]*[a-z][^\W\d_]*")),
    ("single letters", re.compile(r"[A-Za-z]")),
    ("line breaks", re.compile(r".{0,2}↵.{0,2}")),
    ("punctuation", re.compile(r"[^\w\s↵␣]+")),
    ("opening brackets and quotes", re.compile(r"[(\[{“‘«]+")),
    ("ends of sentences", re.compile(r"[.!?][\"”’)]?")),
    ("currency signs", re.compile(r"[$£€¥]")),
)

_LISTS = {
    "months": "january february march april may june july august september october november december",
    "weekdays": "monday tuesday wednesday thursday friday saturday sunday",
    "number words": "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen"
    " sixteen seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred"
    " thousand million billion trillion dozen",
    "ordinals": "first second third fourth fifth sixth seventh eighth ninth tenth",
    "units of time": "second seconds minute minutes hour hours day days week weeks month months year years"
    " decade decades century centuries",
    "first-person pronouns": "i me my mine myself we us our ours ourselves",
    "second-person pronouns": "you your yours yourself yourselves",
    "third-person pronouns": "he him his himself she her hers herself it its itself they them their theirs themselves",
    "forms of “be”": "be am is are was were been being",
    "forms of “have”": "have has had having",
    "modal verbs": "can could may might must shall should will would ought cannot",
    "negations": "not no nor never neither none nothing cannot",
    "articles": "a an the",
    "demonstratives": "this that these those",
    "question words": "who whom whose which what where when why how whether",
    "conjunctions": "and or but nor yet so although though because unless while whereas if",
    "prepositions": "of in to for with on at from by about into through during before after above below"
    " between among against under over upon within without toward towards",
    "quantifiers": "all any both each every few many more most much several some various such",
    "comparatives": "more less better worse greater larger smaller higher lower fewer further longer stronger",
    "compass directions": "north south east west northern southern eastern western northwest northeast"
    " southwest southeast",
}

_MEMBERS: dict[str, list[str]] = {}
for _name, _words in _LISTS.items():
    for _word in _words.split():
        _MEMBERS.setdefault(_word, []).append(_name)

_PLAIN = "as do does did done than then there here also only very too even made make other same"

FUNCTION_WORDS = frozenset(_PLAIN.split()) | frozenset(
    word
    for name in (
        "first-person pronouns",
        "second-person pronouns",
        "third-person pronouns",
        "forms of “be”",
        "forms of “have”",
        "modal verbs",
        "negations",
        "articles",
        "demonstratives",
        "question words",
        "conjunctions",
        "prepositions",
        "quantifiers",
    )
    for word in _LISTS[name].split()
)
"""Words too common to be a topic."""


@lru_cache(maxsize=200_000)
def classes(form: str) -> tuple[str, ...]:
    """The names of every class that a word, as written, belongs to."""
    names = [name for name, shape in _SHAPES if shape.fullmatch(form)]
    return (*names, *_MEMBERS.get(form.casefold(), ()))
