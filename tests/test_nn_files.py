"""Policy files: what is written is read again, damage is named, nothing is left half done."""

import json
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from rfx.errors import CodecError, ConfigError, InvalidValueError, RfxError
from rfx.nn import directory, read_policy_directory, write_policy_directory
from rfx.nn.tensor_file import encode_tensors
from rfx.robots import GO2

WEIGHTS = {"l0.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "l0.bias": np.ones(2, np.float32)}
CONFIG = {
    "policy_type": "MLP",
    "policy_config": {"obs_dim": 3, "act_dim": 2, "hidden": []},
    "layers": [{"type": "linear", "weight": "l0.weight", "bias": "l0.bias"}, {"type": "tanh"}],
}
NORMALIZER = {"mean": [0.0, 1.0, 2.0], "var": [1.0, 4.0, 0.0], "epsilon": 1e-8, "clip": 10.0, "count": 7.0}


@pytest.fixture
def saved(tmp_path):
    return write_policy_directory(tmp_path / "walk", CONFIG, WEIGHTS, NORMALIZER)


def edit(folder, change):
    config = json.loads((folder / "rfx_config.json").read_text())
    change(config)
    (folder / "rfx_config.json").write_text(json.dumps(config))


def test_what_is_written_is_read_again(tmp_path):
    config = CONFIG | {"robot_config": GO2.to_dict(), "training": {"steps": 3, "note": "é"}}
    path = write_policy_directory(tmp_path / "a" / "walk", config, WEIGHTS, NORMALIZER, {"golden.bin": b"\x00\x01"})
    files = read_policy_directory(str(path))
    assert files.policy_type == "MLP"
    assert files.policy_config == CONFIG["policy_config"]
    assert files.layers == CONFIG["layers"]
    assert files.robot_config == GO2
    assert files.config["training"] == {"steps": 3, "note": "é"}
    assert files.normalizer == NORMALIZER
    assert files.extra == {"golden.bin": b"\x00\x01"}
    assert all(np.array_equal(files.tensors[name], value) for name, value in WEIGHTS.items())
    assert sorted(p.name for p in path.parent.iterdir()) == ["walk"]
    assert "numbers=8" in repr(files)


def test_reading_and_writing_need_no_tinygrad(saved):
    code = (
        "import sys; sys.modules['tinygrad'] = None\n"
        "from rfx.nn import read_policy_directory, write_policy_directory\n"
        f"f = read_policy_directory({str(saved)!r})\n"
        f"write_policy_directory({str(saved) + '2'!r}, f.config, f.tensors, f.normalizer)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert read_policy_directory(f"{saved}2").config == read_policy_directory(saved).config


def test_a_second_save_leaves_nothing_of_the_first(saved):
    write_policy_directory(saved, CONFIG, WEIGHTS, NORMALIZER, {"golden.bin": b"x"})
    write_policy_directory(saved, CONFIG, WEIGHTS)
    assert sorted(p.name for p in saved.iterdir()) == ["model.safetensors", "rfx_config.json"]
    assert read_policy_directory(saved).normalizer is None
    assert [p.name for p in saved.parent.iterdir()] == ["walk"]


def test_an_empty_folder_is_taken(tmp_path):
    (tmp_path / "walk").mkdir()
    assert read_policy_directory(write_policy_directory(tmp_path / "walk", CONFIG, WEIGHTS)).policy_type == "MLP"


def test_a_link_to_a_policy_folder_stays_a_link(saved):
    link = saved.parent / "latest"
    link.symlink_to(saved)
    write_policy_directory(link, CONFIG, WEIGHTS)
    assert link.is_symlink()
    assert read_policy_directory(saved).normalizer is None


@pytest.mark.parametrize("stranger", ["notes.txt", "model.pt", "logs/run"])
def test_a_folder_with_other_things_in_it_is_not_touched(saved, stranger):
    (saved / stranger).parent.mkdir(exist_ok=True)
    (saved / stranger).write_text("mine")
    with pytest.raises(ConfigError, match="folder of its own"):
        write_policy_directory(saved, CONFIG, WEIGHTS)
    assert (saved / stranger).read_text() == "mine"
    assert (saved / "normalizer.json").exists()


def test_a_folder_that_is_no_policy_is_not_touched(tmp_path):
    (tmp_path / "model.safetensors").write_text("mine")
    with pytest.raises(ConfigError, match="folder of its own"):
        write_policy_directory(tmp_path, CONFIG | {"layers": None}, {"a": np.zeros(1)}, None, {"notes.txt": b""})
    assert (tmp_path / "model.safetensors").read_text() == "mine"


def test_a_file_in_the_way_is_not_touched(tmp_path):
    (tmp_path / "walk").write_text("mine")
    with pytest.raises(ConfigError, match="is a file"):
        write_policy_directory(tmp_path / "walk", CONFIG, WEIGHTS)


@pytest.mark.parametrize("step", ["_put_in_place", "_flush", "second rename"])
def test_a_save_that_fails_leaves_the_old_policy(saved, monkeypatch, step):
    def refuse(*args):
        raise OSError("disk full")

    def rename(a, b, real=os.rename, calls=[]):  # noqa: B006
        calls.append(a)
        if len(calls) == 3:  # the old one is out of the way, the new one not yet there
            raise OSError("disk full")
        real(a, b)

    if step == "second rename":
        monkeypatch.setattr(directory, "_exchange", lambda one, other: False)
        monkeypatch.setattr(os, "rename", rename)
    else:
        monkeypatch.setattr(directory, step, refuse)
    with pytest.raises(OSError, match="disk full"):
        write_policy_directory(saved, CONFIG, WEIGHTS)
    monkeypatch.undo()
    assert read_policy_directory(saved).normalizer == NORMALIZER
    assert [p.name for p in saved.parent.iterdir()] == ["walk"]


def test_without_the_exchange_a_save_still_replaces(saved, monkeypatch):
    monkeypatch.setattr(directory, "_exchange", lambda one, other: False)
    write_policy_directory(saved, CONFIG, WEIGHTS)
    assert read_policy_directory(saved).normalizer is None
    assert [p.name for p in saved.parent.iterdir()] == ["walk"]


def test_a_reader_during_saves_sees_one_policy_or_another(saved):
    def save():
        for i in range(20):
            weights = {name: np.full_like(value, i) for name, value in WEIGHTS.items()}
            write_policy_directory(saved, CONFIG | {"training": {"i": i}}, weights)

    write_policy_directory(saved, CONFIG | {"training": {"i": 0}}, {n: np.zeros_like(v) for n, v in WEIGHTS.items()})
    thread = threading.Thread(target=save)
    thread.start()
    seen = set()
    while thread.is_alive():
        files = read_policy_directory(saved)
        seen.add(files.config["training"]["i"])
        assert (files.tensors["l0.bias"] == files.config["training"]["i"]).all()
    thread.join()
    assert seen


@pytest.mark.parametrize("name", ["rfx_config.json", "model.safetensors", "normalizer.json"])
def test_a_missing_file_is_named(saved, name):
    (saved / name).unlink()
    with pytest.raises(FileNotFoundError, match=name):
        read_policy_directory(saved)


@pytest.mark.parametrize("name", ["rfx_config.json", "model.safetensors", "normalizer.json"])
def test_a_truncated_file_is_named(saved, name):
    data = (saved / name).read_bytes()
    (saved / name).write_bytes(data[:-9])
    with pytest.raises(CodecError, match=name):
        read_policy_directory(saved)


@pytest.mark.parametrize("name", ["rfx_config.json", "model.safetensors", "normalizer.json"])
def test_a_link_out_of_the_folder_is_refused(saved, name):
    outside = saved.parent / "outside"
    (saved / name).rename(outside)
    (saved / name).symlink_to(outside)
    with pytest.raises(CodecError, match=f"{name}.*regular file"):
        read_policy_directory(saved)


def test_a_pipe_does_not_hang_the_reader(saved):
    (saved / "model.safetensors").unlink()
    os.mkfifo(saved / "model.safetensors")
    with pytest.raises(CodecError, match="regular file"):
        read_policy_directory(saved)
    os.mkfifo(saved.parent / "x.safetensors")
    with pytest.raises((CodecError, FileNotFoundError)):
        read_policy_directory(saved.parent / "x.safetensors")


def test_weights_of_another_save_are_noticed(saved):
    other = write_policy_directory(saved.parent / "other", CONFIG, {n: v + 1 for n, v in WEIGHTS.items()})
    (other / "model.safetensors").replace(saved / "model.safetensors")
    with pytest.raises(CodecError, match="not the file that was saved"):
        read_policy_directory(saved)


def test_a_normaliser_that_belongs_to_another_policy_is_noticed(saved):
    bare = write_policy_directory(saved.parent / "bare", CONFIG, WEIGHTS)
    (saved / "normalizer.json").replace(bare / "normalizer.json")
    with pytest.raises(ConfigError, match="another policy"):
        read_policy_directory(bare)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(format="zip"), "expected format"),
        (lambda c: c.update(version=2), "update it"),
        (lambda c: c.update(version="1"), "expected format"),
        (lambda c: c.pop("policy_type"), "policy_type"),
        (lambda c: c.update(policy_config=[]), "policy_config"),
        (lambda c: c.pop("files"), "files to list"),
        (lambda c: c["files"].update({"../secret": {"bytes": 1}}), "own folder"),
        (lambda c: c["files"].update({"/etc/passwd": {"bytes": 1}}), "own folder"),
        (lambda c: c["files"].update({".ssh": {"bytes": 1}}), "own folder"),
        (lambda c: c["files"].update({"rfx_config.json": {}}), "length and sum"),
        (lambda c: c.update(robot_config={"name": "go2"}), "missing keys of a robot"),
        (lambda c: c.update(training=3), "training"),
        (lambda c: c.update(layers={}), "list of at least one layer"),
        (lambda c: c["layers"][0].update(weight="l9.weight"), "l9.weight"),
        (lambda c: c["layers"][0].update(bias="l0.weight"), "bias of shape"),
        (lambda c: c["layers"].append({"type": "eval"}), "unknown type of layer"),
        (lambda c: c["layers"][1].update(code="x"), "unknown keys"),
        (lambda c: c["layers"].pop(0), "tell the number"),
    ],
)
def test_a_description_that_does_not_fit_is_refused(saved, change, message):
    edit(saved, change)
    with pytest.raises(RfxError, match=message):
        read_policy_directory(saved)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mean": [0.0]}, "var of shape"),
        ({"mean": [0.0], "var": [1.0]}, "the network takes 3"),
        ({"var": [1.0, -1.0, 1.0]}, "at least 0"),
        ({"var": [1.0, np.nan, 1.0]}, "finite"),
        ({"clip": 0.0}, "clip"),
        ({"epsilon": 0.0}, "epsilon"),
        ({"extra": 1}, "keys"),
    ],
)
def test_a_normaliser_that_cannot_be_is_not_written(tmp_path, change, message):
    with pytest.raises(RfxError, match=message):
        write_policy_directory(tmp_path / "walk", CONFIG, WEIGHTS, NORMALIZER | change)
    assert not (tmp_path / "walk").exists()


