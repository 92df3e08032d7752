"""An independent validator agrees with ours, and no random call gets past the registry."""

import dataclasses
import enum
import math
import random
import threading
import time
from typing import Annotated, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rfx.skills import Bound, CancelToken, Length, SkillRegistry, skill
from rfx.skills.annotations import kind_of


class Gait(enum.Enum):
    TROT = "trot"
    WALK = "walk"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


@dataclasses.dataclass
class Point:
    x: Annotated[float, Bound(ge=-1, le=1)]
    y: float = 0.0


SCALARS = st.sampled_from(
    [
        int,
        float,
        bool,
        str,
        type(None),
        Gait,
        Level,
        Point,
        Literal["a", 1, None],
        Literal[True, 0],
        Annotated[int, Bound(ge=-2, lt=3)],
        Annotated[float, Bound(gt=-0.5, le=1)],
        Annotated[str, Length(1, 2)],
        Annotated[float, Bound(ge=0)] | None,
        int | str,
        Point | Gait,
    ]
)


def wrapped(inner):
    return st.one_of(
        inner.map(lambda a: list[a]),
        inner.map(lambda a: Annotated[list[a], Length(1, 2)]),
        inner.map(lambda a: dict[str, a]),
        inner.map(lambda a: tuple[a, ...]),
        st.tuples(inner, inner).map(lambda p: tuple[p[0], p[1]]),
        st.tuples(inner, inner).map(lambda p: p[0] | p[1] | None if p[0] is not type(None) else p[0]),
    )


ANNOTATIONS = st.recursive(SCALARS, wrapped, max_leaves=4)
NUMBERS = st.one_of(
    st.integers(-5, 5),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([-0.5, 0.0, -0.0, 0.5, 1.0, -1.0, 3.0, 2.9999999999999996, 1e300]),
)
WORDS = st.sampled_from(["a", "", "trot", "walk", "TROT", "5", "true", "null", "abc", "x", "y"])
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, WORDS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["x", "y", "z", "a"]), inner, max_size=3),
    ),
    max_leaves=6,
)


def like(schema):
    """Values near a schema: mostly valid, so that both answers are met often."""
    if "anyOf" in schema:
        return st.one_of([like(s) for s in schema["anyOf"]])
    if "enum" in schema:
        return st.one_of(st.sampled_from(schema["enum"]), JSON)
    kind = schema["type"]
    if kind == "array":
        if "prefixItems" in schema:
            return st.tuples(*[like(s) for s in schema["prefixItems"]]).map(list)
        return st.lists(like(schema["items"]), max_size=3)
    if kind == "object":
        if "properties" not in schema:
            return st.dictionaries(WORDS, like(schema["additionalProperties"]), max_size=2)
        return st.fixed_dictionaries({}, optional={k: like(s) for k, s in schema["properties"].items()})
    simple = {"string": WORDS, "boolean": st.booleans(), "null": st.none()}
    return st.one_of(simple.get(kind, NUMBERS), JSON)


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), annotation=ANNOTATIONS)
def test_a_value_is_valid_under_the_schema_exactly_if_it_is_read(data, annotation):
    jsonschema = pytest.importorskip("jsonschema")
    kind = kind_of(annotation, "x")
    schema = kind.schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    value = data.draw(st.one_of(like(schema), JSON))
    problems = []
    kind.read(value, "x", problems)
    assert jsonschema.Draft202012Validator(schema).is_valid(value) == (not problems), problems


@settings(max_examples=300, deadline=None)
@given(
    st.booleans(),
    st.sampled_from(["ge", "gt"]),
    st.sampled_from(["le", "lt"]),
    st.floats(-10, 10),
    st.floats(1, 10),
    st.sampled_from([-1e-3, 0.0, 1e-3, 0.05, -0.05, 1, -1]),
)
def test_limits_are_where_the_schema_has_them(whole, lower, upper, low, width, step):
    jsonschema = pytest.importorskip("jsonschema")
    high = low + width + 1
    kind = kind_of(Annotated[int if whole else float, Bound(**{lower: low, upper: high})], "x")
    check = jsonschema.Draft202012Validator(kind.schema())
    for limit in (low, high):
        for value in (limit, limit + step, math.nextafter(limit, 99), math.nextafter(limit, -99), round(limit + step)):
            assert check.is_valid(value) == kind.accepts(value), value


