"""Which words are suspected of being a name misheard."""

from hypothesis import given
from hypothesis import strategies as st

from ambientd.core.suspects import LONGEST_SPAN, MOST_NAMES, Index, Search
from ambientd.core.transcript import Word
from ambientd.core.vocabulary import parse

ORDINARY = frozenset(
    {
        "i",
        "take",
        "my",
        "the",
        "and",
        "for",
        "blood",
        "pressure",
        "basics",
        "of",
        "own",
        "actors",
        "a",
        "pick",
    }
    | {"as", "in", "met", "men", "night", "at", "we", "use", "or", "river"}
)
SEARCH = Search(
    (Index(parse("lisinopril\nomeprazole\nLasix\nActos\napixaban\nHelicobacter pylori\nmetformin")),),
    ORDINARY,
)


def words(text: str, probability: float = 0.9) -> list[Word]:
    return [Word(word, 100 * at, 100 * at + 90, probability) for at, word in enumerate(text.split())]


def found(text: str, probability: float = 0.9, **options: object) -> list[tuple[str, tuple[str, ...]]]:
    said = words(text, probability)
    return [
        (" ".join(word.text for word in said[each.first : each.last]), each.names)
        for each in SEARCH.suspects(said, **options)  # type: ignore[arg-type]
    ]


def test_a_misheard_name_is_found_over_several_words():
    assert found("I take own prazole at night") == [("own prazole", ("omeprazole",))]
    assert found("we use a pick sabon, or the lysinopperl.") == [
        ("a pick sabon,", ("apixaban",)),
        ("lysinopperl.", ("lisinopril",)),
    ]


def test_a_name_that_is_spelt_right_is_beyond_suspicion():
    assert found("I take lisinopril, helicobacter Pylori and apixabans") == []
    assert [name for _, _, name in SEARCH.named(words("Lisinopril and helicobacter pylori."))] == [
        "lisinopril",
        "Helicobacter pylori",
    ]


def test_ordinary_words_are_suspected_only_together_and_hardly_believed():
    assert found("we use met for men at night") == []
    assert found("met for men", 0.4) == [("met for men", ("metformin",))]


def test_a_single_ordinary_word_is_believed_however_uncertain():
    assert found("the basics", 0.2) == []


def test_a_suspect_does_not_reach_across_the_end_of_a_sentence():
    assert found("It is my own. Prazole at night") == []


def test_in_another_language_all_words_count_as_ordinary():
    assert found("own prazole", language="de") == []
    assert found("own prazole", 0.3, language="de") == [("own prazole", ("omeprazole",))]


def test_a_name_that_was_said_before_is_expected_sooner():
    assert found("liznoprol") == found("liznoprol", said=frozenset({"omeprazole"}))
    assert found("lidzoprel") == []
    assert found("lidzoprel", said=frozenset({"lisinopril"})) == [("lidzoprel", ("lisinopril",))]


def test_the_names_of_two_lists_are_searched_together():
    both = Search((Index(parse("Zorbanix")), *SEARCH.indexes), ORDINARY)

    assert [each.names for each in both.suspects(words("zor bannicks and metforman"))] == [
        ("Zorbanix",),
        ("metformin",),
    ]


def test_without_names_nobody_is_suspected():
    assert Search().suspects(words("own prazole")) == ()


syllables = st.sampled_from(
    ["own", "pra", "zole", "lis", "in", "opril", "a", "pick", "sabon", "met", "the", "form", "."]
)


@given(st.lists(st.tuples(st.lists(syllables, min_size=1, max_size=4), st.floats(0, 1)), max_size=14))
def test_suspects_lie_within_the_words_in_order_and_apart(spoken: list[tuple[list[str], float]]):
    said = [Word("".join(parts), at, at + 1, chance) for at, (parts, chance) in enumerate(spoken)]

    suspects = SEARCH.suspects(said)

    reached = 0
    for each in suspects:
        assert reached <= each.first < each.last <= len(said)
        assert each.last - each.first <= LONGEST_SPAN
        assert 1 <= len(each.names) <= MOST_NAMES
        assert 0 < each.score <= 1
        reached = each.last
