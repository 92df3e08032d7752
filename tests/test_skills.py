"""@skill: annotations become schema and reader, docstrings become descriptions."""

import dataclasses
import enum
import math
import pickle
from typing import Annotated, Any, Literal

import pytest

from rfx.errors import ConfigError, DTypeError, InvalidValueError
from rfx.skills import Bound, CancelToken, Length, Skill, skill

SPEED = Annotated[float, Bound(ge=-0.5, le=0.5, unit="m/s")]


class Gait(enum.Enum):
    TROT = "trot"
    WALK = "walk"


class Light(enum.Enum):
    OFF = (0, 0, 0)
    RED = (255, 0, 0)


@dataclasses.dataclass
class Point:
    """A place on the floor.

    Attributes
    ----------
    x, y : float
        Coordinate in metres.
    """

    x: float
    y: float = 0.0


@skill(tags=["motion", "basic"], timeout=5)
def walk(speed: SPEED, seconds: Annotated[float, Bound(gt=0, le=10)] = 1.0, gait: Gait = Gait.TROT) -> str:
    """Walk forward.

    The robot keeps its heading.

    Parameters
    ----------
    speed : float
        Forward speed;
        negative is backward.
    seconds : float, default 1.0
        For how long.

    Returns
    -------
    str
        What happened.
    """
    return f"{speed} {seconds} {gait}"


@skill(effects="reads")
def look(at: Point, times: int = 1) -> Point:
    """Look at a place.

    Args:
        at (Point): Where to
            look.
        times: How often.

    Returns:
        The place.
    """
    return at


class Robot:
    def __init__(self) -> None:
        self.speed = 0.0

    @skill
    def drive(self, speed: SPEED) -> None:
        """Drive."""
        self.speed = speed

    @staticmethod
    @skill(effects="reads")
    def weight() -> float:
        return 15.0


def read(annotation: Any, value: Any) -> Any:
    def f(x):
        return x

    f.__annotations__["x"] = annotation
    problems = []
    result = skill(f).read_arguments({"x": value}, problems)
    return [str(p) for p in problems] or result["x"]


def test_the_schema_of_a_skill_is_what_its_annotations_say():
    assert walk.parameters == {
        "type": "object",
        "properties": {
            "speed": {
                "type": "number",
                "minimum": -0.5,
                "maximum": 0.5,
                "description": "Forward speed; negative is backward. In m/s.",
            },
            "seconds": {
                "type": "number",
                "exclusiveMinimum": 0,
                "maximum": 10,
                "description": "For how long.",
                "default": 1.0,
            },
            "gait": {"type": "string", "enum": ["trot", "walk"], "default": "trot"},
        },
        "required": ["speed"],
        "additionalProperties": False,
    }


def test_the_description_is_the_docstring_before_its_sections():
    assert walk.description == "Walk forward.\nThe robot keeps its heading."
    assert look.description == "Look at a place."


def test_google_sections_are_read_too():
    properties = look.parameters["properties"]
    assert properties["at"]["description"] == "Where to look."
    assert properties["times"]["description"] == "How often."


def test_a_nested_dataclass_brings_its_own_descriptions_and_defaults():
    assert look.parameters["properties"]["at"] == {
        "type": "object",
        "properties": {
            "x": {"type": "number", "description": "Coordinate in metres."},
            "y": {"type": "number", "description": "Coordinate in metres.", "default": 0.0},
        },
        "required": ["x"],
        "additionalProperties": False,
        "description": "Where to look.",
    }


def test_a_skill_is_called_as_the_function_itself():
    assert walk(99.0) == "99.0 1.0 Gait.TROT"
    assert walk(1, seconds=2, gait=None) == "1 2 None"
    assert walk.__name__ == "walk"


def test_a_skill_says_what_it_does():
    assert walk.tags == {"motion", "basic"}
    assert walk.moves
    assert not walk.stops
    assert walk.timeout == 5.0
    assert not walk.confirmation
    assert look.effects == {"reads"}
    assert repr(walk) == "<Skill walk(speed, seconds, gait), moves>"


def test_a_method_is_bound_when_it_is_taken_from_an_object():
    robot = Robot()
    assert Robot.drive.needs_owner
    assert list(robot.drive.parameters["properties"]) == ["speed"]
    robot.drive(0.25)
    assert robot.speed == 0.25
    assert robot.drive == robot.drive
    assert robot.drive != Robot().drive
    assert Robot.weight() == 15.0


def test_a_skill_is_itself_after_pickle():
    assert pickle.loads(pickle.dumps(walk)) is walk


def test_the_token_is_no_argument():
    @skill
    def f(x: int, cancel: CancelToken) -> None: ...

    assert list(f.parameters["properties"]) == ["x"]
    assert f.cancel_name == "cancel"


@pytest.mark.parametrize(
    ("annotation", "value", "result"),
    [
        (int, 3, 3),
        (int, 3.0, 3),
        (float, 3, 3.0),
        (bool, True, True),
        (str, "5", "5"),
        (float | None, None, None),
        (int | str, "a", "a"),
        (Literal["a", 2, None], 2.0, 2),
        (Literal["a", 2, None], None, None),
        (Gait, "walk", Gait.WALK),
        (Light, "RED", Light.RED),
        (list[int], [1, 2], [1, 2]),
        (tuple[int, str], [1, "a"], (1, "a")),
        (tuple[int, ...], [1, 2], (1, 2)),
        (dict[str, float], {"a": 1}, {"a": 1.0}),
        (Point, {"x": 1}, Point(1.0, 0.0)),
        (list[Point], [{"x": 1, "y": 2}], [Point(1.0, 2.0)]),
        (Annotated[float, Bound(ge=0)] | None, 0, 0.0),
        (Annotated[str, Length(1, 2)], "ab", "ab"),
    ],
)
def test_values_are_read_as_the_annotation_says(annotation, value, result):
    got = read(annotation, value)
    assert got == result
    assert type(got) is type(result)


