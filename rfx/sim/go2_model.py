"""The Go2 as boxes, cylinders, capsules and balls: one table for the physics, the pictures and the kinematics.

The figures are facts that these public documents agree on, read in 2026:

- Unitree's robot description ``go2_description.urdf`` (unitree_ros): joint places and axes, link lengths, limits,
  masses, centres of mass and inertias of trunk, hip and thigh, sizes of the collision boxes, cylinders and balls.
- The ``go2.xml`` of MuJoCo Menagerie and of unitree_mujoco: the same, and for the lower leg with its foot 0.241352 kg
  and a torque limit of 45.43 Nm (the description has 0.194 kg and 35.55 Nm), armature 0.01 kg m^2, friction loss
  0.2 Nm, foot friction 0.8; joint damping 0.1 Nm s in unitree_mujoco (2 in Menagerie). Total mass 15.206 kg.

Inertia products below two per cent of the moments are left out, which makes the model exactly symmetric left to right.
The ball under the chin sits 4 cm higher than in those documents, so that the robot lies level. The shapes that touch
nothing are ours and only for the eye. What touches, touches the floor only: legs and trunk pass through each other.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rfx.robots.go2 import GO2, LEGS

HIP_X, HIP_Y = 0.1934, 0.0465
THIGH_Y = 0.0955
THIGH_LENGTH = CALF_LENGTH = 0.213
FOOT_RADIUS = 0.022
FOOT_X = -0.002
ARMATURE, DAMPING, FRICTION_LOSS = 0.01, 0.1, 0.2
TIMESTEP = 0.002

LINKS = ("trunk", *(f"{leg}_{part}" for leg in LEGS for part in ("hip", "thigh", "calf")))
JOINTS = GO2.joint_names
LOWER, UPPER, TORQUE_LIMIT = GO2.lower, GO2.upper, GO2.torque_limit

WHITE, GREY, DARK, BLACK = (0.87, 0.88, 0.90), (0.55, 0.58, 0.62), (0.20, 0.21, 0.24), (0.06, 0.06, 0.07)
LENS = (0.10, 0.28, 0.42)


@dataclass(frozen=True, slots=True)
class Shape:
    """One primitive fixed to a link: its place and turn in the frame of the link, its size in half lengths."""

    link: str
    kind: str
    size: tuple[float, ...]
    position: tuple[float, float, float]
    colour: tuple[float, float, float]
    axis: str = "z"  # where the local z axis of a cylinder, capsule or box points: x, y or z
    tilt: float = 0.0  # radians about y, on top
    touches: bool = False
    name: str = ""

    def rotation(self) -> NDArray[np.float64]:
        """Rotation matrix, shape (3, 3), link from shape."""
        axes = {
            "x": [[0, 0, 1], [0, 1, 0], [-1, 0, 0]],
            "y": [[1, 0, 0], [0, 0, -1], [0, 1, 0]],
            "z": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
        }
        c, s = math.cos(self.tilt), math.sin(self.tilt)
        return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]) @ np.array(axes[self.axis], dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Inertial:
    """Mass (kg), centre of mass (m) and the six numbers xx yy zz xy xz yz of the inertia about it (kg m^2)."""

    mass: float
    centre: tuple[float, float, float]
    inertia: tuple[float, float, float, float, float, float]


def sides(leg: str) -> tuple[float, float]:
    """(+1 front or -1 rear, +1 left or -1 right) of a leg."""
    return (1.0 if leg[0] == "F" else -1.0), (1.0 if leg[1] == "L" else -1.0)


def inertial(link: str) -> Inertial:
    """Mass, centre and inertia of a link, mirrored for the right side and the rear."""
    if link == "trunk":
        return Inertial(6.921, (0.021112, 0.0, -0.005366), (0.02448, 0.098077, 0.107, 0.0, 0.0014849, 0.0))
    leg, part = link.split("_")
    front, left = sides(leg)
    if part == "hip":
        return Inertial(0.678, (-0.0054 * front, 0.00194 * left, -0.000105), (0.00048, 0.000884, 0.000596, 0, 0, 0))
    if part == "thigh":
        products = (0.0000872 * left, -0.000289, 0.000808 * left)
        return Inertial(1.152, (-0.00374, -0.0223 * left, -0.0327), (0.00584, 0.0058, 0.00103, *products))
    return Inertial(0.241352, (0.006296, -0.000622 * left, -0.141417), (0.00146356, 0.0014901, 0.0000531, 0, 0, 0))


def joint_place(link: str) -> tuple[float, float, float]:
    """Where the joint that carries a link sits, in the frame of the link above (m)."""
    leg, part = link.split("_")
    front, left = sides(leg)
    return {
        "hip": (HIP_X * front, HIP_Y * left, 0.0),
        "thigh": (0.0, THIGH_Y * left, 0.0),
        "calf": (0.0, 0.0, -THIGH_LENGTH),
    }[part]


def _trunk_shapes() -> list[Shape]:
    return [
        Shape("trunk", "box", (0.1881, 0.04675, 0.057), (0, 0, 0), DARK, touches=True),
        Shape("trunk", "cylinder", (0.05, 0.045), (0.285, 0, 0.01), DARK, touches=True),
        Shape("trunk", "sphere", (0.047,), (0.293, 0, -0.02), BLACK, touches=True),
        Shape("trunk", "box", (0.150, 0.078, 0.040), (0, 0, 0.012), WHITE),
        Shape("trunk", "capsule", (0.030, 0.125), (0, 0.062, 0.040), WHITE, axis="x"),
        Shape("trunk", "capsule", (0.030, 0.125), (0, -0.062, 0.040), WHITE, axis="x"),
        Shape("trunk", "box", (0.120, 0.050, 0.012), (0, 0, 0.062), DARK),
        Shape("trunk", "box", (0.055, 0.060, 0.040), (0.225, 0, 0.022), WHITE, tilt=0.12),
        Shape("trunk", "box", (0.040, 0.046, 0.030), (0.285, 0, 0.028), GREY, tilt=0.30),
        Shape("trunk", "box", (0.006, 0.040, 0.018), (0.326, 0, 0.018), BLACK, tilt=0.20),
        Shape("trunk", "sphere", (0.010,), (0.330, 0.022, 0.020), LENS),
        Shape("trunk", "sphere", (0.010,), (0.330, -0.022, 0.020), LENS),
        Shape("trunk", "box", (0.030, 0.055, 0.036), (-0.205, 0, 0.014), GREY, tilt=-0.1),
    ]


def _leg_shapes(leg: str) -> list[Shape]:
    front, left = sides(leg)
    hip, thigh, calf = (f"{leg}_{part}" for part in ("hip", "thigh", "calf"))
    return [
        Shape(hip, "cylinder", (0.046, 0.02), (0, 0.08 * left, 0), GREY, axis="y", touches=True),
        Shape(hip, "cylinder", (0.040, 0.036), (-0.01 * front, 0.0, 0), DARK, axis="x"),
        Shape(hip, "cylinder", (0.030, 0.03), (0, 0.045 * left, 0), DARK, axis="y"),
        Shape(thigh, "box", (0.017, 0.01225, 0.1065), (0, 0, -0.1065), WHITE, touches=True),
        Shape(thigh, "cylinder", (0.045, 0.022), (0, -0.012 * left, 0), DARK, axis="y"),
        Shape(thigh, "capsule", (0.026, 0.055), (-0.008, 0, -0.07), WHITE, tilt=-0.08),
        Shape(thigh, "capsule", (0.019, 0.060), (-0.004, 0, -0.135), WHITE),
        Shape(thigh, "cylinder", (0.024, 0.018), (0, 0, -0.213), DARK, axis="y"),
        Shape(calf, "capsule", (0.013, 0.055), (0.010, 0, -0.062), GREY, tilt=-0.2, touches=True),
        Shape(calf, "capsule", (0.011, 0.0325), (0.020, 0, -0.148), DARK, tilt=0.05, touches=True),
        Shape(calf, "capsule", (0.011, 0.015), (0.009, 0, -0.192), DARK, tilt=0.45),
        Shape(calf, "sphere", (FOOT_RADIUS,), (FOOT_X, 0, -CALF_LENGTH), BLACK, touches=True, name=f"{leg}_foot"),
    ]


SHAPES: tuple[Shape, ...] = (*_trunk_shapes(), *(shape for leg in LEGS for shape in _leg_shapes(leg)))


def _numbers(values: object) -> str:
    return " ".join(f"{float(v):.9g}" for v in np.asarray(values, dtype=np.float64).ravel())


def _geom(shape: Shape) -> str:
    rotation = shape.rotation()
    role = f'class="{"foot" if shape.name else "body"}"' if shape.touches else 'class="shell"'
    name = f' name="{shape.name}"' if shape.name else ""
    return (
        f'<geom{name} {role} type="{shape.kind}" size="{_numbers(shape.size)}" pos="{_numbers(shape.position)}" '
        f'xyaxes="{_numbers([*rotation[:, 0], *rotation[:, 1]])}" rgba="{_numbers(shape.colour)} 1"/>'
    )


def _inside(link: str) -> list[str]:
    body = inertial(link)
    lines = [
        f'<inertial mass="{body.mass}" pos="{_numbers(body.centre)}" fullinertia="{_numbers(body.inertia)}"/>',
        *(_geom(shape) for shape in SHAPES if shape.link == link),
    ]
    if link.endswith("calf"):
        foot = f"{FOOT_X} 0 {-CALF_LENGTH}"
        lines.append(
            f'<site name="{link[:2]}_touch" type="sphere" size="{FOOT_RADIUS + 0.005}" pos="{foot}" group="5"/>'
        )
    return lines


def _leg(leg: str) -> list[str]:
    lines: list[str] = []
    for part in ("hip", "thigh", "calf"):
        link, index = f"{leg}_{part}", JOINTS.index(f"{leg}_{part}")
        axis = "1 0 0" if part == "hip" else "0 1 0"
        travel = _numbers([LOWER[index], UPPER[index]])
        lines += [
            f'<body name="{link}" pos="{_numbers(joint_place(link))}">',
            f'<joint name="{link}" axis="{axis}" range="{travel}"/>',
            *_inside(link),
        ]
    return [*lines, "</body>" * 3]


def model_xml() -> str:
    """The model in MuJoCo's XML: a free trunk named ``trunk`` over a floor, joints and motors named as in ``JOINTS``.

    The motors have no gain of their own: their ``biasprm`` is the law that a plant writes (offset, -kp, -kd).
    """
    lines = [
        '<mujoco model="go2">',
        '<compiler angle="radian" autolimits="true"/>',
        f'<option timestep="{TIMESTEP}" integrator="implicitfast" cone="elliptic" impratio="10" iterations="30">'
        '<flag autoreset="disable"/></option>',
        '<visual><global offwidth="1280" offheight="960"/></visual>',
        "<default>",
        f'<joint damping="{DAMPING}" armature="{ARMATURE}" frictionloss="{FRICTION_LOSS}"/>',
        '<geom contype="0" conaffinity="0" group="1" mass="0"/>',
        '<default class="shell"><geom/></default>',
        '<default class="body"><geom contype="1" friction="0.6" condim="3" group="0"/></default>',
        '<default class="foot"><geom contype="1" friction="0.8" condim="3" priority="1" group="0"/></default>',
        "</default>",
        "<worldbody>",
        '<light pos="1 -1 3" dir="-0.3 0.3 -1" diffuse="0.8 0.8 0.8"/>',
        '<geom name="floor" type="plane" size="0 0 1" conaffinity="1" rgba="0.45 0.48 0.52 1"/>',
        '<body name="trunk" pos="0 0 0.35">',
        '<freejoint name="base"/>',
        '<site name="imu" pos="-0.02557 0 0.04232" group="5"/>',
        *_inside("trunk"),
        *(line for leg in LEGS for line in _leg(leg)),
        "</body>",
        "</worldbody>",
        "<actuator>",
    ]
    for name, limit in zip(JOINTS, TORQUE_LIMIT, strict=True):
        lines.append(
            f'<general name="{name}" joint="{name}" gainprm="0" biastype="affine" biasprm="0 0 0" '
            f'forcerange="{_numbers([-limit, limit])}"/>'
        )
    lines += ["</actuator>", "<sensor>", '<accelerometer name="accelerometer" site="imu"/>']
    lines += [f'<touch name="{leg}_force" site="{leg}_touch"/>' for leg in LEGS]
    lines += ["</sensor>", "</mujoco>"]
    return "\n".join(lines)
