"""What a page shows, read from the script's own elements."""

import json
import re
from html import unescape

import pandas as pd

ROLE = 'role="img"'


def texts(app):
    """Everything that a page shows as text."""
    kinds = (app.title, app.header, app.caption, app.text, app.info, app.warning)
    return "\n".join([*(str(element.value) for kind in kinds for element in kind), *blocks(app)])


def markup(app):
    """The HTML that a page makes itself."""
    return [element.proto.body for element in app.get("html")]


def blocks(app):
    """Prompts, answers and commands, as they are read."""
    return [unescape(re.sub("<[^>]*>", "", body)) for body in markup(app) if ROLE not in body]


def charts(app):
    """What a screen reader says of each chart -> what the pointer finds at its marks."""
    bodies = [chart for body in markup(app) for chart in body.split(ROLE)[1:]]
    return {
        unescape(re.search('aria-label="([^"]*)"', body)[1]): list(
            map(unescape, re.findall(' title="([^"]*)"', body))
        )
        for body in bodies
    }


def tables(app, by="name"):
    """Tables of a page by the names of their columns, or by their titles."""
    return [_frame(json.loads(element.proto.json), by) for element in app.get("bidi_component")]


def _frame(table, by):
    columns = table["columns"]
    frame = pd.DataFrame(table["rows"], columns=[column[by] for column in columns])
    for column in columns:
        if column["number"]:
            frame[column[by]] = pd.to_numeric(frame[column[by]].replace("–", None))
    return frame
