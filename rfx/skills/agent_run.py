"""One run of an agent: ask the model, make its calls, tell it what became of them, until something ends it."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Self

from rfx.skills.agent_config import AgentConfig
from rfx.skills.audit import AuditEntry
from rfx.skills.formats import ToolCall
from rfx.skills.messages import Answers, Message, Model, Reply, Request, Usage, with_own_ids
from rfx.skills.plain import shown, to_json
from rfx.skills.registry import SkillRegistry
from rfx.skills.result import SkillResult, refusal, said
from rfx.skills.slot import Turn
from rfx.skills.transcript import Transcript, TranscriptEntry, reply_data

_THROUGH = (KeyboardInterrupt, SystemExit)
_GLANCE = 0.1  # seconds: a Ctrl+C that comes just before a wait is not seen until the wait ends
_AGAIN = (0.05, 0.2, 0.75)  # seconds between the stops that a call gets which does not end


class _Ended(Exception):
    """The run is over: why, and words."""

    def __init__(self, ended: str, error: str = "") -> None:
        super().__init__(ended, error)
        self.ended, self.error = ended, error


class _Job:
    """A function in a thread of its own."""

    def __init__(self, func: Callable[[], Any], name: str, wake: threading.Event) -> None:
        self._func, self._wake = func, wake
        self.ended = threading.Event()
        self.value: Any = None
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._body, name=name, daemon=True)

    def _body(self) -> None:
        try:
            self.value = self._func()
        except BaseException as error:
            self.error = error
        finally:
            self.ended.set()
            self._wake.set()

    def start(self) -> Self:
        """Begin; without a thread it is done, with an error."""
        try:
            self.thread.start()
        except RuntimeError as error:  # no thread is left
            self.error = error
            self.ended.set()
        return self

    @property
    def done(self) -> bool:
        """Whether it has come to its end, or could not begin."""
        return self.ended.is_set()


class AgentRun:
    """The state of one run. ``go`` is called once; ``cancel`` from any thread."""

    def __init__(
        self,
        model: Model,
        registry: SkillRegistry,
        config: AgentConfig,
        messages: list[Message],
        transcript: Transcript,
        watch: Callable[[TranscriptEntry], None] | None,
    ) -> None:
        self.model, self.registry, self.config = model, registry, config
        self.messages, self.transcript, self._watch = messages, transcript, watch
        self._caller = f"agent {model.name}"
        self._wake = threading.Event()
        self._cancelled: str | None = None
        self._job: _Job | None = None
        self._deadline = time.monotonic() + config.max_seconds
        self._ids = {c.id for m in messages if isinstance(m, Reply) for c in m.calls}
        self.turn, self.calls, self.usage, self.text = 0, 0, Usage(), ""
        self.ended, self.error = "", ""

    def cancel(self, reason: str) -> None:
        """End the run: what moves is stopped at once, in this thread."""
        if self._cancelled is None:
            self._cancelled = reason
        self._wake.set()
        self.registry.stop_all(reason, caller=self._caller)

    def go(self) -> None:
        """Run to the end. Whatever it is, what moves is stopped, and the transcript says why.

        Only KeyboardInterrupt, SystemExit and what ``watch`` raises come out.
        """
        ended, error = "interrupted", "the program was interrupted"
        try:
            self._loop()
        except _Ended as end:
            ended, error = end.ended, end.error
        except _THROUGH:
            raise
        except BaseException as raised:
            ended, error, self._watch = "failed", said(raised), None
            raise
        finally:
            try:
                problem = self._settle(ended, error)
                error = "; ".join(part for part in (error, problem) if part)
            finally:
                self.ended, self.error = ended, self.transcript.hidden(error)
                usage = {"input": self.usage.input, "output": self.usage.output}
                self.note("end", {"ended": ended, "error": error, "usage": usage})

    def note(self, kind: str, data: dict[str, Any], seconds: float = 0.0) -> None:
        entry = self.transcript.add(kind, self.turn, data, seconds)
        if self._watch is not None:
            self._watch(entry)

    def _loop(self) -> None:
        while True:
            self._check()
            if self.turn >= self.config.max_turns:
                raise _Ended("turns", f"the model was asked {self.turn} times, and that is the limit")
            if self.usage.total >= self.config.max_total_tokens:
                raise _Ended("tokens", f"the run took {self.usage.total} tokens of {self.config.max_total_tokens}")
            reply, repeated = self._ask()
            if reply.calls:
                self._answer(reply, repeated)
            self._judge(reply)

    def _check(self) -> None:
        if self._cancelled is not None:
            raise _Ended("cancelled", self._cancelled)
        if time.monotonic() >= self._deadline:
            raise _Ended("time", f"the run took longer than {self.config.max_seconds:g} s")

    def _judge(self, reply: Reply) -> None:
        """End the run if the reply does."""
        if self._cancelled is not None:
            raise _Ended("cancelled", self._cancelled)
        if reply.stop == "refusal":
            raise _Ended("refusal", reply.text or "the model refuses to answer")
        if reply.stop == "context":
            raise _Ended("context", "the conversation is too long for the model")
        if reply.calls:
            if self.calls > self.config.max_tool_calls:
                most = self.config.max_tool_calls
                raise _Ended("calls", f"the model made {self.calls} calls, and the limit is {most}")
        elif reply.stop == "length":
            raise _Ended("length", f"the reply was cut off at {self.config.max_reply_tokens} tokens")
        elif reply.stop == "calls":
            raise _Ended("model", "expected calls in a reply that stops for calls, got none")
        elif reply.stop == "end":
            raise _Ended("done")

    def _ask(self) -> tuple[Reply, list[bool]]:
        left = max(self._deadline - time.monotonic(), 0.001)
        system, longest = self.config.system_prompt, self.config.max_reply_tokens
        request = Request(system, tuple(self.messages), self.registry, longest, left)
        self.turn += 1
        begun = time.monotonic()
        job = _Job(lambda: self.model.reply(request), "agent model", self._wake).start()
        if not self._wait(job):
            self._check()
        if isinstance(job.error, _THROUGH):
            raise job.error
        if job.error is not None:
            raise _Ended("model", f"the model failed: {said(job.error)}")
        if not isinstance(job.value, Reply):
            raise _Ended("model", f"expected a Reply of the model, got {shown(job.value)}")
        reply, repeated = with_own_ids(job.value, self._ids)
        self.messages.append(reply)
        self.usage += reply.usage
        self.text = reply.text or self.text
        self.note("reply", reply_data(reply), time.monotonic() - begun)
        return reply, repeated

    def _wait(self, job: _Job) -> bool:
        """Wait for a job, and return whether it is done; not done when the run is cancelled or out of time."""
        while not job.done:
            left = self._deadline - time.monotonic()
            if self._cancelled is not None or left <= 0.0:
                return job.done
            self._wake.wait(min(left, _GLANCE))
            self._wake.clear()  # what it tells of was set before it
        return True

    def _answer(self, reply: Reply, repeated: list[bool]) -> None:
        """Make the calls of a reply one after the other. Each gets an answer, whatever happens."""
        results: list[tuple[ToolCall, SkillResult]] = []
        tickets = [self.registry.ticket() for _ in reply.calls]  # what is stopped from now on does not move
        try:
            for number, call in enumerate(reply.calls):
                begun = time.monotonic()
                found = self.registry.get(call.name)
                refused = self._refused(reply, call, number, repeated[number])
                result = self._execute(call, tickets[number]) if refused is None else self._write_down(call, refused)
                self.calls += 1
                if found is not None and found.stops and refused is None:
                    tickets = [self.registry.ticket() for _ in reply.calls]  # the model's own: what follows may move
                results.append((call, self._cut(result)))
                data = {"id": call.id, "skill": _asked(call), "call": result.call, **results[-1][1].to_dict()}
                self.note("result", data, time.monotonic() - begun)
        finally:
            for call in reply.calls[len(results) :]:  # interrupted: the conversation stays one that can go on
                results.append((call, refusal("stopped", "the program was interrupted", "")))
            self.messages.append(Answers(tuple(results)))

    def _refused(self, reply: Reply, call: ToolCall, number: int, repeated: bool) -> SkillResult | None:
        """Return why a call is not made, or None. A skill that stops is refused only when the run is over."""
        try:
            self._check()
        except _Ended as end:
            return refusal("stopped", f"the run has ended: {end.error}", "Nothing was run.")
        found = self.registry.get(call.name)
        if found is not None and found.stops:
            return None
        if reply.stop in ("length", "refusal", "context"):
            hint = "Nothing was run. Say less, and make one call at a time."
            return refusal("truncated", "the reply ended before this call was certain to be complete", hint)
        if repeated:
            return refusal("duplicate", "a call before it in this reply has its id", "Nothing was run. Use an id once.")
        if self.calls >= self.config.max_tool_calls:
            return refusal(
                "calls", f"there were {self.calls} calls in this run, and that is the limit", "Nothing was run."
            )
        if number >= self.config.max_calls_per_turn:
            hint = "Nothing was run. Read the results of the others, then call again."
            return refusal("calls", f"only {self.config.max_calls_per_turn} calls are made in one turn", hint)
        return None

    def _execute(self, call: ToolCall, ticket: Turn) -> SkillResult:
        execute, who = self.registry.execute, self._caller
        job = _Job(lambda: execute(call.name, call.arguments, caller=who, ticket=ticket), "agent call", self._wake)
        self._job = job  # before it begins: an interrupt may come as it does
        job.start()
        if not self._wait(job):
            self._halt(job, self._cancelled or f"the run took longer than {self.config.max_seconds:g} s")
        self._job = None
        if isinstance(job.error, _THROUGH):
            raise job.error
        if job.error is not None:
            return self._write_down(call, refusal("failed", f"the call could not be made: {said(job.error)}", ""))
        if job.value is None:
            return refusal("timeout", "the run ended before the call did", "It may still be running.")
        return job.value

    def _halt(self, job: _Job, reason: str) -> None:
        """Stop what a call moves, until it has returned or the patience is over."""
        self._stop(reason)
        for pause in _AGAIN:
            if job.ended.wait(pause):
                return
            self.registry.stop_all(reason, caller=self._caller)

    def _stop(self, reason: str) -> list[SkillResult]:
        begun = time.monotonic()
        results = self.registry.stop_all(reason, caller=self._caller)
        told = [{"skill": r.skill, "call": r.call, **r.to_dict()} for r in results]
        self.note("stop", {"reason": reason, "results": told}, time.monotonic() - begun)
        return results

    def _settle(self, ended: str, error: str) -> str:
        """Bring the robot to rest at the end, and say what could not be done."""
        if ended == "done" and not self.config.stop_at_end:
            return ""
        reason = f"the agent's run ended: {error or ended}"
        if self._job is not None:  # interrupted while it ran
            self._halt(self._job, reason)
        failed = [f"{r.skill} failed: {r.error}" for r in self._stop(reason) if not r.ok]
        mover = self.registry.mover
        return "; ".join(failed + ([f"{mover} does not end although it was stopped"] if mover else []))

    def _write_down(self, call: ToolCall, result: SkillResult) -> SkillResult:
        """Enter a call that is not made in the audit log."""
        log, came = self.registry.audit, time.time_ns()
        asked = _asked(call)
        logged = to_json(call.arguments, items=32, text=200, depth=6, size=2000)
        number = log.number()
        begin = {"call": number, "time_ns": came, "caller": self._caller, "skill": asked, "arguments": logged}
        log.begin(begin)
        log.end(AuditEntry(number, came, self._caller, asked, logged, False, result.kind, result.error, 0.0))
        return replace(result, skill=asked, call=number)

    def _cut(self, result: SkillResult) -> SkillResult:
        """Keep a long result from filling the conversation."""
        most = self.config.max_result_characters
        text = result.text()
        if len(text) <= most or result.value is None:
            return result
        kept = str(to_json(result.value, text=most))[:most]
        return replace(result, value=f"{kept}... (cut: {len(text)} characters)")


def _asked(call: ToolCall) -> str:
    """Return the name of a call as the audit log has it."""
    return call.name[:80] if isinstance(call.name, str) else shown(call.name)
