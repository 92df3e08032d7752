"""Who else is in a DDS domain, by what CycloneDDS' discovery tells of other participants."""

from typing import Any, NamedTuple

from cyclonedds.builtin import BuiltinDataReader, BuiltinTopicDcpsParticipant, BuiltinTopicDcpsPublication
from cyclonedds.core import InstanceState
from cyclonedds.qos import Policy, Qos

MOST_SEEN = 10_000  # announcements of writers and participants that are looked at


class Writer(NamedTuple):
    """Somebody who writes to a topic: what its DDS library tells of the process, and the participant's id."""

    process: str
    pid: str
    host: str
    participant: str

    def __str__(self) -> str:
        return f"{self.process} (process {self.pid} on {self.host})"


class Discovered:
    """What a participant has heard of the others. For one thread at a time.

    Parameters
    ----------
    participant : DomainParticipant
        Ours; what it writes itself is left out.
    """

    def __init__(self, participant: Any) -> None:
        kinds = BuiltinTopicDcpsPublication, BuiltinTopicDcpsParticipant
        self._own = participant.guid
        self._readers = [BuiltinDataReader(participant, kind) for kind in kinds]

    def __repr__(self) -> str:
        return f"Discovered({self._own})"

    def writers(self, topics: frozenset[str]) -> dict[str, list[Writer]]:
        """Return who else writes to these topics, by topic, as far as discovery has come."""
        publications, participants = (reader.read(MOST_SEEN) for reader in self._readers)
        about = {p.key: _properties(p.qos) for p in participants if p.sample_info.valid_data}
        found: dict[str, list[Writer]] = {}
        for seen in publications:
            alive = seen.sample_info.valid_data and seen.sample_info.instance_state == InstanceState.Alive
            if alive and seen.topic_name in topics and seen.participant_key != self._own:
                known = about.get(seen.participant_key, {})
                process, pid, host = (known.get(key, "unknown") for key in ("__ProcessName", "__Pid", "__Hostname"))
                writer = Writer(process, pid, host, str(seen.participant_key))
                found.setdefault(seen.topic_name, []).append(writer)
        return found


def _properties(qos: Qos) -> dict[str, str]:
    return {p.key: p.value for p in qos if isinstance(p, Policy.Property)}
