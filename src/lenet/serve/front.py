"""What stands at `/`: the page of the networks in service, made once for their versions."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import final
from urllib.parse import quote

from lenet.errors import LenetError
from lenet.serve.answers import Answer, Refusal, no_network
from lenet.serve.index import front_page
from lenet.serve.models import Served
from lenet.serve.request import read_query
from lenet.show.page import MOST_RUNS
from lenet.show.page.assembly import assemble
from lenet.show.page.content import Shown, gather

MOST_KEPT = 8
"""Pages of a megabyte, for different choices of networks."""

LINKS = (
    ("OpenAPI", "/openapi.json"),
    ("server", "/v2"),
    ("ready", "/v2/health/ready"),
    ("metrics", "/metrics"),
)


@final
class Front:
    """Pages by the names and versions of what they show; may be asked from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: dict[tuple[tuple[str, str], ...], Answer] = {}

    def page(self, networks: Sequence[Served], query: bytes) -> Answer:
        """The page of those that `query` names (`networks=A,B`), else of the first that fit.

        Raises:
            Refusal: 404 if there is no such network, 422 for another query, and for networks that
                do not go on one page.
        """
        chosen = _choose(networks, query)
        key = tuple((each.name, each.version) for each in (*chosen, *networks))
        with self._lock:
            if key not in self._made:
                if len(self._made) >= MOST_KEPT:
                    self._made.clear()
                self._made[key] = _make(chosen, networks)
            return self._made[key]


def _choose(networks: Sequence[Served], query: bytes) -> list[Served]:
    """The named ones, in their order; where none is named, the first that the page knows."""
    found = read_query(query, {"networks"}, "networks=A,B")
    if not found:
        known = [each for each in networks if _is_known(each)] or networks
        return [each for each in known if _fit(each, known[0])][:MOST_RUNS]
    here = {each.name: each for each in networks}
    words = dict.fromkeys(found["networks"].split(","))
    if not here.keys() >= words.keys():
        raise Refusal(404, no_network(here))
    chosen = [here[word] for word in words]
    _check(chosen)
    return chosen


def _check(chosen: Sequence[Served]) -> None:
    """Raises `Refusal` 422 unless they go on one page; one alone always does."""
    if len(chosen) > MOST_RUNS:
        raise Refusal(422, f"a page shows one network, or two side by side, not {len(chosen)}")
    first = chosen[0]
    for each in chosen[1:]:
        why = _reason_apart(first, each)
        if why:
            alone = " and ".join(f"/?networks={quote(one.name)}" for one in (first, each))
            raise Refusal(422, f"{why}; ask for each alone: {alone}")


def _reason_apart(first: Served, other: Served) -> str:
    """Why they are not on one page; empty if they can be."""
    if not _fit(other, first):
        names = f"{first.name} and {other.name}"
        return f"{names} do not take the same pictures to the same classes"
    for each in (first, other):
        if not _is_known(each):
            return f"{each.name}: the page does not know {each.network.spec.of_1998}"
    return ""


def _is_known(one: Served) -> bool:
    """Whether the page knows all of its layers."""
    return one.network.spec.of_1998 is None


def _fit(one: Served, other: Served) -> bool:
    return (one.shape, one.class_names) == (other.shape, other.class_names)


def _make(chosen: Sequence[Served], networks: Sequence[Served]) -> Answer:
    """The page; where it does not know the network's layers, a plain list of what is served."""
    shown = [Shown(each.name, each.checkpoint) for each in chosen]
    try:
        page = assemble(gather(shown, fetch=False, links=_links(chosen, networks)))
    except LenetError:
        return front_page(networks)
    headers = (
        (b"content-security-policy", page.policy.encode()),
        (b"cache-control", b"no-cache"),
    )
    return Answer(200, page.text.encode(), b"text/html; charset=utf-8", headers)


def _links(chosen: Sequence[Served], networks: Sequence[Served]) -> list[tuple[str, str]]:
    links = [(each.name, f"/v2/models/{each.name}") for each in networks]
    for each in networks:
        if each not in chosen and _is_known(each):
            links.append((f"watch {each.name}", f"/?networks={quote(each.name)}"))
    return [*links, *LINKS]
