"""Types of single values."""

from typing import Any

import pytest

from sidecar.cluster.policy import AllButOne, HostHeader, OnAmbiguous, OnEmpty, Share
from sidecar.config import kinds
from sidecar.config.kinds import Kind


def refused(kind: Kind, value: object) -> str:
    with pytest.raises(ValueError, match=r".") as caught:
        kind.parse(value)
    return str(caught.value)


def test_words_are_members_of_their_enumeration() -> None:
    """A word becomes the member that has it as value, a number where the word is one."""
    assert kinds.members(OnEmpty).parse("obey") is OnEmpty.OBEY
    assert kinds.members(OnAmbiguous).parse(502) is kinds.members(OnAmbiguous).parse("502") is OnAmbiguous.ANSWER_502
    assert kinds.members(OnAmbiguous).show(OnAmbiguous.ANSWER_502) == 502


@pytest.mark.parametrize("value", ["HOLD", "", 1, True, None, [], {}])
def test_other_words_are_refused_with_the_choice(value: object) -> None:
    """Case counts, and every choice is named."""
    assert refused(kinds.members(OnEmpty), value) == "hold or obey"


@pytest.mark.parametrize(("value", "number"), [(0, 0), (10, 10), ("7", 7)])
def test_a_whole_number_may_be_quoted(value: object, number: int) -> None:
    """Variables inside brackets have to be quoted, so text of digits counts."""
    assert kinds.whole(0, 10).parse(value) == number


@pytest.mark.parametrize("value", [-1, 11, 1.0, True, "1.0", "-1", "٣", "1 ", None, "9" * 5000])
def test_a_whole_number_has_bounds(value: object) -> None:
    """Booleans, fractions and other scripts' digits are none."""
    assert refused(kinds.whole(0, 10), value) == "a whole number from 0 to 10"
    assert refused(kinds.whole(20), value) == "a whole number of at least 20"


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), float("inf"), True, "x", None])
def test_a_ratio_is_between_zero_and_one(value: object) -> None:
    """Both ends belong to it; what is not a number does not."""
    assert kinds.RATIO.parse(0) == 0.0
    assert kinds.RATIO.parse("1.0") == 1.0
    assert refused(kinds.RATIO, value) == "a number from 0 to 1"


@pytest.mark.parametrize(
    ("value", "meaning", "shown"),
    [
        ("all-but-one", AllButOne.ALL_BUT_ONE, "all-but-one"),
        (0, 0, 0),
        ("3", 3, 3),
        ("50%", Share(50.0), "50%"),
        ("12.5%", Share(12.5), "12.5%"),
    ],
)
def test_max_ejected_has_three_forms(value: object, meaning: object, shown: object) -> None:
    """A word, a number, a share; each is written back as it reads."""
    assert kinds.MAX_EJECTED.parse(value) == meaning
    assert kinds.MAX_EJECTED.show(meaning) == shown


@pytest.mark.parametrize("value", ["101%", "-1%", "%", -1, 0.5, None, "none"])
def test_max_ejected_has_no_fourth_form(value: object) -> None:
    """Shares beyond all, fractions and other words are refused."""
    assert refused(kinds.MAX_EJECTED, value).startswith("all-but-one, a whole number")


def test_a_host_header_is_a_word_or_the_text_to_send() -> None:
    """The two words have a meaning, all else is literal, but nothing that would break a head."""
    assert kinds.HOST_HEADER.parse("endpoint") is HostHeader.ENDPOINT
    assert kinds.HOST_HEADER.parse("a.b:80") == "a.b:80"
    assert refused(kinds.HOST_HEADER, "a\r\nb: c") == "preserve, endpoint or the text to send"


@pytest.mark.parametrize(
    "value", ["orders", "orders:8080", "*.orders.local", "*.o:80", "10.0.0.1:80", "[::1]:80", "a_b"]
)
def test_a_host_is_a_name_a_suffix_or_an_address(value: str) -> None:
    """With or without a port."""
    assert kinds.HOST.parse(value) == value


@pytest.mark.parametrize("value", ["", "*", "a*", "*.", "http://a", "a b", "a:", "a/b", "providers:com.x.Y:1.0:", 5])
def test_what_no_host_field_holds_is_no_host(value: object) -> None:
    """URLs, stars elsewhere and registry names of other protocols are refused."""
    assert refused(kinds.HOST, value).startswith("a host such as")


@pytest.mark.parametrize("value", ["-a", "", "a" * 64, "a/b", "a b", "ä", 5])
def test_a_service_name_fits_into_labels_and_paths(value: object) -> None:
    """Metrics and admin paths carry it as it is."""
    assert kinds.SERVICE_NAME.parse("Order-service_1.eu") == "Order-service_1.eu"
    assert refused(kinds.SERVICE_NAME, value).startswith("a name of letters")


@pytest.mark.parametrize("value", ["512B", "2MiB", "0B"])
def test_heads_have_a_least_and_a_greatest_size(value: str) -> None:
    """Between one kibibyte and one mebibyte."""
    assert kinds.HEAD_SIZE.parse("1KiB") == 1024
    assert refused(kinds.HEAD_SIZE, value) == "a size from 1KiB to 1MiB"


@pytest.mark.parametrize(("value", "meaning"), [(True, True), ("false", False), ("true", True)])
def test_a_switch_is_true_or_false(value: object, meaning: object) -> None:
    """Quoted words count as well."""
    assert kinds.BOOLEAN.parse(value) is meaning


@pytest.mark.parametrize("value", ["yes", 1, 0, None, []])
def test_a_switch_has_no_other_word(value: object) -> None:
    """Numbers and quoted YAML 1.1 words are refused."""
    assert refused(kinds.BOOLEAN, value) == "true or false"


@pytest.mark.parametrize("value", [0, 2, True, 1.0, "2", None])
def test_there_is_one_version(value: object) -> None:
    """The number one, quoted or not."""
    assert kinds.VERSION.parse(1) == kinds.VERSION.parse("1") == 1
    assert refused(kinds.VERSION, value) == "1, the only version of this format"


def test_a_secret_shows_nothing() -> None:
    """Neither its representation nor the effective file has the text."""
    secret: Any = kinds.SECRET.parse("hush")
    assert "hush" not in repr(secret) + str(secret) + kinds.SECRET.show(secret)
    assert secret.get_secret_value() == "hush"
