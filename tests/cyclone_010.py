"""A peer on cyclonedds 0.10, as robots have it: run by a Python of its own, knows nothing of rfx.

Its first line of input is JSON: the types to make, what to publish, what to wait for, and the DDS configuration. It prints
what it heard, then stays in the domain until its input closes; ending with 0 means that nothing of ours ended it.
"""

import json
import sys
import threading
import time

from cyclonedds.core import Policy, Qos
from cyclonedds.domain import Domain, DomainParticipant
from cyclonedds.idl import annotations, make_idl_struct, types
from cyclonedds.pub import DataWriter
from cyclonedds.sub import DataReader
from cyclonedds.topic import Topic

NUMBERS = {
    "u8": types.uint8,  # TK_BYTE to 0.10
    "u16": types.uint16,
    "u32": types.uint32,
    "i16": types.int16,
    "i32": types.int32,
    "i64": types.int64,
    "f32": types.float32,
    "bool": bool,
    "text": str,
    "octets": types.sequence[types.uint8],
}
made = {}


def kind_of(kind):
    return NUMBERS[kind] if isinstance(kind, str) else idl_class(kind)


def idl_class(about):
    name = about["name"]
    if name not in made:
        fields = {}
        for field, kind, count in about["fields"]:
            fields[field] = types.array[kind_of(kind), count] if count else kind_of(kind)
        cls = make_idl_struct(name.split("::")[-1], name.replace("::", "."), fields)
        made[name] = annotations.final(annotations.autoid("sequential")(cls))
    return made[name]


def fill(cls, about, given):
    """An instance: what is given by name, zeros elsewhere."""
    values = {}
    for field, kind, count in about["fields"]:
        if isinstance(kind, str):
            zero = {"text": "", "octets": [], "bool": False, "f32": 0.0}.get(kind, 0)
            values[field] = given.get(field, [zero] * count if count else zero)
        elif count:
            values[field] = [fill(kind_of(kind), kind, {}) for _ in range(count)]
        else:
            values[field] = fill(kind_of(kind), kind, given.get(field, {}))
    return cls(**values)


def plain(value):
    """What JSON can write of a sample."""
    if hasattr(value, "__idl__"):
        return {name: plain(getattr(value, name)) for name in value.__dataclass_fields__}
    return [plain(v) for v in value] if isinstance(value, (list, bytes, bytearray)) else value


def hash_of(cls):
    """What 0.10 announces of a type: the hash of its minimal type object."""
    cls.__idl__.populate()
    cls.__idl__.fill_type_data()
    info = cls.__idl__._xt_data[0]
    return bytes(info.minimal.typeid_with_size.type_id.value).hex()


def main():
    job = json.loads(sys.stdin.readline())
    if "domain" not in job:
        print(json.dumps({about["name"]: hash_of(idl_class(about)) for about in job["types"]}), flush=True)
        return
    domain = Domain(job["domain"], job["configuration"])
    participant = DomainParticipant(job["domain"])
    qos = Qos(
        Policy.Reliability.Reliable(max_blocking_time=100_000_000),
        Policy.History.KeepLast(1),
        Policy.Durability.Volatile,
    )
    writers, readers, heard = [], {}, {}
    for topic, about, given in job["publish"]:
        cls = idl_class(about)
        writers.append(
            (DataWriter(participant, Topic(participant, topic, cls, qos=qos), qos=qos), fill(cls, about, given))
        )
    for topic, about in job["subscribe"]:
        readers[topic] = DataReader(participant, Topic(participant, topic, idl_class(about), qos=qos), qos=qos)
    end = time.monotonic() + job["seconds"]
    while len(heard) < len(readers) and time.monotonic() < end:
        for writer, sample in writers:
            writer.write(sample)
        for topic, reader in readers.items():
            for sample in reader.take(8):
                if hasattr(sample, "__dataclass_fields__"):
                    heard[topic] = plain(sample)
        time.sleep(0.02)
    print(json.dumps(heard), flush=True)
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    while not ended.wait(0.02):
        for writer, sample in writers:
            writer.write(sample)
    del domain


if __name__ == "__main__":
    main()
