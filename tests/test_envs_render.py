"""Pictures of the environments: what is drawn is where the state says, and shapes have their areas."""

import math

import numpy as np
import pytest

from rfx.envs import Acrobot, CartPole, MountainCar, MountainCarContinuous, Pendulum
from rfx.envs.raster import Canvas
from rfx.errors import ConfigError

ALL = (CartPole, Pendulum, MountainCar, MountainCarContinuous, Acrobot)
RED, WOOD, BLUE, STEEL, GOLD = (205, 75, 70), (202, 152, 101), (60, 110, 190), (90, 100, 115), (225, 180, 60)


def ink(canvas):
    """How many pixels are black, soft edges in part."""
    return (255.0 - canvas.picture()[..., 0].astype(float)).sum() / 255.0


def of(make, state, **options):
    env = make(0, **options)
    env.engine.set_states([state])
    return env.render("rgb_array")


def middle(picture, colour):
    """Where the pixels of a colour are on average: column and row."""
    rows, columns = np.nonzero((picture == np.array(colour, np.uint8)).all(2))
    assert len(rows), colour
    return columns.mean(), rows.mean()


def test_a_disc_has_its_area_and_its_place():
    canvas = Canvas(100, 80, -5.0, -4.0, 10.0)
    canvas.disc(1.0, 2.0, 1.5, (0, 0, 0))
    assert ink(canvas) == pytest.approx(math.pi * 15.0**2, rel=0.01)
    assert canvas.picture()[20, 60].tolist() == [0, 0, 0]
    assert canvas.picture()[60, 20].tolist() == [255, 255, 255]


@pytest.mark.parametrize("angle", [0.0, 0.3, 1.2, math.pi / 2, 2.5])
def test_a_line_has_its_length_and_width_in_any_direction(angle):
    canvas = Canvas(120, 120, -6.0, -6.0, 10.0)
    end = (4.0 * math.cos(angle), 4.0 * math.sin(angle))
    canvas.line((0.0, 0.0), end, 1.0, (0, 0, 0))
    assert ink(canvas) == pytest.approx(40.0 * 10.0 + math.pi * 5.0**2, rel=0.01)


@pytest.mark.parametrize("angle", [0.0, 0.4, 1.5])
def test_a_box_has_its_area_at_any_angle(angle):
    canvas = Canvas(100, 100, -5.0, -5.0, 10.0)
    canvas.box((0.0, 1.0), (4.0, 2.0), angle, (0, 0, 0))
    assert ink(canvas) == pytest.approx(800.0, rel=0.02)
    columns, rows = middle(canvas.picture(), (0, 0, 0))
    assert (columns, rows) == pytest.approx((49.5, 39.5), abs=0.2)


def test_what_is_outside_of_the_picture_is_cut_off():
    canvas = Canvas(50, 40, 0.0, 0.0, 10.0)
    canvas.disc(-100.0, 3.0, 2.0, (0, 0, 0))
    canvas.line((1e300, 0.0), (2e300, 5.0), 1.0, (0, 0, 0))
    assert ink(canvas) == 0.0
    canvas.disc(0.0, 0.0, 1.0, (0, 0, 0))
    assert ink(canvas) == pytest.approx(math.pi * 100.0 / 4.0, rel=0.02)
    canvas.line((-10.0, 2.0), (20.0, 2.0), 1.0, (0, 0, 0))
    assert (canvas.picture()[20] == 0).all()


def test_a_line_of_no_length_is_a_disc():
    a, b = Canvas(30, 30, 0.0, 0.0, 10.0), Canvas(30, 30, 0.0, 0.0, 10.0)
    a.line((1.0, 1.0), (1.0, 1.0), 1.0, (9, 9, 9))
    b.disc(1.0, 1.0, 0.5, (9, 9, 9))
    np.testing.assert_array_equal(a.picture(), b.picture())


@pytest.mark.parametrize("make", ALL)
def test_every_environment_gives_a_line_and_a_picture(make):
    env = make(0)
    picture = env.render("rgb_array")
    assert picture.dtype == np.uint8
    assert picture.shape in ((400, 600, 3), (500, 500, 3))
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 5
    assert env.render().startswith(f"{make.env_id} | step=0 state=")
    assert env.render("rgb_array").tobytes() == picture.tobytes()
    for mode in ("human", "ansi", None):
        with pytest.raises(ConfigError):
            env.render(mode)


def test_the_cart_is_where_it_is_and_the_pole_leans_as_it_does():
    for x in (-1.0, 0.0, 1.5):
        assert middle(of(CartPole, [x, 0, 0, 0]), STEEL)[0] == pytest.approx(300 + 100 * x, abs=1)
    upright, right = of(CartPole, [0, 0, 0, 0]), of(CartPole, [0, 0, 0.2, 0])
    assert middle(upright, WOOD)[0] == pytest.approx(300, abs=1)
    assert middle(right, WOOD)[0] == pytest.approx(300 + 50 * math.sin(0.2), abs=2)
    assert middle(of(CartPole, [0, 0, 0, 0], length=1.0), WOOD)[1] < middle(upright, WOOD)[1] - 20


def test_the_pendulum_points_up_at_zero_and_is_mirrored_for_negative_angles():
    scale = 500 / 4.4
    for angle in (0.0, 0.7, 3.0):
        column, row = middle(of(Pendulum, [angle, 0]), RED)
        assert column == pytest.approx(250 - 0.5 * scale * math.sin(angle), abs=4)
        assert row == pytest.approx(250 - 0.5 * scale * math.cos(angle), abs=4)
    np.testing.assert_array_equal(of(Pendulum, [0.7, 0]), of(Pendulum, [-0.7, 0])[:, ::-1])


@pytest.mark.parametrize(("make", "goal"), [(MountainCar, 0.5), (MountainCarContinuous, 0.45)])
def test_the_car_is_on_the_hill_and_the_flag_at_the_goal(make, goal):
    scale = 600 / 1.8
    for x in (-0.9, -0.5, 0.2):
        column, row = middle(of(make, [x, 0]), STEEL)
        height = math.sin(3 * x) * 0.45 + 0.55
        assert column == pytest.approx((x + 1.2) * scale, abs=16)
        assert row == pytest.approx(400 - height * scale, abs=16)
    assert middle(of(make, [-0.5, 0]), GOLD)[0] == pytest.approx((goal + 0.04 + 1.2) * scale, abs=2)


def test_the_acrobot_hangs_down_at_zero_and_its_links_add_up():
    scale = 500 / 4.4
    for first, second in ((0.0, 0.0), (0.6, 0.8), (2.5, -1.0)):
        picture = of(Acrobot, [first, second, 0, 0])
        elbow = np.array([math.sin(first), -math.cos(first)])
        tip = elbow + [math.sin(first + second), -math.cos(first + second)]
        for part, colour in ((elbow / 2, BLUE), ((elbow + tip) / 2, RED)):
            expected = (250 + scale * part[0], 250 - scale * part[1])
            assert middle(picture, colour) == pytest.approx(expected, abs=9)  # joints cover a part
