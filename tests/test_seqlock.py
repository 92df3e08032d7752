"""The protocol of rfx/kernels/seqlock.h: a model of it in all interleavings, and the C code itself under a harness.

The model takes one access to shared memory as one step, and any process may be killed between any two.
"""

import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
VACANT, BUSY, COMMITTED = 0, 1, 2
IDLE, CLAIM, CLAIM_OVER, HELD, ABANDON = range(5)


@dataclass(frozen=True, slots=True)
class Process:
    """A producer with its lane, or the reader; `pc` names the next step."""

    pc: str
    left: int  # pushes or reads to go
    ticket: int = 0  # of a producer; the slot of a reader
    was: tuple[int, int, int] = (0, 0, 0)  # the sequence word seen last
    data: tuple[int, ...] = ()
    count: int = 0  # of the lane: committed rows that it has added
    stage: int = IDLE
    settled: int = 0  # by whom a dead lane is being freed


@dataclass(frozen=True, slots=True)
class State:
    tickets: int
    words: tuple[tuple[int, int, int], ...]  # turn, lane, state of each row
    data: tuple[tuple[int, int], ...]
    processes: tuple[Process, ...]
    kills: int


def put(items, i, value):
    return (*items[:i], value, *items[i + 1 :])


class Tear(AssertionError):
    pass


class Hang(AssertionError):
    pass


class Miscount(AssertionError):
    pass


