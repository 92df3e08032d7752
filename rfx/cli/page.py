"""A page that stands alone: its pictures are inside of it. And files that appear whole or not at all."""

import base64
import datetime
import html
import os
import platform
from pathlib import Path

from rfx._version import __version__
from rfx.errors import ConfigError

STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "pre{background:#f4f4f4;padding:1rem;overflow-x:auto;font-size:13px}img{max-width:100%}"
    ".ok{color:#05664a}.bad{color:#b02a1b}figcaption{color:#555;font-size:14px}"
)


def image(name: str, data: bytes | None, caption: str) -> str:
    """Return a figure with a picture (.png or .gif) in it; nothing without data."""
    if data is None:
        return ""
    text = html.escape(caption)
    source = f"data:image/{name.rsplit('.', 1)[-1]};base64,{base64.b64encode(data).decode()}"
    return f'<figure><img alt="{text}" src="{source}"/><figcaption>{text}</figcaption></figure>'


def page(title: str, parts: list[str]) -> str:
    """Return a page of these parts, which are HTML, and a last line that says where and when it was made."""
    when = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    machine = f"{platform.platform(terse=True)}, {platform.machine()}"
    where = f"rfx {__version__}, Python {platform.python_version()}, {machine}"
    lines = [
        "<!DOCTYPE html>",
        f'<html lang="en"><head><meta charset="utf-8"/><title>{html.escape(title)}</title><style>{STYLE}</style></head><body>',
        f"<h1>{html.escape(title)}</h1>",
        *parts,
        f"<p>{html.escape(where)}; {when}. All numbers: summary.json beside this page.</p>",
        "</body></html>",
    ]
    return "\n".join(line for line in lines if line) + "\n"


def folder(directory: Path) -> Path:
    """Make a folder if it is not there; ConfigError where a file is in its place."""
    if directory.exists() and not directory.is_dir():
        raise ConfigError(f"expected {directory} to be a folder, it is a file")
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def write_files(directory: Path, files: dict[str, bytes]) -> list[Path]:
    """Write files into a folder, each whole or not at all; returns where they are."""
    return [_write_atomically(directory / name, data) for name, data in files.items()]


def _write_atomically(path: Path, data: bytes) -> Path:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path
