"""rfx.go2.backends.dust: what DustDDS' wheel lacks is said at once, found out by trying, and noticed when it changes."""

import subprocess
import sys

import pytest

from rfx.errors import MissingDependencyError, RfxError
from rfx.go2 import Go2, Go2Config
from rfx.go2.backends import dust

# What 0.16.0 lacks. Robots cannot be reached while any of these is missing.
LACKS = [dust.INTERFACE, "uint16", "int16", "int64", "float32", "bytes", "arrays", "messages in messages"]


@pytest.fixture(autouse=True)
def forgotten():
    dust.missing_abilities.cache_clear()
    yield
    dust.missing_abilities.cache_clear()


@pytest.fixture
def wheel():
    return pytest.importorskip("dust_dds", reason="dust-dds is not installed")


def test_without_the_wheel_the_hint_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "dust_dds", None)
    with pytest.raises(MissingDependencyError, match="pip install dust-dds"):
        Go2.connect(Go2Config(backend="dust"))


def test_the_wheel_still_lacks_what_a_robot_needs(wheel):
    missing = list(dust.missing_abilities())
    assert dust.INTERFACE in missing, (
        f"dust-dds {dust._version()} can choose a network interface now. If it also writes {LACKS[1:]}, it can carry the "
        "robot's messages: give it a link of its own (rfx.go2.backends.base.DdsBackend), tested as the others are"
    )
    if missing == [dust.INTERFACE]:
        pytest.skip("the system grants no network of its own, so nothing more was tried")
    assert missing == LACKS, (
        f"dust-dds {dust._version()} lacks {missing} and no longer {sorted(set(LACKS) - set(missing))}: change LACKS, and "
        "when it is empty give DustDDS a link of its own (rfx.go2.backends.base.DdsBackend), tested as the others are"
    )


def test_asking_for_it_names_every_missing_ability_and_the_way_out(wheel):
    with pytest.raises(RfxError, match=f"dust-dds .*lacks: {dust.INTERFACE}.*cyclone or zenoh") as caught:
        Go2.connect(Go2Config(backend="dust"))
    assert not isinstance(caught.value, MissingDependencyError)


def test_it_is_not_imported_into_our_process(wheel):
    code = (
        "import sys\nfrom rfx.errors import RfxError\nfrom rfx.go2.backends.dust import open_dust\n"
        "try:\n    open_dust()\nexcept RfxError:\n    print('dust_dds' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert told.stdout == "False\n"
    assert told.stderr == ""


def test_a_wheel_that_lacks_nothing_is_told_apart(monkeypatch):
    monkeypatch.setattr(dust, "missing_abilities", lambda: ())
    with pytest.raises(RfxError, match="this version of rfx has no link over it yet"):
        dust.open_dust()


@pytest.mark.parametrize(
    ("code", "words"), [("import os; os.abort()", "ended with code -6"), ("raise OSError('no room')", "no room")]
)
def test_a_trial_that_breaks_ends_in_a_clear_error(monkeypatch, code, words):
    monkeypatch.setattr(dust, "_installed", lambda: True)
    monkeypatch.setattr(dust, "START", code)
    with pytest.raises(RfxError, match=words):
        dust.missing_abilities()


def test_a_trial_that_hangs_is_given_up(monkeypatch):
    monkeypatch.setattr(dust, "_installed", lambda: True)
    monkeypatch.setattr(dust, "START", "import time; time.sleep(60)")
    monkeypatch.setattr(dust, "PATIENCE_S", 0.3)
    with pytest.raises(RfxError, match=r"within 0\.3 s"):
        dust.missing_abilities()
