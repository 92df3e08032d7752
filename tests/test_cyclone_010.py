"""cyclonedds 11 here and 0.10 on the robot: both announce the same types, and samples pass both ways.

The exchange needs a Python with cyclonedds 0.10, named by the environment variable ``RFX_PYTHON_010``; the rest runs always.
"""

import dataclasses
import json
import os
import subprocess
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from rfx.go2 import topics
from rfx.go2.backends import idl
from rfx.go2.backends.cyclone import LOOPBACK, CycloneDomain, configuration
from rfx.go2.messages import LowCmd, LowState, Request, Response, SportModeState, WirelessController
from rfx.go2.rpc import Envelope

PYTHON = os.environ.get("RFX_PYTHON_010", "")
needs_010 = pytest.mark.skipif(not PYTHON, reason="RFX_PYTHON_010 names no Python with cyclonedds 0.10")
ALL = (LowCmd, LowState, SportModeState, WirelessController, Request, Response)

# What cyclonedds 0.10.5 announces for these types, octets as its uint8: the hash of each minimal type object.
ANNOUNCED_BY_010 = {
    "unitree_go::msg::dds_::LowCmd_": "832876ceec9737d69f6ed62a3f63",
    "unitree_go::msg::dds_::LowState_": "853a99e23d0daa1610b65c526b40",
    "unitree_go::msg::dds_::SportModeState_": "9fa6ccdc5cafdeaab8a762e31044",
    "unitree_go::msg::dds_::WirelessController_": "d8dc69fff5d75961cd0e3fc049cb",
    "unitree_api::msg::dds_::Request_": "cba4dc965d393ada76b4de081925",
    "unitree_api::msg::dds_::Response_": "48c997d379c3e18c530b5f8fe946",
}
# Kinds of XTypes that 0.10 knows, 0 for no base type; TK_INT8 (0x0c) and TK_UINT8 (0x0d) are not among them.
KNOWN_TO_010 = {*range(0x0C), 0x10, 0x11, 0x20, 0x21, 0x70, 0x71, 0x72, 0x80, 0x81, 0x90, 0x91, 0xF1, 0xF2}
TK_BYTE, TK_UINT8 = 0x02, 0x0D


def described(message):
    """A message class as plain lists, for a peer that does not know rfx."""
    if issubclass(message, Envelope):
        fields = [["header", described(message.HEADER), 0], [message.TEXT, "text", 0], ["binary", "octets", 0]]
    else:
        fields = [
            [name, described(field.kind) if isinstance(field.kind, type) else field.kind, field.count or 0]
            for name, field in message.LAYOUT.fields.items()
        ]
    return {"name": message.TYPE_NAME, "fields": fields}


def announced(message):
    """What our IDL class of a message announces: type information and the mapping with all type objects."""
    data = idl.idl_class(message).__idl__
    data.populate()
    data.fill_type_data()
    return data._xt_data


def kinds_in(value, found):
    """Collect the discriminators of all type identifiers below a value."""
    if type(value).__name__ == "TypeIdentifier":
        found.append(value.discriminator)
        kinds_in(value.value, found)
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            kinds_in(getattr(value, field.name), found)
    elif isinstance(value, (list, tuple)):
        for item in value:
            kinds_in(item, found)
    elif hasattr(value, "discriminator"):
        kinds_in(value.value, found)
    return found


@pytest.mark.parametrize("message", ALL, ids=lambda m: m.__name__)
def test_only_kinds_that_010_knows_are_announced(message):
    info, mapping = announced(message)
    found = kinds_in(mapping, kinds_in(info, []))
    assert set(found) <= KNOWN_TO_010
    assert TK_UINT8 not in found
    octets = json.dumps(described(message)).count('"u8"') + json.dumps(described(message)).count('"octets"')
    assert (TK_BYTE in found) == (octets > 0)


def test_the_check_sees_what_ends_a_010_peer():
    from cyclonedds.idl import IdlStruct, types

    @dataclasses.dataclass
    class Wrong(IdlStruct):
        octet: types.uint8

    Wrong.__idl__.populate()
    Wrong.__idl__.fill_type_data()
    assert TK_UINT8 in kinds_in(Wrong.__idl__._xt_data[1], [])


@pytest.mark.parametrize("message", ALL, ids=lambda m: m.__name__)
def test_types_are_announced_as_010_announces_them(message):
    info, _ = announced(message)
    assert bytes(info.minimal.typeid_with_size.type_id.value).hex() == ANNOUNCED_BY_010[message.TYPE_NAME]


