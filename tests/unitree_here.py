"""Unitree's own Python SDK, where it is installed: how its classes have to be imported, and a process that runs them.

Its messages declare octets as uint8, which cyclonedds 11 takes for another type than the robot's; while its classes are
imported the name stands for byte. It sets up DDS for the whole process, so that every script gets one of its own.
"""

import importlib.util
import json
import subprocess
import sys

import pytest

from rfx.go2.backends.cyclone import LOOPBACK, configuration

needs_sdk = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("unitree_sdk2py") is None, reason="unitree-sdk2py-dimos is not installed"),
]  # fmt: skip

IMPORTS = """
import json, math, os, sys, threading, time
from cyclonedds.idl import types
kept, types.uint8 = types.uint8, types.byte
from unitree_sdk2py.comm.motion_switcher.motion_switcher_client import MotionSwitcherClient
from unitree_sdk2py.core import channel
from unitree_sdk2py.go2.sport.sport_client import SportClient
from unitree_sdk2py.idl import default
from unitree_sdk2py.idl.unitree_go.msg.dds_ import LowCmd_, LowState_, SportModeState_
from unitree_sdk2py.rpc.server import Server
from unitree_sdk2py.utils.crc import CRC
types.uint8 = kept
channel.ChannelConfigAutoDetermine = sys.argv[2]
channel.ChannelFactoryInitialize(int(sys.argv[1]))

def finish(out):
    print(json.dumps(out), flush=True)
    os._exit(0)
"""


def command(script, domain_id):
    """The command line of a script that has imported Unitree's classes and joined a domain on the loopback interface."""
    return [sys.executable, "-c", IMPORTS + script, str(domain_id), configuration(LOOPBACK)]


def run_script(script, domain_id, timeout=240):
    """Run a script to its end; returns what it gave to ``finish``."""
    done = subprocess.run(command(script, domain_id), capture_output=True, text=True, timeout=timeout)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])