def word_of(state, lane):
    """The row that a lane works on, and the word by which it would hold it."""
    p, capacity = state.processes[lane], len(state.words)
    return p.ticket % capacity, (p.ticket // capacity + 1, lane, BUSY)


def counted(state):
    """What rfx_lanes_look adds up."""
    total = 0
    for lane, p in enumerate(state.processes[:-1]):
        slot, mine = word_of(state, lane)
        held = state.words[slot] == mine
        total += p.count - (held and p.stage == CLAIM_OVER) + (p.stage == HELD and not held)
    return total


def producer_step(state, me, without):
    """The states that one step of a producer leads to; [] while it waits."""
    p = state.processes[me]
    slot, mine = word_of(state, me)
    turn = mine[0]

    def then(p, **shared):
        return [replace(state, processes=put(state.processes, me, p), **shared)]

    done = replace(p, pc="take", left=p.left - 1, ticket=p.ticket, was=(0, 0, 0))
    if p.pc == "take":
        if p.left == 0:
            return []
        return then(replace(p, pc="look", ticket=state.tickets), tickets=state.tickets + 1)
    if p.pc == "look":
        was = state.words[slot]
        if was[0] >= turn:
            return then(replace(done, stage=IDLE))
        if was[2] == BUSY:
            other = state.processes[was[1]]
            if other.pc != "dead":
                return []
            return settle_step(state, was[1])
        if "wait for a lost ticket" in without and was[0] < turn - 1:
            return []
        return then(replace(p, pc="claim", was=was))
    if p.pc == "claim":
        stage = CLAIM_OVER if p.was[2] == COMMITTED else CLAIM
        return then(replace(p, pc="swap", stage=IDLE if "journal" in without else stage))
    if p.pc == "swap":
        if "swap" not in without and state.words[slot] != p.was:
            return then(replace(p, pc="look", stage=IDLE))
        word = (turn, 0, COMMITTED) if "busy mark" in without else mine
        return then(replace(p, pc="hold"), words=put(state.words, slot, word))
    if p.pc == "hold":
        return then(replace(p, pc="first", count=p.count - (p.was[2] == COMMITTED), stage=HELD))
    if p.pc == "first":
        pc = "commit" if "commit last" in without else "second"
        return then(replace(p, pc=pc), data=put(state.data, slot, (p.ticket, state.data[slot][1])))
    if p.pc == "second":
        pc = "add" if "commit last" in without else "commit"
        return then(replace(p, pc=pc), data=put(state.data, slot, (state.data[slot][0], p.ticket)))
    if p.pc == "commit":
        word = (0 if "turn" in without else turn, 0, COMMITTED)
        pc = "second" if "commit last" in without else "add"
        return then(replace(p, pc=pc), words=put(state.words, slot, word))
    assert p.pc == "add"
    return then(replace(done, count=p.count + 1, stage=IDLE))


def settle_step(state, lane):
    """One store of rfx_lane_settle for a dead lane; the one who does it sees the row change and goes on."""
    p = state.processes[lane]
    slot, mine = word_of(state, lane)
    held = state.words[slot] == mine

    def then(p, **shared):
        return [replace(state, processes=put(state.processes, lane, p), **shared)]

    if p.stage in (CLAIM, CLAIM_OVER):
        return then(replace(p, stage=HELD if held else IDLE, count=p.count - (held and p.stage == CLAIM_OVER)))
    if p.stage == HELD:
        return then(replace(p, stage=ABANDON if held else IDLE, count=p.count + (not held)))
    if p.stage == ABANDON and held:
        return then(p, words=put(state.words, slot, (mine[0], 0, VACANT)))
    return [] if p.stage == IDLE else then(replace(p, stage=IDLE))


def reader_step(state, without):
    me = len(state.processes) - 1
    p, capacity = state.processes[me], len(state.words)

    def then(p):
        return replace(state, processes=put(state.processes, me, p))

    if p.pc == "take":
        return [then(replace(p, pc="look", ticket=slot)) for slot in range(capacity)] if p.left else []
    if p.pc == "look":
        was = state.words[p.ticket]
        if was[2] != COMMITTED:
            return [then(Process("take", p.left - 1))]
        return [then(replace(p, pc="first", was=was))]
    if p.pc == "first":
        return [then(replace(p, pc="second", data=(state.data[p.ticket][0],)))]
    if p.pc == "second":
        return [then(replace(p, pc="check", data=(p.data[0], state.data[p.ticket][1])))]
    if "check" in without or state.words[p.ticket] == p.was:
        ticket = (p.was[0] - 1) * capacity + p.ticket
        if p.data[0] != p.data[1] or ("turn" not in without and p.data[0] != ticket):
            raise Tear(f"read {p.data} of slot {p.ticket} in turn {p.was[0]}")
    return [then(Process("take", p.left - 1))]


def explore(capacity, pushes, reads, kills, without=frozenset()):
    """Go through all states that can be reached; returns how many there are."""
    producers = tuple(Process("take", n) for n in pushes)
    start = State(0, ((0, 0, 0),) * capacity, ((-1, -1),) * capacity, (*producers, Process("take", reads)), kills)
    seen, todo = {start}, [start]
    while todo:
        state = todo.pop()
        if not without & {"turn", "swap", "busy mark", "commit last"}:
            committed = sum(w[2] == COMMITTED for w in state.words)
            if counted(state) != committed:
                raise Miscount(f"counted {counted(state)} of {committed} rows in {state}")
        following = reader_step(state, without)
        for me in range(len(pushes)):
            p = state.processes[me]
            if p.pc == "dead":
                continue
            following += producer_step(state, me, without)
            if state.kills and (p.left or p.pc != "take"):
                dead = replace(p, pc="dead", left=0)
                following.append(replace(state, processes=put(state.processes, me, dead), kills=state.kills - 1))
        live = [p for p in state.processes if p.pc != "dead"]
        if not following and any(p.left or p.pc != "take" for p in live):
            raise Hang(f"nobody can go on in {state}")
        for found in following:
            if found not in seen:
                seen.add(found)
                todo.append(found)
    return len(seen)


@pytest.mark.parametrize(
    ("capacity", "pushes", "reads", "kills"),
    [(1, (2, 2), 1, 0), (1, (2, 1), 1, 1), (2, (2, 2), 1, 0), (2, (3, 1), 1, 1), (1, (1, 1), 2, 2)],
)
def test_no_interleaving_tears_hangs_or_miscounts(capacity, pushes, reads, kills):
    assert explore(capacity, pushes, reads, kills) > 1000


@pytest.mark.parametrize(
    ("step", "error"),
    [
        ("check", Tear),
        ("busy mark", Tear),
        ("swap", Tear),
        ("turn", Tear),
        ("commit last", Tear),
        ("journal", Miscount),
        ("wait for a lost ticket", Hang),
    ],
)
def test_the_model_finds_what_goes_wrong_without_a_step(step, error):
    with pytest.raises(error):
        explore(1, (2, 2), 2, 1, frozenset({step}))


def compiled(tmp_path, *flags):
    """The harness as a program."""
    gcc = shutil.which("gcc")
    if gcc is None or sys.platform != "linux":
        pytest.skip("gcc on Linux is needed for the harness")
    program = tmp_path / "harness"
    command = [gcc, "-std=gnu11", "-O1", "-g", "-Wall", "-Werror", *flags, f"-I{ROOT / 'rfx/kernels'}"]
    built = subprocess.run(
        [*command, "-x", "c", str(ROOT / "tests/seqlock_harness.h"), "-o", str(program), "-lpthread"],
        capture_output=True,
        text=True,
        check=False,
    )
    if built.returncode and any("-fsanitize" in f for f in flags) and "cannot find" in built.stderr:
        pytest.skip(f"gcc cannot sanitize here: {built.stderr.splitlines()[-1]}")
    assert built.returncode == 0, built.stderr
    return program


def run(program, *arguments):
    return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=250, check=False)


def test_threads_are_clean_under_the_thread_sanitizer(tmp_path):
    done = run(compiled(tmp_path, "-fsanitize=thread", "-Wno-tsan"), "6000")
    if "unexpected memory mapping" in done.stderr:
        pytest.skip("the thread sanitizer does not run on this kernel")
    assert (done.returncode, done.stdout) == (0, "ok\n"), done.stderr[-2000:]


def test_the_thread_sanitizer_sees_plain_reads(tmp_path):
    program = compiled(tmp_path, "-fsanitize=thread", "-Wno-tsan", "-DPLAIN_READS")
    for _ in range(20):  # it sees a race only where the threads' turns fall so
        done = run(program, "2000")
        if "unexpected memory mapping" in done.stderr:
            pytest.skip("the thread sanitizer does not run on this kernel")
        if "data race" in done.stderr:
            return
    pytest.fail(f"expected a data race, got {done.stdout!r} {done.stderr[-2000:]!r}")


def test_a_writer_killed_at_any_step_leaves_whole_rows_and_their_count(tmp_path):
    done = run(compiled(tmp_path), "kill")
    assert (done.returncode, done.stdout) == (0, "ok\n"), done.stderr[-2000:]
