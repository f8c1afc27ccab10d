"""Inputs that were good once: bytes flipped, cut or doubled, JSON values in the wrong place."""

import copy
import json
import re

from hypothesis import strategies as st

ODD = [
    b"", b"\x00", b"\xff\xfe", b"null", b"[]", b"{}", b'""', b"-1", b"0", b"1e999", b"NaN", b"true",
    b"99999999999999999999", b"-9223372036854775809", b"\n", b"\t", b": ", b"- ", b"!!", b"*a",
    b"&a", b"%", b"'", b'"', b"{{", b"}}", b"{%", b"../../x", b"\xf0\x9f\x98\x80", b"\xed\xa0\x80",
]  # fmt: skip
VALUES = [
    None, True, False, 0, -1, 1, 2**31, 2**63, -(2**64), 0.5, 1e308, float("nan"), float("inf"), "",
    "x", "\ud800", "../../x", "0", [], {}, [None], {"x": 1}, [[[]]], "x" * 5000,
    {"a": {"b": {"c": []}}},
]  # fmt: skip
PLACE = st.floats(0, 1, exclude_max=True)
EDIT = st.tuples(
    st.sampled_from(["flip", "cut", "double", "insert", "number", "truncate"]),
    PLACE,
    st.integers(1, 64),
    st.sampled_from(ODD),
)


def spoilt(content, edits):
    """Bytes after a few edits."""
    for kind, share, size, odd in edits:
        place = int(share * len(content))
        before, after = content[:place], content[place:]
        if kind == "flip" and after:
            content = before + bytes([after[0] ^ (1 << size % 8)]) + after[1:]
        elif kind == "cut":
            content = before + after[size:]
        elif kind == "double":
            content = before + after[:size] * 2 + after[size:]
        elif kind == "insert":
            content = before + odd + after
        elif kind == "number":
            content = before + re.sub(rb"-?\d+(\.\d+)?", odd.replace(b"\\", b""), after, count=1)
        elif kind == "truncate" and size > 48:
            content = before
    return content


def bytes_of(content, most=5):
    """Strategy: the content with up to `most` edits."""
    return st.lists(EDIT, min_size=1, max_size=most).map(lambda edits: spoilt(content, edits))


def json_of(value, most=3):
    """Strategy: JSON text of the value with up to `most` parts replaced, removed or renamed."""
    change = st.tuples(
        st.integers(0, 10**6), st.sampled_from(["set", "drop", "name"]), st.sampled_from(VALUES)
    )
    return st.lists(change, min_size=1, max_size=most).map(
        lambda changes: _dump(_changed(value, changes))
    )


def _dump(value):
    return json.dumps(value).encode()


def _changed(value, changes):
    value = json.loads(json.dumps(value))
    for number, kind, shared in changes:
        odd = copy.deepcopy(shared)
        places = list(_places(value))
        if not places:
            return odd
        home, key = places[number % len(places)]
        if kind == "set":
            home[key] = odd
        elif kind == "drop":
            del home[key]
        elif isinstance(home, dict):
            home[str(odd)[:20]] = home.pop(key)
    return value


def _places(value):
    if isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from _places(value[key])