@pytest.mark.parametrize("what", [{"training": {"a": np.inf}}, {"training": {"a": object()}}, {"training": {1: 2}}])
def test_what_json_cannot_hold_is_not_written(tmp_path, what):
    with pytest.raises((InvalidValueError, TypeError), match="training"):
        write_policy_directory(tmp_path / "walk", CONFIG | what, WEIGHTS)


def test_weights_that_are_not_finite_are_neither_written_nor_read(tmp_path):
    bad = WEIGHTS | {"l0.bias": np.array([np.nan, 1], np.float32)}
    with pytest.raises(InvalidValueError, match=r"l0\.bias"):
        write_policy_directory(tmp_path / "walk", CONFIG, bad)
    legacy = tmp_path / "old"
    legacy.mkdir()
    (legacy / "rfx_config.json").write_text(json.dumps({k: CONFIG[k] for k in ("policy_type", "policy_config")}))
    (legacy / "model.safetensors").write_bytes(encode_tensors({"a": bad["l0.bias"]}))
    with pytest.raises(InvalidValueError, match="finite"):
        read_policy_directory(legacy)


def test_an_older_folder_is_read_with_tanh_behind_every_layer(tmp_path):
    names = ("layers.0.weight", "layers.0.bias", "layers.1.weight", "layers.1.bias")
    shapes = ((4, 3), (4,), (2, 4), (2,))
    tensors = {name: np.ones(shape, np.float32) for name, shape in zip(names, shapes, strict=True)}
    config = {"rfx_version": "0.2", "policy_type": "MLP", "policy_config": {"obs_dim": 3, "act_dim": 2, "hidden": [4]}}
    (tmp_path / "rfx_config.json").write_text(json.dumps(config))
    (tmp_path / "model.safetensors").write_bytes(encode_tensors(tensors))
    old = {"state_dim": 3, "clip": 10.0, "eps": 0.5, "mean": [0.0] * 3, "var": [4.0] * 3, "count": 9}
    (tmp_path / "normalizer.json").write_text(json.dumps(old))
    files = read_policy_directory(tmp_path)
    assert [layer["type"] for layer in files.layers] == ["linear", "tanh"] * 2
    var, epsilon = files.normalizer["var"][0], files.normalizer["epsilon"]
    assert np.sqrt(var + epsilon) == pytest.approx(2.5)


