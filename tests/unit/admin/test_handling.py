"""What handlers are given and give back."""

import pytest

from sidecar.admin.handling import Answer, Asked, Backend, Route, wrong_method


async def _nothing(_: Backend, __: Asked) -> Answer:
    return Answer(())


def _route(*paths: str, methods: tuple[str, ...] = ("GET",)) -> Route:
    return Route(paths, methods, _nothing, "does nothing")


def test_a_routes_names_are_its_paths_without_the_slash() -> None:
    """Those of aliases too; the bare slash is called index."""
    assert _route("/healthz", "/live").names == ("healthz", "live")
    assert _route("/").names == ("index",)


@pytest.mark.parametrize(
    ("template", "path", "parts"),
    [
        ("/a/{x}", "/a/b", {"x": "b"}),
        ("/a/{x}/c/{y}", "/a/1.2/c/10.0.0.1:80", {"x": "1.2", "y": "10.0.0.1:80"}),
        ("/a/{x}", "/a/", None),
        ("/a/{x}", "/a/b/c", None),
        ("/a/{x}", "/ab", None),
        ("/a", "/a", {}),
    ],
)
def test_a_part_is_any_text_without_a_slash(template: str, path: str, parts: dict[str, str] | None) -> None:
    """Neither none nor several segments stand for one."""
    assert _route(template).match(path) == parts


def test_head_goes_wherever_get_goes() -> None:
    """And nowhere else."""
    assert _route("/a", methods=("GET", "HEAD")).takes("HEAD")
    assert not _route("/a", methods=("POST",)).takes("HEAD")


def test_a_wrong_method_is_told_the_right_ones() -> None:
    """In the header that clients read and in the body for people."""
    answer = wrong_method(("GET", "POST"))
    assert (answer.status, answer.headers["allow"], list(answer.pieces)) == (405, "GET, POST", ["only GET, POST"])
