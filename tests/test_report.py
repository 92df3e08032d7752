"""The demo's report: numbers against numpy, the verdict, the files."""

import html.parser
import json
import struct
import sys
import zlib

import numpy as np
import pytest

from rfx.cli.png import png_bytes, strip
from rfx.cli.report import DemoLog, format_table, percentiles_us, summarise, write_report
from rfx.errors import ConfigError, DTypeError, ShapeError

PHASES = [("stand up", 0.0, 1.0), ("hold", 1.0, 3.0), ("lie down", 3.0, 4.0)]


def make_log(**changes):
    rng = np.random.default_rng(3)
    t = np.arange(0, 4, 0.002)
    height = np.interp(t, [0, 1, 3, 4], [0.06, 0.3, 0.3, 0.06])
    q = rng.normal(size=(len(t), 12))
    values = {
        "time_s": t,
        "q": q,
        "dq": rng.normal(size=(len(t), 12)),
        "q_target": q + 0.05,
        "tau": rng.normal(size=(len(t), 12)),
        "height_m": height,
        "tilt_rad": np.full(len(t), 0.02),
        "phases": PHASES,
        "pushes": [(2.0, 0.2, (0.0, 60.0, 0.0))],
        "lateness_ns": rng.integers(0, 100_000, len(t)),
        "work_ns": rng.integers(50_000, 300_000, len(t)),
        "stages_ns": {"take": rng.integers(1000, 9000, len(t))},
        "missed_ticks": 3,
        "mode": "real time",
        "plant": "a test plant",
        "can_fall": True,
        "pictures": [("one", np.full((40, 50, 3), 10, np.uint8)), ("two", np.full((40, 50, 3), 200, np.uint8))],
        "robot": {"steps": 2000},
        "extra": {"wall_s": 4.5},
    }
    return DemoLog(**{**values, **changes})


# -- numbers


def test_percentiles_are_numpys():
    values = np.random.default_rng(1).integers(0, 10**6, 1000)
    found = percentiles_us(values)
    assert found["p99"] == pytest.approx(np.percentile(values, 99) / 1000, abs=1e-3)
    assert found["max"] == values.max() / 1000
    assert set(percentiles_us(np.zeros(0, np.int64)).values()) == {None}


def test_summary_counts_and_measures():
    log = make_log()
    s = summarise(log)
    assert (s["ticks"], s["missed_ticks"], s["wall_s"]) == (2000, 3, 4.5)
    hold = (log.time_s >= 1) & (log.time_s < 3)
    assert s["height_m"]["hold"]["mean"] == pytest.approx(log.height_m[hold].mean(), abs=1e-6)
    assert s["tracking_rms_rad"]["hold"] == pytest.approx(0.05)
    assert s["max_tilt_deg"] == pytest.approx(np.degrees(0.02), abs=1e-6)
    assert s["peak_torque_nm"] == pytest.approx(np.abs(log.tau).max(), abs=1e-6)


def test_the_trajectory_digest_sees_one_bit():
    log, other = make_log(), make_log()
    assert summarise(log)["trajectory_sha256"] == summarise(other)["trajectory_sha256"]
    other.q[7, 3] = np.nextafter(np.float32(other.q[7, 3]), np.float32(9))
    assert summarise(log)["trajectory_sha256"] != summarise(other)["trajectory_sha256"]


# -- verdict


def test_a_good_run_passes():
    verdict = summarise(make_log())["verdict"]
    assert verdict["passed"]
    assert "never fell" in verdict["text"]


def test_a_large_tilt_is_a_fall():
    tilt = np.full(2000, 0.02)
    tilt[900] = 1.2
    verdict = summarise(make_log(tilt_rad=tilt))["verdict"]
    assert verdict["fell"]
    assert not verdict["passed"]
    assert "FELL" in verdict["text"]


def test_a_low_trunk_while_holding_is_a_fall():
    height = make_log().height_m
    height[1200] = 0.1
    assert summarise(make_log(height_m=height))["verdict"]["fell"]


def test_a_robot_that_stays_down_did_not_stand():
    verdict = summarise(make_log(height_m=np.full(2000, 0.18)))["verdict"]
    assert not verdict["stood"]
    assert "did not stand up" in verdict["text"]


def test_a_run_that_was_cut_off_did_not_lie_down():
    whole = make_log()
    cut = {n: getattr(whole, n)[:1400] for n in ("time_s", "q", "q_target", "tau", "height_m", "tilt_rad")}
    verdict = summarise(make_log(**cut))["verdict"]
    assert not verdict["lay_down"]
    assert not verdict["passed"]


def test_heights_that_never_came_do_not_pass():
    s = summarise(make_log(height_m=np.full(2000, np.nan)))
    assert s["height_m"]["hold"] is None
    assert not s["verdict"]["passed"]


def test_the_stand_in_is_judged_by_its_joints_and_says_so():
    good = summarise(make_log(can_fall=False))["verdict"]
    assert good["passed"]
    assert "base is fixed" in good["text"]
    log = make_log(can_fall=False)
    log.q_target = log.q + 0.5
    assert not summarise(log)["verdict"]["passed"]