def test_a_single_older_file_is_an_mlp_or_an_actor_critic(tmp_path):
    shapes = {"backbone.0": (5, 3), "actor_head": (2, 5), "critic_head": (1, 5)}
    tensors = {f"{k}.weight": np.ones(s, np.float32) for k, s in shapes.items()}
    (tmp_path / "old policy.safetensors").write_bytes(encode_tensors(tensors | {"log_std": np.zeros(2, np.float32)}))
    files = read_policy_directory(tmp_path / "old policy.safetensors")
    assert files.policy_type == "ActorCritic"
    assert files.policy_config == {"obs_dim": 3, "act_dim": 2, "hidden": [5]}
    (tmp_path / "x.safetensors").write_bytes(encode_tensors({"foo": np.ones(2)}))
    with pytest.raises(ConfigError, match="set_parameters"):
        read_policy_directory(tmp_path / "x.safetensors")


def test_nothing_there_is_said_in_a_sentence(tmp_path):
    with pytest.raises(FileNotFoundError, match="no policy file"):
        read_policy_directory(tmp_path / "walk")
    with pytest.raises(FileNotFoundError, match=r"rfx_config\.json"):
        read_policy_directory(tmp_path)


@pytest.mark.parametrize("name", ["../x", "a/b", ".hidden", "rfx_config.json", "", "a" * 200])
def test_extra_files_stay_in_the_folder(tmp_path, name):
    with pytest.raises(RfxError):
        write_policy_directory(tmp_path / "walk", CONFIG, WEIGHTS, None, {name: b""})
