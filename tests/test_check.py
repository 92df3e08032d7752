"""rfx check: a good policy passes, a bad one does not, and every mistake is caught and named."""

import json
import subprocess
import sys
import time

import numpy as np
import pytest
from test_contract import robot_like
from test_mlp import random_network

from rfx.cli import main
from rfx.cli.check import format_report
from rfx.errors import ConfigError, DTypeError
from rfx.nn.contract import PolicyContract
from rfx.nn.contract_check import check_policy, read_robot
from rfx.nn.contract_faults import faults_of
from rfx.nn.contract_side import write_contract
from rfx.nn.files import read_policy_directory, write_policy_directory
from rfx.robots import GO2, LAYOUTS, RobotConfig

ASKED_FOR = {
    "legs left/right", "joint sign", "default pose", "action scale", "gyro scale", "command scale", "joint velocity scale",
    "layout isaac_lab", "layout playground", "layout clock", "quaternion order", "missing normaliser", "last action", "kp",
    "kd", "policy rate", "history order",
}  # fmt: skip


def statistics(n, rng):
    return {"mean": rng.normal(size=n), "var": rng.uniform(0.2, 3, size=n), "epsilon": 1e-5, "clip": 5.0, "count": 1.0}


def walker(path, layout="legged_gym", seed=0, normalizer=True, hidden=(24,), activation="elu", **changes):
    """A policy file with random weights and the contract of a layout."""
    rng = np.random.default_rng(seed)
    contract = PolicyContract(layout, **changes)
    width = contract.layout.observation.size * contract.history
    layers, tensors = random_network(rng, (width, *hidden, 12), activation)
    config = {"policy_type": "MLP", "policy_config": {}, "layers": layers}
    write_policy_directory(path, config, tensors, statistics(width, rng) if normalizer else None)
    write_contract(path, contract)
    return path


def edited(path, change):
    """The same policy file with something else in its contract."""
    files = read_policy_directory(path)
    contract = files.config["contract"]
    change(contract)
    write_policy_directory(path, {**files.config, "contract": contract}, files.tensors, files.normalizer)


def fails(report):
    return {f.name for f in report.findings if f.status == "fail"}


# -- good policies


@pytest.mark.parametrize("seed", range(10))
def test_no_alarm_on_a_good_policy(tmp_path, seed):
    rng = np.random.default_rng(seed)
    layout = sorted(LAYOUTS)[seed % len(LAYOUTS)]
    changes = {
        "history": int(rng.integers(1, 4)),
        "history_order": str(rng.choice(["oldest_first", "newest_first"])),
        "history_stacking": str(rng.choice(["frames", "terms"])),
        "quaternion_order": str(rng.choice(["wxyz", "xyzw"])),
        "last_action": str(rng.choice(["clipped", "raw"])),
    }
    hidden = tuple(rng.integers(8, 64, size=int(rng.integers(1, 4))))
    activation = str(rng.choice(["tanh", "relu", "elu", "silu"]))
    path = walker(tmp_path / "walk", layout, seed, bool(seed % 2), hidden, activation, **changes)
    (tmp_path / "robot.json").write_text(json.dumps(robot_like(PolicyContract(layout))))
    report = check_policy(path, tmp_path / "robot.json")
    assert report.ok, format_report(report)
    assert not fails(report)


def test_the_mistakes_that_were_asked_for_are_made_and_named(tmp_path):
    report = check_policy(walker(tmp_path / "walk", history=3))
    names = {fault.name for fault in report.faults}
    assert names >= ASKED_FOR
    for fault in report.faults:
        assert fault.named, fault
        assert fault.name in fault.diagnosis or not fault.visible, fault


def test_a_mistake_that_moves_no_golden_target_says_so(tmp_path):
    by_name = {f.name: f for f in check_policy(walker(tmp_path / "walk")).faults}
    assert not by_name["kp"].visible
    assert by_name["kp"].effect < 1e-6
    assert by_name["legs left/right"].effect > 0.05


def test_mistakes_that_cannot_be_made_are_not_made():
    names = {fault.name for fault in faults_of(PolicyContract("rl_sar"))}
    assert not names & {
        "missing normaliser",
        "history order",
        "linear velocity scale",
        "layout rl_sar",
        "layout legged_gym",
    }


def test_a_check_takes_less_than_ten_seconds_of_cpu_for_a_large_policy(tmp_path):
    path = walker(tmp_path / "walk", history=6, hidden=(512, 256, 128))
    start = time.process_time()
    assert check_policy(path).ok
    assert time.process_time() - start < 10


# -- bad policies