class Peer:
    """A process on cyclonedds 0.10."""

    def __init__(self, job):
        script = Path(__file__).with_name("cyclone_010.py")
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
        self.child = subprocess.Popen([PYTHON, "-s", str(script)], text=True, env=environment, **pipes)
        self.child.stdin.write(json.dumps(job) + "\n")
        self.child.stdin.flush()

    def line(self):
        line = self.child.stdout.readline()
        assert line, self.child.communicate()[1]
        return json.loads(line)

    def end(self):
        """Let it go; whether it is alive until then and ends by itself."""
        alive = self.child.poll() is None
        _, words = self.child.communicate(timeout=30)
        assert alive, f"exit code {self.child.returncode}: {words}"
        assert self.child.returncode == 0, words


@needs_010
def test_the_pinned_announcements_are_those_of_010():
    peer = Peer({"types": [described(message) for message in ALL]})
    assert peer.line() == ANNOUNCED_BY_010
    peer.child.communicate()
    assert peer.child.returncode == 0


@needs_010
@pytest.mark.parametrize("raw", [True, False], ids=["raw", "idl"])
def test_samples_pass_both_ways_and_neither_side_dies(domain_id, raw):
    request_given = {"header": {"identity": {"id": 2**40, "api_id": 1008}}, "parameter": "grüße", "binary": [1, 255]}
    job = {
        "domain": domain_id,
        "configuration": configuration(LOOPBACK),
        "seconds": 60,
        "publish": [
            (
                topics.LOW_CMD,
                described(LowCmd),
                {"head": [0xFE, 0xEF], "wireless_remote": list(range(200, 240)), "crc": 99},
            ),
            (topics.SPORT_REQUEST, described(Request), request_given),
            (topics.WIRELESS_CONTROLLER, described(WirelessController), {"lx": 0.25, "keys": 65535}),
        ],
        "subscribe": [
            (topics.LOW_STATE, described(LowState)),
            (topics.SPORT_MODE_STATE, described(SportModeState)),
            (topics.SPORT_RESPONSE, described(Response)),
        ],
    }
    low, sport, response = (
        LowState(tick=4242),
        SportModeState(body_height=0.31),
        Response(data="straße", binary=b"\x00\xff"),
    )
    low.set_motors(q=np.linspace(-1, 1, 12), mode=1)
    low.wireless_remote = tuple(range(100, 140))
    low.foot_force = (-5, 300, 0, 7)
    response.header.identity.id, response.header.status.code = 2**40, 3203
    peer, heard = Peer(job), {}
    with CycloneDomain(domain_id, LOOPBACK, raw=raw) as domain:
        writers = [
            (domain.writer(topics.LOW_STATE, LowState), low),
            (domain.writer(topics.SPORT_MODE_STATE, SportModeState), sport),
            (domain.writer(topics.SPORT_RESPONSE, Response), response),
        ]
        readers = [
            (domain.reader(topics.LOW_CMD, LowCmd), LowCmd),
            (domain.reader(topics.SPORT_REQUEST, Request), Request),
            (domain.reader(topics.WIRELESS_CONTROLLER, WirelessController), WirelessController),
        ]
        end = time.monotonic() + 60
        told = []
        listening = threading.Thread(target=lambda: told.append(peer.child.stdout.readline()))
        listening.start()
        while (
            (listening.is_alive() or len(heard) < len(readers)) and time.monotonic() < end and peer.child.poll() is None
        ):
            for writer, message in writers:
                writer.write(message.to_cdr())
            for reader, message in readers:
                data = reader.take_latest()
                if data is not None:
                    heard[message] = message.from_cdr(data)
            time.sleep(0.02)
        peer.end()
    told = json.loads(told[0])
    assert len(heard) == len(readers)
    state = told[topics.LOW_STATE]
    np.testing.assert_allclose([m["q"] for m in state["motor_state"][:12]], np.linspace(-1, 1, 12), atol=1e-6)
    assert state["wireless_remote"] == list(range(100, 140))
    assert (state["tick"], state["foot_force"]) == (4242, [-5, 300, 0, 7])
    assert told[topics.SPORT_MODE_STATE]["body_height"] == pytest.approx(0.31)
    answer = told[topics.SPORT_RESPONSE]
    assert (answer["data"], answer["binary"], answer["header"]["status"]["code"]) == ("straße", [0, 255], 3203)
    assert heard[LowCmd].wireless_remote == tuple(range(200, 240))
    assert heard[LowCmd].crc == 99
    request = heard[Request]
    assert (request.parameter, request.binary) == ("grüße", b"\x01\xff")
    assert (request.header.identity.id, request.header.identity.api_id) == (2**40, 1008)
    assert (heard[WirelessController].lx, heard[WirelessController].keys) == (0.25, 65535)
