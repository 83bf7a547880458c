"""An instance as text, and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.cluster.instance import Instance
from sidecar.cluster.notation import read, written

HOSTS = st.one_of(
    st.ip_addresses(v=4).map(str), st.ip_addresses(v=6).map(str), st.from_regex(r"[a-z0-9.-]+", fullmatch=True)
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


@pytest.mark.parametrize(
    ("instance", "text"),
    [
        (Instance("10.0.0.1", 8080), "10.0.0.1:8080*1"),
        (Instance("::1", 8080, weight=0.5), "[::1]:8080*0.5"),
        (Instance("a", 1, healthy=False, enabled=False), "a:1*1;healthy=false;enabled=false"),
        (Instance("a", 1, cluster="SH;1", metadata={"v": "2"}), 'a:1*1;cluster=SH%3B1;metadata={"v": "2"}'),
    ],
)
def test_only_what_is_out_of_the_ordinary_is_written(instance: Instance, text: str) -> None:
    """Address and weight first, then flags, cluster and metadata."""
    assert written(instance) == text
    assert read(text) == instance


@given(
    st.builds(
        Instance,
        HOSTS,
        st.integers(1, 65535),
        weight=st.floats(0, 1e6),
        healthy=st.booleans(),
        enabled=st.booleans(),
        cluster=TEXTS,
        metadata=st.dictionaries(TEXTS, TEXTS, max_size=3),
    )
)
def test_what_is_written_is_read_without_loss(instance: Instance) -> None:
    """Whatever a registry puts into weight, cluster and metadata."""
    assert read(written(instance)) == instance


@pytest.mark.parametrize(
    "text",
    [
        "",
        "10.0.0.1:8080",
        "10.0.0.1*1",
        ":80*1",
        "a:x*1",
        "a:1*x",
        "a:1*1;healthy=maybe",
        "a:1*1;colour=red",
        "a:1*1;metadata=[]",
        'a:1*1;metadata={"v": 2}',
        "a:1*1;metadata={",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    """ValueError, whatever is wrong with it."""
    with pytest.raises(ValueError, match=r"."):
        read(text)