@settings(max_examples=200, deadline=None)
@given(data=st.data(), annotation=ANNOTATIONS)
def test_strict_arguments_are_read_after_the_nulls_are_taken_out(data, annotation):
    jsonschema = pytest.importorskip("jsonschema")

    def f(x, y: float = 1.0): ...

    f.__annotations__["x"] = annotation
    registry = SkillRegistry([skill(effects="reads")(f)])
    tool = registry.to_openai_responses()[0]
    if not tool["strict"]:
        return
    arguments = data.draw(st.fixed_dictionaries({"x": like(tool["parameters"]["properties"]["x"]), "y": st.none()}))
    if not jsonschema.Draft202012Validator(tool["parameters"]).is_valid(arguments):
        return
    clean = registry.get("f").arguments.without_nulls(arguments)
    assert "y" not in clean
    if not any(word in str(tool) for word in ("characters:", "In this order")):
        assert registry.get("f").arguments.accepts(clean)


def test_twenty_thousand_random_calls_never_raise_and_never_leave_the_bounds():
    seen, inside, overlaps = [], [0], []
    lock = threading.Lock()

    def moved(good):
        with lock:
            inside[0] += 1
            overlaps.append(inside[0])
            seen.append(good)
        if len(seen) % 8 == 0:
            time.sleep(0)  # lets the other threads run

    def left():
        with lock:
            inside[0] -= 1

    @skill
    def walk(
        speed: Annotated[float, Bound(ge=-0.5, le=0.5)],
        seconds: Annotated[int, Bound(gt=0, le=10)] = 1,
        gait: Gait = Gait.TROT,
    ) -> None:
        moved(type(speed) is float and -0.5 <= speed <= 0.5 and type(seconds) is int and 0 < seconds <= 10)
        left()

    @skill
    def go(path: Annotated[list[Point], Length(1, 3)], cancel: CancelToken) -> None:
        moved(1 <= len(path) <= 3 and all(type(p) is Point and -1 <= p.x <= 1 and math.isfinite(p.y) for p in path))
        left()
        if len(path) == 2:
            raise OSError("no link")

    @skill(effects="stops")
    def halt() -> None: ...

    @skill(effects="reads")
    def state(of: Literal["battery", "pose"]) -> float:
        return math.nan if of == "pose" else 1.0

    registry = SkillRegistry([walk, go, halt, state], timeout=None)
    keys = ["speed", "seconds", "gait", "path", "of", "x", "y", "cancel", "self", "", 5, None]
    atoms = [0, 0.1, -0.5, 0.5, 0.50001, 1, 10, 11, 2.0, 1e308, 10**400, -(10**30), math.nan, math.inf, -math.inf, True,
             False, None, "", "0.1", "trot", "battery", "pose", "\ud800", b"x", object(), 1j, {1}, int]  # fmt: skip
    names = [*["walk", "go"] * 5, "state", "state", "halt", "", "WALK", "x" * 10_000, None, 7, ["walk"]]

    def value(rng, depth=0):
        if depth < 3 and rng.random() < 0.2:
            return [value(rng, depth + 1) for _ in range(rng.randrange(4))]
        if depth < 3 and rng.random() < 0.2:
            return {rng.choice(keys): value(rng, depth + 1) for _ in range(rng.randrange(4))}
        return rng.choice(atoms)

    def call(rng):
        name = rng.choice(names)
        if rng.random() < 0.3:
            return name, value(rng)
        speeds = rng.choice(atoms) if rng.random() < 0.5 else rng.uniform(-0.7, 0.7)
        near = {
            "walk": {"speed": speeds, "seconds": rng.choice([1, 2.0, 11, "1"]), "gait": rng.choice(["trot", "run"])},
            "go": {"path": [{"x": rng.uniform(-1.2, 1.2), "y": rng.choice(atoms)} for _ in range(rng.randrange(5))]},
            "state": {"of": rng.choice(["battery", "pose", "x"])},
        }.get(name if isinstance(name, str) else "", {})
        near = {k: v for k, v in near.items() if rng.random() < 0.9}
        if rng.random() < 0.1:
            near[rng.choice(keys)] = value(rng)
        return name, near

    results, escaped = [], []

    def storm(seed):
        rng = random.Random(seed)
        try:
            for _ in range(5000):
                result = registry.execute(*call(rng))
                assert result.ok or (result.kind and result.error and result.hint)
                result.text()
                results.append(result.kind)
        except BaseException as error:
            escaped.append(error)

    threads = [threading.Thread(target=storm, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not escaped
    assert len(results) == 20_000
    assert {"", "arguments", "failed", "result", "unknown skill"} <= set(results)
    assert len(seen) > 100
    assert all(seen)
    assert set(overlaps) == {1}
    assert registry.mover == ""
