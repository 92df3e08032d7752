"""The file of a policy: a folder that says by itself what is in it, readable with numpy alone.

``rfx_config.json`` describes, ``model.safetensors`` holds the weights, ``normalizer.json`` the statistics of the
observations where there are some. docs/policy_files.md is the description of the format. Nothing in such a folder is
ever executed, and a file that was lost, exchanged or cut short on the way is noticed.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfx import arrays
from rfx._version import __version__
from rfx.errors import CodecError, ConfigError, DTypeError, RfxError
from rfx.nn.directory import check_file_name, read_file, read_single, write_directory
from rfx.nn.layers import check_layers
from rfx.nn.legacy import legacy_layers, legacy_normalizer, legacy_policy
from rfx.nn.tensor_file import Tensors, decode_tensors, encode_tensors, parse_json
from rfx.robots import RobotConfig

FORMAT, VERSION = "rfx-policy", 1
CONFIG, MODEL, NORMALIZER = "rfx_config.json", "model.safetensors", "normalizer.json"
LARGEST_CONFIG = 16 << 20
LARGEST_FILE = 1 << 30
RESERVED = ("format", "version", "rfx_version", "files")


@dataclass(frozen=True)
class PolicyFiles:
    """What a policy file holds, checked.

    Attributes
    ----------
    config : dict
        ``rfx_config.json``: ``policy_type``, ``policy_config`` and, where given, ``layers``, ``robot_config``,
        ``training``, ``contract``.
    tensors : dict of str to ndarray
        The weights, each an array of its own.
    normalizer : dict or None
        ``mean`` and ``var`` (lists), ``epsilon``, ``clip`` (None for no limit), ``count``. It is part of the policy:
        what goes into the first layer is ``clip((obs - mean) / sqrt(var + epsilon))``.
    extra : dict of str to bytes
        Other files of the folder, by name.
    path : Path
    """

    config: dict[str, Any]
    tensors: Tensors
    normalizer: dict[str, Any] | None = None
    extra: dict[str, bytes] = field(default_factory=dict)
    path: Path = Path()

    def __repr__(self) -> str:
        count = sum(value.size for value in self.tensors.values())
        return f"PolicyFiles({str(self.path)!r}, policy_type={self.policy_type!r}, numbers={count})"

    @property
    def policy_type(self) -> str:
        """The name of the class that wrote it."""
        return str(self.config["policy_type"])

    @property
    def policy_config(self) -> dict[str, Any]:
        """The arguments that build that class again."""
        return dict(self.config["policy_config"])

    @property
    def layers(self) -> list[dict[str, Any]] | None:
        """The network from normalised observation to action as plain data, where it can be described so."""
        return self.config.get("layers")

    @property
    def robot_config(self) -> RobotConfig | None:
        """The robot that the policy is meant for, where the file names it."""
        return None if self.config.get("robot_config") is None else RobotConfig.from_dict(self.config["robot_config"])


def plain(value: Any, what: str) -> Any:
    """Return a copy that JSON can hold: dicts with string keys, lists, strings, finite numbers, booleans, None."""
    if isinstance(value, (np.ndarray, np.generic)):
        value = value.tolist()
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return arrays.number(value, what)
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise DTypeError(f"expected the keys of {what} to be strings, got {key!r}")
        return {key: plain(item, f"{what}.{key}") for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item, f"{what}[{i}]") for i, item in enumerate(value)]
    raise DTypeError(f"expected {what} to be plain data, got {type(value).__name__}")


def _check_config(config: Mapping[str, Any], what: str) -> None:
    if not isinstance(config.get("policy_type"), str) or not config["policy_type"]:
        raise ConfigError(f"{what}: expected policy_type to be the name of a class, got {config.get('policy_type')!r}")
    if not isinstance(config.get("policy_config"), dict):
        raise ConfigError(f"{what}: expected policy_config to be an object")
    for key in ("training", "contract", "robot_config"):
        if not isinstance(config.get(key), (dict, type(None))):
            raise ConfigError(f"{what}: expected {key} to be an object")
    if config.get("robot_config") is not None:
        _named(what, RobotConfig.from_dict, config["robot_config"])


def _named(what: str, function: Any, *args: Any) -> Any:
    """Call; an error of ours says which file it was about."""
    try:
        return function(*args)
    except RfxError as error:
        raise type(error)(f"{what}: {error}") from None


def check_normalizer(data: Mapping[str, Any], what: str = NORMALIZER) -> dict[str, Any]:
    """Return the statistics of a normaliser as ``normalizer.json`` holds them, checked.

    Raises
    ------
    ConfigError, InvalidValueError, DTypeError, ShapeError
        Missing or unknown keys, lengths that differ, numbers that are not finite, a negative variance.
    """
    if not isinstance(data, Mapping):
        raise DTypeError(f"{what}: expected an object, got {type(data).__name__}")
    keys = {"mean", "var", "epsilon", "clip", "count"}
    found = set(data) - {"format", "version"}
    if found != keys:
        raise ConfigError(f"{what}: expected the keys {sorted(keys)}, got {sorted(found)}")
    kind = (data.get("format", "rfx-normalizer"), data.get("version", 1))
    if kind != ("rfx-normalizer", 1):
        raise ConfigError(f"{what}: expected format rfx-normalizer, version 1, got {kind[0]!r}, {kind[1]!r}")
    mean = arrays.finite(arrays.floats(data["mean"], f"{what}: mean", (None,), np.float64), f"{what}: mean")
    var = arrays.finite(arrays.floats(data["var"], f"{what}: var", mean.shape, np.float64), f"{what}: var")
    if not mean.size or var.min() < 0:
        raise ConfigError(f"{what}: expected at least one mean, and variances of at least 0")
    return {
        "mean": mean.tolist(),
        "var": var.tolist(),
        "epsilon": arrays.number(data["epsilon"], f"{what}: epsilon", above=0),
        "clip": None if data["clip"] is None else arrays.number(data["clip"], f"{what}: clip", above=0),
        "count": arrays.number(data["count"], f"{what}: count", minimum=0),
    }


def _check_network(config: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]], normalizer: Any, what: str) -> None:
    for name, value in tensors.items():
        if value.dtype.kind == "f":
            arrays.finite(value, f"{what}: tensor {name}")
    if config.get("layers") is not None:
        obs_dim, _ = _named(what, check_layers, config["layers"], tensors)
        if normalizer is not None and len(normalizer["mean"]) != obs_dim:
            raise ConfigError(
                f"{what}: the normaliser has {len(normalizer['mean'])} numbers, the network takes {obs_dim}"
            )


def write_policy_directory(
    path: str | os.PathLike[str],
    config: Mapping[str, Any],
    tensors: Mapping[str, NDArray[Any]],
    normalizer: Mapping[str, Any] | None = None,
    extra: Mapping[str, bytes] | None = None,
) -> Path:
    """Write a policy file, whole or not at all.

    Parameters
    ----------
    path : path
        The folder. Parents are made; a policy file that is there already is replaced.
    config : mapping
        Plain data: ``policy_type`` and ``policy_config``, and what else :class:`PolicyFiles` lists.
    tensors : mapping of str to ndarray
        The weights; all finite.
    normalizer : mapping, optional
        See :func:`check_normalizer`.
    extra : mapping of str to bytes, optional
        Other files to keep in the folder.

    Returns
    -------
    Path
        ``path``.

    Raises
    ------
    ConfigError
        A description that the reader would refuse; a file, or a folder with other things in it, at ``path``.
    InvalidValueError, DTypeError
        A value that is not finite or no plain data.
    """
    target = Path(path)
    what = str(target)
    clean: dict[str, Any] = {key: plain(value, key) for key, value in config.items() if key not in RESERVED}
    _check_config(clean, what)
    statistics = None if normalizer is None else check_normalizer(normalizer)
    _check_network(clean, tensors, statistics, what)
    files = {MODEL: encode_tensors(tensors, {"format": FORMAT})}
    if statistics is not None:
        head = {"format": "rfx-normalizer", "version": 1}
        files[NORMALIZER] = (json.dumps(head | statistics, indent=1) + "\n").encode()
    for name, data in (extra or {}).items():
        if check_file_name(name) in (CONFIG, MODEL, NORMALIZER) or not isinstance(data, bytes):
            raise ConfigError(f"expected extra files as bytes under names of their own, got {name!r}")
        files[name] = data
    sums = {name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in files.items()}
    head = {"format": FORMAT, "version": VERSION, "rfx_version": __version__}
    text = json.dumps(head | clean | {"files": sums}, indent=2, allow_nan=False)
    files = {CONFIG: (text + "\n").encode()} | files
    return write_directory(target, files, _owned(target))


def _owned(target: Path) -> set[str]:
    """Return the names that an older policy file at ``target`` uses; none if there is no policy file."""
    if not (target / CONFIG).is_file():
        return set()
    names = {CONFIG, MODEL, NORMALIZER}
    try:
        files = parse_json((target / CONFIG).read_bytes(), CONFIG).get("files")
    except (OSError, CodecError):
        return names
    return names | set(files) if isinstance(files, dict) else names


def read_policy_directory(path: str | os.PathLike[str]) -> PolicyFiles:
    """Read a policy file: a folder, or a single ``.safetensors`` file of older times.

    Raises
    ------
    FileNotFoundError
        Nothing there, or one of its files is missing; the message says which.
    CodecError
        Truncated, exchanged, no regular file, or not what the format says.
    ConfigError, ShapeError
        A description that contradicts itself or its weights, or of a newer version.
    """
    target = Path(path)
    if target.is_file():
        tensors, _ = decode_tensors(read_single(target, LARGEST_FILE), str(target))
        config = legacy_policy(tensors, str(target))
        _check_network(config, tensors, None, str(target))
        return PolicyFiles(config, tensors, path=target)
    for attempt in range(8):
        try:
            folder = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            raise FileNotFoundError(f"there is no policy file {target}") from None
        try:
            return _read(folder, target)
        except (FileNotFoundError, CodecError):
            if attempt == 7 or not _replaced(folder, target):
                raise
        finally:
            os.close(folder)
    raise AssertionError("the last attempt returns or raises")


def _replaced(folder: int, target: Path) -> bool:
    """Whether the folder that was opened has given its place to another one since."""
    try:
        return not os.path.samestat(os.fstat(folder), os.stat(target))
    except FileNotFoundError:
        return True


def _read(folder: int, target: Path) -> PolicyFiles:
    what = str(target)
    config = parse_json(read_file(folder, CONFIG, what, LARGEST_CONFIG), f"{what}: {CONFIG}")
    legacy = "format" not in config
    if not legacy:
        if config["format"] != FORMAT or type(config.get("version")) is not int or config["version"] < 1:
            raise ConfigError(
                f"{what}: expected format {FORMAT!r}, got {config['format']!r}, {config.get('version')!r}"
            )
        if config["version"] > VERSION:
            raise ConfigError(
                f"{what}: written as version {config['version']}, this rfx reads up to {VERSION}: update it"
            )
    _check_config(config, what)
    data = _legacy_files(folder, what) if legacy else _listed_files(folder, config, what)
    tensors = decode_tensors(data.pop(MODEL), f"{what}: {MODEL}")[0] if MODEL in data else {}
    normalizer = None
    if NORMALIZER in data:
        found = parse_json(data.pop(NORMALIZER), f"{what}: {NORMALIZER}")
        normalizer = check_normalizer(legacy_normalizer(found), f"{what}: {NORMALIZER}")
    if legacy and (layers := legacy_layers(config["policy_type"], tensors)) is not None:
        config["layers"] = layers
    _check_network(config, tensors, normalizer, what)
    return PolicyFiles(config, tensors, normalizer, data, target)


def _listed_files(folder: int, config: Mapping[str, Any], what: str) -> dict[str, bytes]:
    """Return the files that the description lists, each as long and with the sum that it says."""
    listed = config.get("files")
    if not isinstance(listed, dict) or MODEL not in listed:
        raise ConfigError(f"{what}: expected files to list {MODEL}")
    if NORMALIZER not in listed and NORMALIZER in os.listdir(folder):
        raise ConfigError(f"{what}: there is a {NORMALIZER} that {CONFIG} does not know: it belongs to another policy")
    found = {}
    for name, entry in listed.items():
        if _named(what, check_file_name, name) == CONFIG or not isinstance(entry, dict):
            raise ConfigError(f"{what}: expected files to map names to their length and sum, got {name!r}")
        found[name] = data = read_file(folder, name, what, LARGEST_FILE)
        if entry.get("bytes") != len(data):
            raise CodecError(f"{what}: expected {name} to have {entry.get('bytes')} bytes, it has {len(data)}")
        if entry.get("sha256") != hashlib.sha256(data).hexdigest():
            raise CodecError(f"{what}: {name} is not the file that was saved here: its sum differs")
    return found


def _legacy_files(folder: int, what: str) -> dict[str, bytes]:
    names = [n for n in (MODEL, NORMALIZER, "model.pt") if n in os.listdir(folder)]
    if MODEL not in names and "model.pt" not in names:
        raise FileNotFoundError(f"{what}: there is no {MODEL}")
    return {name: read_file(folder, name, what, LARGEST_FILE) for name in names}
