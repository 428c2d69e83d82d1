"""A plain page that says what is served, for networks with layers that the page does not know."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from lenet.serve.answers import Answer
from lenet.serve.models import Served

POLICY = b"default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>lenet serve</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 45rem; margin: 2rem auto }}
table {{ border-collapse: collapse }} td, th {{ text-align: left; padding: .2rem 1rem .2rem 0 }}
:root {{ color-scheme: light dark }}
</style>
<h1>lenet serve</h1>
<table>
<tr><th>network</th><th>version</th><th>takes</th><th>classes</th></tr>
{rows}
</table>
<p><a href="/openapi.json">description</a> · <a href="/v2">server</a> ·
<a href="/v2/health/ready">ready</a> · <a href="/metrics">metrics</a></p>
"""

ROW = (
    '<tr><td><a href="/v2/models/{name}">{name}</a></td><td>{version}</td><td>{shape}</td>'
    "<td>{classes}</td></tr>"
)


def front_page(networks: Sequence[Served]) -> Answer:
    """The answer to `GET /` where there is no other."""
    rows = [
        ROW.format(
            name=escape(each.name),
            version=escape(each.version),
            shape="x".join(map(str, each.shape)),
            classes=escape(", ".join(each.class_names[:20])),
        )
        for each in networks
    ]
    body = PAGE.format(rows="\n".join(rows)).encode("utf-8", "backslashreplace")
    headers = ((b"content-security-policy", POLICY),)
    return Answer(200, body, b"text/html; charset=utf-8", headers)
