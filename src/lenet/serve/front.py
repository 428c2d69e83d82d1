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
            Refusal: 404 if there is no such network, 422 for another query.
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
    """The named ones that go together, in their order; the first of all where none is named."""
    found = read_query(query, {"networks"}, "networks=A,B")
    here = {each.name: each for each in networks}
    words = found["networks"].split(",") if found else list(here)
    if not here.keys() >= set(words):
        raise Refusal(404, no_network(here))
    first, *others = (here[word] for word in dict.fromkeys(words))
    together = [each for each in others if _fit(each, first) and each is not first]
    return [first, *together][:MOST_RUNS]


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
        if each not in chosen:
            links.append((f"watch {each.name}", f"/?networks={quote(each.name)}"))
    return [*links, *LINKS]