def test_weights_that_were_exchanged_do_not_reproduce_the_golden_actions(tmp_path):
    path = walker(tmp_path / "walk")
    files = read_policy_directory(path)
    files.tensors["w0"][3, 4] += 0.1
    write_policy_directory(path, files.config, files.tensors, files.normalizer)
    assert fails(check_policy(path)) == {"golden actions"}


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda c: c["layout"]["observation"]["terms"][1].update(scale=1.0), "golden observations"),
        (lambda c: c["layout"]["action"].update(scale=0.5), "golden targets"),
        (lambda c: c.update(quaternion_order="xyzw"), "golden observations"),
        (lambda c: c.update(history_order="newest_first"), "golden actions"),
        (lambda c: c.update(normalizer=False), "normaliser"),
        (lambda c: c.update(golden=None), "golden pairs"),
    ],
)
def test_a_contract_that_was_changed_by_hand_is_caught(tmp_path, change, name):
    path = walker(tmp_path / "walk", history=3)
    edited(path, change)
    assert name in fails(check_policy(path))


def test_a_default_pose_beyond_the_travel_is_caught(tmp_path):
    path = walker(tmp_path / "walk")
    edited(path, lambda c: c["layout"]["action"].update(default_pose=[0.1, 0.8, 0.5] * 4))
    assert "default pose" in fails(check_policy(path))


def test_a_file_without_a_contract_fails(tmp_path):
    layers, tensors = random_network(np.random.default_rng(0), (48, 12))
    write_policy_directory(tmp_path / "walk", {"policy_type": "MLP", "policy_config": {}, "layers": layers}, tensors)
    assert fails(check_policy(tmp_path / "walk")) == {"contract"}


def test_a_policy_that_needs_a_velocity_that_no_robot_measures_is_warned_about(tmp_path):
    def warned(layout):
        return {f.name for f in check_policy(walker(tmp_path / layout, layout)).findings if f.status == "warn"}

    assert "base_lin_vel" in warned("legged_gym")
    assert "base_lin_vel" not in warned("rl_sar")


# -- against a robot


def test_another_layout_of_the_same_size_is_told_by_name(tmp_path):
    report = check_policy(walker(tmp_path / "walk"), "playground")
    details = " ".join(f.detail for f in report.findings if f.name == "robot")
    for word in ("observation terms", "joint order", "default pose", "action scale", "kp", "velocity_commands"):
        assert word in details


def test_what_a_robot_can_be_given_as(tmp_path):
    contract = PolicyContract("rl_sar")
    for name, data in (
        ("contract", contract.to_dict()), ("layout", LAYOUTS["rl_sar"].to_dict()), ("robot", GO2.to_dict()),
    ):  # fmt: skip
        (tmp_path / name).write_text(json.dumps(data))
    assert read_robot(tmp_path / "contract") == contract
    assert read_robot(str(tmp_path / "layout")) == LAYOUTS["rl_sar"]
    assert read_robot(tmp_path / "robot") == GO2
    assert read_robot("go2") is GO2
    assert read_robot("rl_sar") is LAYOUTS["rl_sar"]
    assert read_robot(contract) is contract
    assert read_robot(walker(tmp_path / "walk", "rl_sar")).layout == LAYOUTS["rl_sar"]


def test_a_robot_that_is_none_is_refused(tmp_path):
    (tmp_path / "junk").write_text('{"name": 3}')
    (tmp_path / "format").write_text('{"format": "pdf"}')
    for source in (tmp_path / "junk", tmp_path / "format", tmp_path / "nothing", "spot"):
        with pytest.raises(ConfigError):
            read_robot(source)
    with pytest.raises(DTypeError):
        read_robot(3)


# -- the command


def test_the_command_prints_a_table_and_returns_0(tmp_path, capsys):
    assert main(["check", str(walker(tmp_path / "walk"))]) == 0
    lines = capsys.readouterr().out.splitlines()
    (line,) = [line for line in lines if line.startswith("gyro scale")]
    assert line.split()[2] == "yes"
    assert "good" in lines[-1]
    assert max(map(len, lines)) < 130


def test_the_command_returns_1_and_says_why(tmp_path, capsys):
    path = walker(tmp_path / "walk")
    assert main(["check", str(path), "--robot", "isaac_lab"]) == 1
    assert "fail" in capsys.readouterr().out


def test_json_is_the_same_report(tmp_path, capsys):
    path = walker(tmp_path / "walk", "rl_sar")
    (tmp_path / "robot.json").write_text(json.dumps(robot_like(PolicyContract("rl_sar"))))
    assert main(["check", str(path), "--json", "--robot", str(tmp_path / "robot.json")]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["ok"]
    assert all(f["caught"] and f["named"] for f in report["faults"])
    assert {f["status"] for f in report["findings"]} == {"ok"}
    assert RobotConfig.from_dict(json.loads((tmp_path / "robot.json").read_text())).name == "go2"


def test_what_is_no_policy_ends_with_one_line(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "rfx", "check", str(tmp_path / "nothing")], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.strip().splitlines()) == 1