def test_one_unknown_tilt_does_not_hide_a_fall():
    tilt = np.full(2000, 0.02)
    tilt[900:1500] = 1.5
    tilt[10] = np.nan
    s = summarise(make_log(tilt_rad=tilt))
    assert s["verdict"]["fell"]
    assert not s["verdict"]["passed"]
    assert s["max_tilt_deg"] == pytest.approx(np.degrees(1.5), abs=1e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_run_with_an_unknown_tilt_does_not_pass(value):
    tilt = np.full(2000, 0.02)
    tilt[10] = value
    s = summarise(make_log(tilt_rad=tilt))
    assert not s["verdict"]["passed"]
    assert "1 of 2000 ticks" in s["verdict"]["text"]
    assert s["ticks_without_tilt"] == 1


# -- table


def test_table_has_a_row_for_everything_and_ends_with_the_verdict():
    text = format_table(summarise(make_log()))
    for words in (
        "a test plant",
        "2000 ticks",
        "3 missed",
        "p99.9",
        "lateness",
        "work",
        "take",
        "hold",
        "push of 60 N",
    ):
        assert words in text
    assert text.splitlines()[-1].startswith("PASSED: ")


def test_table_gives_the_torques_that_are_known():
    tau = np.full((2000, 12), 2.0)
    tau[3, 3] = np.nan
    s = summarise(make_log(tau=tau))
    assert "largest torque 2.0 Nm" in format_table(s)
    json.dumps(s, allow_nan=False)


def test_table_without_any_known_torque():
    text = format_table(summarise(make_log(tau=np.full((2000, 12), np.nan))))
    assert "largest tilt" in text
    assert "torque" not in text


def test_table_of_a_run_without_ticks():
    empty = {n: np.zeros((0, 12)) for n in ("q", "q_target", "tau")}
    empty |= {n: np.zeros(0) for n in ("time_s", "height_m", "tilt_rad")}
    empty |= {n: np.zeros(0, np.int64) for n in ("lateness_ns", "work_ns")}
    s = summarise(make_log(**empty, stages_ns={}))
    assert format_table(s).splitlines()[-1].startswith("FAILED")
    json.dumps(s, allow_nan=False)


# -- files


def decode_png(data):
    """Read an RGB PNG without filters, by the letter of the format."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, pixels, size = 8, b"", None
    while at < len(data):
        (n,) = struct.unpack(">I", data[at : at + 4])
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + n]
        assert struct.unpack(">I", data[at + 8 + n : at + 12 + n])[0] == zlib.crc32(kind + body)
        if kind == b"IHDR":
            size = struct.unpack(">II", body[:8])
        elif kind == b"IDAT":
            pixels += body
        at += 12 + n
    width, height = size
    rows = np.frombuffer(zlib.decompress(pixels), np.uint8).reshape(height, 1 + 3 * width)
    assert not rows[:, 0].any()
    return rows[:, 1:].reshape(height, width, 3)


def test_png_holds_the_picture():
    picture = np.random.default_rng(0).integers(0, 256, (17, 23, 3), dtype=np.uint8)
    np.testing.assert_array_equal(decode_png(png_bytes(picture)), picture)


def test_png_refuses_what_is_no_picture():
    with pytest.raises(DTypeError, match="uint8"):
        png_bytes(np.zeros((2, 2, 3)))
    with pytest.raises(ShapeError, match="height, width, 3"):
        png_bytes(np.zeros((2, 2), np.uint8))
    with pytest.raises(ShapeError):
        strip([])


class Checker(html.parser.HTMLParser):
    """Counts tags and checks that they close in order."""

    def __init__(self):
        super().__init__()
        self.open, self.images = [], []

    def handle_starttag(self, tag, attrs):
        if tag == "meta":
            return
        self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        if tag == "img":
            self.images.append(dict(attrs)["src"])

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def read_page(path):
    checker = Checker()
    checker.feed(path.read_text())
    assert not checker.open
    return checker


def test_report_files(tmp_path):
    log = make_log()
    summary = summarise(log)
    written = write_report(log, summary, tmp_path / "out")
    assert {p.name for p in written} == {"summary.json", "plots.png", "joints.png", "robot.png", "report.html"}
    assert json.loads((tmp_path / "out" / "summary.json").read_text()) == summary
    picture = decode_png((tmp_path / "out" / "robot.png").read_bytes())
    assert picture.shape == (40, 106, 3)
    assert picture[0, 0, 0] == 10
    assert picture[0, -1, 0] == 200
    images = read_page(tmp_path / "out" / "report.html").images
    assert len(images) == 3
    assert all(src.startswith("data:image/png;base64,") for src in images)
    assert not [p for p in (tmp_path / "out").iterdir() if p.name.startswith(".")]


def test_report_without_matplotlib_says_what_brings_plots(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    log = make_log()
    written = write_report(log, summarise(log), tmp_path)
    assert {p.name for p in written} == {"summary.json", "robot.png", "report.html"}
    assert "rfx[demo]" in (tmp_path / "report.html").read_text()


def test_report_replaces_its_own_files_and_no_others(tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    (tmp_path / "summary.json").write_text("old")
    log = make_log(pictures=[])
    write_report(log, summarise(log), tmp_path)
    assert (tmp_path / "mine.txt").read_text() == "keep"
    assert (tmp_path / "summary.json").read_text() != "old"


def test_report_refuses_a_file_for_its_folder(tmp_path):
    (tmp_path / "out").write_text("")
    log = make_log()
    with pytest.raises(ConfigError, match="it is a file"):
        write_report(log, summarise(log), tmp_path / "out")


def test_page_escapes_text(tmp_path):
    log = make_log(plant="<script>alert(1)</script>", pictures=[])
    write_report(log, summarise(log), tmp_path)
    assert "<script>" not in (tmp_path / "report.html").read_text()


def test_marks_of_the_histogram_are_percentiles_of_all_ticks():
    from matplotlib.figure import Figure

    from rfx.cli.plots import _histogram

    axes = Figure().add_subplot()
    values = np.array([0] * 90 + list(range(10_000, 20_000, 1000)))
    _histogram(axes, values, "lateness", "#0072B2")
    marks = [line.get_xdata()[0] for line in axes.get_lines()]
    assert marks == [pytest.approx(np.percentile(values, 99) / 1000)]  # the median is 0: no place on a log axis