@pytest.mark.parametrize(
    ("annotation", "value", "message"),
    [
        (int, 3.5, "x: expected an integer, got 3.5"),
        (int, "5", "x: expected an integer, got '5'"),
        (int, True, "x: expected an integer, got true"),
        (float, False, "x: expected a finite number, got false"),
        (float, "5", "x: expected a finite number, got '5'"),
        (float, math.nan, "x: expected a finite number, got nan"),
        (float, -math.inf, "x: expected a finite number, got -inf"),
        (float, 10**400, "x: expected a finite number, got an integer of 1329 bits"),
        (int, math.inf, "x: expected an integer, got inf"),
        (SPEED, 0.6, "x: expected a finite number at least -0.5 and at most 0.5, got 0.6"),
        (bool, 1, "x: expected true or false, got 1"),
        (bool, "true", "x: expected true or false, got 'true'"),
        (str, 5, "x: expected a string, got 5"),
        (str, None, "x: expected a string, got null"),
        (Literal[1], True, "x: expected one of 1, got true"),
        (Gait, "run", "x: expected one of 'trot', 'walk', got 'run'"),
        (list[int], [1, "a"], "x[1]: expected an integer, got 'a'"),
        (tuple[int, int], [1], "x: expected an array of exactly 2 items (an integer, an integer), got an array of 1 item"),
        (dict[str, int], {"a": []}, "x['a']: expected an integer, got an array of 0 items"),
        (Point, {"x": 1, "z": 2}, "x: expected only the keys x, y, got 'z'"),
        (Point, {}, "x.x: expected a finite number, got nothing (the argument is missing)"),
        (list[Point], [{"x": None}], "x[0].x: expected a finite number, got null"),
        (SPEED | None, 3, "x: expected a finite number at least -0.5 and at most 0.5, got 3"),
        (int | str, [], "x: expected an integer or a string, got an array of 0 items"),
        (Annotated[str, Length(2)], "a", "x: expected a string of at least 2 characters, got 'a'"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_by_path(annotation, value, message):
    assert read(annotation, value) == [message]


@pytest.mark.parametrize(
    "annotation",
    [Any, object, list, dict, tuple, tuple[()], dict[int, str], set[int], bytes, complex, "Nothing", Literal[1.5],
     Annotated[str, Bound(ge=0)], Annotated[list[float], Bound(ge=0)], Annotated[float, Length(1)],
     Annotated[int, Bound(gt=0, lt=1)], Annotated[float, 5]],
)  # fmt: skip
def test_an_annotation_without_a_schema_is_an_error_at_once(annotation):
    def f(x):
        return x

    f.__annotations__["x"] = annotation
    with pytest.raises(ConfigError, match=r"expected .* got"):
        skill(f)


def test_a_dataclass_that_contains_itself_is_refused():
    with pytest.raises(ConfigError, match="contains itself"):
        skill(_tree)


@dataclasses.dataclass
class Tree:
    children: "list[Tree]"


def _tree(x: Tree) -> None: ...


@pytest.mark.parametrize("default", [None, "1", math.nan, 0.7])
def test_a_default_must_fit_its_annotation(default):
    def f(x: SPEED = default): ...

    with pytest.raises(ConfigError, match="default of x in the skill f"):
        skill(f)


def test_parameters_without_annotation_or_name_are_refused():
    def bare(x): ...

    def stars(*x: int): ...

    def keywords(**x: int): ...

    def positional(x: int, /): ...

    for f in (bare, stars, keywords, positional):
        with pytest.raises(ConfigError, match="x in the skill"):
            skill(f)


def test_names_effects_timeouts_and_functions_are_checked():
    def f(): ...

    async def g(): ...

    for bad in ("", "a b", "ä", "x" * 65, "1a", "a\n"):
        with pytest.raises(ConfigError, match="name of a skill"):
            skill(name=bad)(f)
    for bad in ("flies", [], ["moves", "stops"]):
        with pytest.raises(ConfigError, match="expected"):
            skill(effects=bad)(f)
    for bad in (0, -1, math.nan):
        with pytest.raises(InvalidValueError, match="timeout"):
            skill(timeout=bad)(f)
    for bad in (g, len, staticmethod(f), 5):
        with pytest.raises(DTypeError, match="plain function"):
            skill()(bad)
    with pytest.raises(ConfigError, match="since it stops"):
        skill(effects="stops", confirmation=True)(f)


@pytest.mark.parametrize(
    "given",
    [{"ge": math.nan}, {"ge": 1, "le": 0}, {"ge": 0, "gt": 0}, {"gt": 1, "lt": 1}, {"le": "5"}, {"le": True},
     {"le": 2**53 + 1}],
)  # fmt: skip
def test_bounds_that_hold_nothing_are_refused(given):
    with pytest.raises(InvalidValueError, match="expected"):
        Bound(**given)


def test_several_problems_are_told_at_once_but_not_without_end():
    problems = []
    walk.read_arguments({"speed": 7, "sped": 1, "seconds": "x"}, problems)
    assert [str(p).split(":")[0] for p in problems] == ["arguments", "speed", "seconds"]
    assert "did you mean 'speed'" in str(problems[0])
    problems = []
    walk.read_arguments({str(i): i for i in range(1000)}, problems)
    assert len(problems) == 8


def test_a_plain_decorator_makes_a_skill():
    assert isinstance(Robot.drive, Skill)
    assert Robot.drive.effects == {"moves"}
