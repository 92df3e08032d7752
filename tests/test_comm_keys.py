"""rfx.comm.keys against Zenoh's own key expressions, and against the keys that patterns match."""

import pickle
import re

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from rfx.comm import KeyExpr
from rfx.errors import DTypeError, InvalidValueError

CHUNKS = st.one_of(
    st.sampled_from(["*", "**", "a", "b", "ab", "@a", "@", "$*a", "a$*", "a$*b", "$*a$*", "@a$*", "é"]),
    st.text("ab@$*", max_size=5),
)
TEXTS = st.lists(CHUNKS, min_size=1, max_size=5).map("/".join)
ODD = st.text("ab/*$@#?", max_size=9)


def ours(text):
    try:
        return KeyExpr(text)
    except InvalidValueError:
        return None


def valid(strategy):
    return strategy.map(ours).filter(lambda x: x is not None)


def theirs(text):
    zenoh = pytest.importorskip("zenoh")
    try:
        return zenoh.KeyExpr(text)
    except zenoh.ZError:
        return None


@settings(max_examples=300)
@given(st.one_of(TEXTS, ODD))
def test_valid_is_what_zenoh_takes(text):
    assert (ours(text) is None) == (theirs(text) is None)


@settings(max_examples=400)
@given(valid(TEXTS), valid(TEXTS))
def test_intersection_and_inclusion_are_zenohs(a, b):
    x, y = theirs(str(a)), theirs(str(b))
    assert a.intersects(b) == x.intersects(y)
    assert a.includes(b) == x.includes(y)


def as_regex(pattern):
    """A pattern as a regular expression of keys, each chunk with a slash behind it."""
    parts = []
    for chunk in pattern.chunks:
        if chunk == "**":
            parts.append("(?:[^/@][^/]*/)*")
        elif chunk == "*":
            parts.append("[^/@][^/]*/")
        elif chunk.startswith("@"):
            parts.append(re.escape(chunk) + "/")
        else:
            parts.append("(?!@)" + "[^/]*".join(map(re.escape, chunk.split("$*"))) + "/")
    return re.compile("".join(parts))


KEYS = st.lists(st.sampled_from(["a", "b", "ab", "ba", "aab", "@a", "@"]), min_size=1, max_size=4).map("/".join)


@settings(max_examples=300)
@given(valid(TEXTS), KEYS)
def test_a_pattern_matches_the_keys_that_its_wildcards_say(pattern, key):
    matched = as_regex(pattern).fullmatch(key + "/") is not None
    assert pattern.intersects(key) == matched
    assert pattern.includes(key) == matched


FEW = st.lists(st.sampled_from(["*", "**", "a", "ab", "@a", "a$*", "$*b"]), min_size=1, max_size=3).map("/".join)


@settings(max_examples=500)
@given(valid(FEW), valid(FEW), KEYS)
def test_what_is_included_is_matched_too(a, b, key):
    assert a.intersects(b) == b.intersects(a)
    assert a.includes(a)
    if a.includes(b):
        event("included")
        assert a.intersects(b)
        assert not b.includes(key) or a.includes(key)


@pytest.mark.parametrize(
    "text",
    ["", "/", "/a", "a/", "a//b", "a#", "?", "a*", "**a", "$", "a$", "$*$*a", "a/$*", "**/**", "a/**/*", "\ud800"],
)
def test_what_is_no_key_expression_is_refused(text):
    with pytest.raises(InvalidValueError, match="expected a key expression"):
        KeyExpr(text)


def test_other_types_are_refused():
    for value in (None, 3, b"a"):
        with pytest.raises(DTypeError):
            KeyExpr(value)


def test_a_key_expression_is_a_value():
    key = KeyExpr("go2") / "state"
    assert key == KeyExpr("go2/state") == pickle.loads(pickle.dumps(key))
    assert key != "go2/state"
    assert len({key, KeyExpr(key)}) == 1
    assert (str(key), repr(key), key.chunks) == ("go2/state", "KeyExpr('go2/state')", ("go2", "state"))
    assert not key.is_pattern
    assert KeyExpr("a$*").is_pattern
    with pytest.raises(AttributeError):
        key.text = "b"
    with pytest.raises(InvalidValueError):
        KeyExpr("a/**").join("**")


def test_long_patterns_take_no_long_time():
    pattern = KeyExpr("/".join(["**/a"] * 60))
    assert pattern.intersects("/".join(["a"] * 200))
    assert not pattern.includes("/".join(["b"] * 200))
    assert not KeyExpr("$*a" * 60).includes("a" * 59 + "b")
