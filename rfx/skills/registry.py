"""The registry: the one way from an agent to the skills."""

import contextvars
import difflib
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

from rfx.arrays import number
from rfx.errors import ConfigError, DTypeError
from rfx.skills.audit import AuditEntry, AuditLog
from rfx.skills.caller import current_caller
from rfx.skills.cancel import SkillCancelled
from rfx.skills.decorator import Skill, checked_effects, checked_name, skill, words
from rfx.skills.formats import ToolFormats
from rfx.skills.plain import shown, to_json
from rfx.skills.problems import Problems
from rfx.skills.result import SkillError, SkillResult, refusal, said
from rfx.skills.slot import MoverSlot, Turn, current_turn

_THROUGH = (KeyboardInterrupt, SystemExit)
_GLANCE = 0.1  # seconds: a Ctrl+C that comes just before a wait is not seen until the wait ends


class SkillRegistry(ToolFormats):
    """Skills by name, and the rules that every call keeps to.

    Arguments are checked before anything runs. One skill that moves runs at a time; a skill that stops is never kept
    waiting, cancels the mover, and no call that came before it moves after it. A mover that runs out of time is
    cancelled, and every skill that stops and needs no arguments is run. It is safe to share among threads.

    Parameters
    ----------
    skills : iterable of Skill or callable
        Registered at once.
    timeout : float or None
        Seconds for skills without a timeout of their own; None waits for ever.
    confirm : callable, optional
        ``confirm(skill, arguments) -> bool`` asks a person. Without it, skills that need confirmation are refused.
    audit : AuditLog, optional
        Where calls are written down; one in memory by default.

    Examples
    --------
    >>> @skill(effects="reads")
    ... def add(a: int, b: int) -> int:
    ...     "Add two numbers."
    ...     return a + b
    >>> SkillRegistry([add]).execute("add", {"a": 1, "b": 2}).value
    3
    """

    def __init__(
        self,
        skills: Iterable[Skill | Callable[..., Any]] = (),
        *,
        timeout: float | None = 30.0,
        confirm: Callable[[Skill, dict[str, Any]], bool] | None = None,
        audit: AuditLog | None = None,
    ) -> None:
        if confirm is not None and not callable(confirm):
            raise DTypeError(f"expected confirm to be callable, got {type(confirm).__name__}")
        self._timeout = None if timeout is None else number(timeout, "timeout", above=0.0)
        self._confirm = confirm
        self._skills: dict[str, Skill] = {}
        self._lock = threading.Lock()
        self._slot = MoverSlot()
        self.audit = AuditLog() if audit is None else audit
        for one in skills:
            self.register(one)

    def register(self, skill_or_func: Skill | Callable[..., Any], *, replace: bool = False, **options: Any) -> Skill:
        """Add a skill, or a function that becomes one with ``options`` of :func:`skill`, and return it.

        Raises
        ------
        ConfigError
            The name is taken, and ``replace`` is False; or it is a method without its object.
        DTypeError
            Neither a skill nor a function, or options for what is a skill already.
        """
        if isinstance(skill_or_func, Skill):
            if options:
                raise DTypeError(f"expected no options for a finished skill, got {', '.join(options)}")
            made = skill_or_func
        else:
            made = skill(**options)(skill_or_func)
        checked_name(made.name)
        if made.needs_owner and made.owner is None:
            raise ConfigError(f"expected the method {made.name} to be taken from an object, got it from its class")
        with self._lock:
            if made.name in self._skills and not replace:
                raise ConfigError(f"expected a name that is free, got {made.name!r}; replace=True exchanges the skill")
            self._skills[made.name] = made
        return made

    def register_all(self, owner: object) -> list[Skill]:
        """Add every skill that is a method of ``owner``, and return them: all of them or, on an error, none."""
        names = [n for n in dir(type(owner)) if isinstance(getattr(type(owner), n, None), Skill)]
        found = [getattr(owner, n) for n in names]
        given = [s.name for s in found]
        with self._lock:
            taken = sorted({n for n in given if n in self._skills or given.count(n) > 1})
            if taken:
                raise ConfigError(f"expected names that are free, got {', '.join(taken)}")
            self._skills.update({s.name: s for s in found})
        return found

    def unregister(self, name: str) -> Skill:
        """Take a skill out and return it. A call that runs goes on. Raises ConfigError for an unknown name."""
        with self._lock:
            if name not in self._skills:
                raise ConfigError(f"expected the name of a skill, got {name!r}; there are {sorted(self._skills)}")
            return self._skills.pop(name)

    def get(self, name: str) -> Skill | None:
        """Return the skill of that name, or None."""
        with self._lock:
            return self._skills.get(name) if isinstance(name, str) else None

    @property
    def skills(self) -> list[Skill]:
        """All skills, in the order in which they were registered."""
        with self._lock:
            return list(self._skills.values())

    def filter(self, tags: str | Iterable[str] = (), effects: str | Iterable[str] | None = None) -> list[Skill]:
        """Return the skills that have all of the ``tags`` and, where given, at least one of the ``effects``."""
        wanted = words(tags, "tags")
        any_of = None if effects is None else checked_effects_any(effects)
        return [s for s in self.skills if wanted <= s.tags and (any_of is None or s.effects & any_of)]

    def describe(self) -> str:
        """Return a list of the skills for people and prompts."""
        lines = []
        for one in self.skills:
            notes = [", ".join(sorted(one.effects))] + ["needs confirmation"] * one.confirmation
            lines.append(f"{one.name} ({'; '.join(notes)}): {one.description}")
            for field in one.arguments.fields:
                default = "" if field.required else f" Default {shown(field.default)}."
                text = f" {field.description}" if field.description else ""
                lines.append(f"  {field.name}: {field.kind.expected()}.{text}{default}")
        return "\n".join(lines)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.get(name) is not None

    def __iter__(self) -> Iterator[Skill]:
        return iter(self.skills)

    def __len__(self) -> int:
        return len(self._skills)

    def __repr__(self) -> str:
        return f"SkillRegistry({', '.join(s.name for s in self.skills)})"

    @property
    def mover(self) -> str:
        """Name of the skill that moves the robot now, or an empty string."""
        return self._slot.mover

    def ticket(self) -> Turn:
        """Say that a call has come now, for one that :meth:`execute` gets only later: stops in between count for it."""
        return self._slot.turn("")

    def execute(
        self,
        name: str,
        arguments: dict[str, Any] | None = None,
        *,
        caller: str = "",
        ticket: Turn | None = None,
    ) -> SkillResult:
        """Check the arguments, run the skill, and say how it went.

        Parameters
        ----------
        name : str
            Name of a skill.
        arguments : dict, optional
            By name, as they come out of JSON. Unknown ones are refused.
        caller : str
            Who asks, for the audit log; the name of the :class:`Caller` whose block this is by default.
        ticket : Turn, optional
            Of :meth:`ticket`, for this one call.

        Returns
        -------
        SkillResult
            Whatever happens, also for wrong arguments and when the skill raises. Only KeyboardInterrupt and
            SystemExit come through, after the robot was stopped if it was moving.
        """
        begun, came = time.monotonic(), time.time_ns()
        asking = current_caller()
        found = self.get(name)
        asked = name[:80] if isinstance(name, str) else shown(name)
        who = to_json(caller or (asking.name if asking is not None else ""), items=8, text=80)
        logged = to_json(arguments, items=32, text=200, depth=6, size=2000)
        given = {} if arguments is None else arguments
        call = self.audit.number()
        first = {"call": call, "time_ns": came, "caller": who, "skill": asked, "arguments": logged}
        result = SkillResult(False, kind="failed", error="interrupted", hint="The operator ended the program.")
        try:
            if found is not None and found.stops:  # before anything is written, since writing may take its time
                result = self._stopped(found, given)
                self.audit.begin(first)
            else:
                turn = self._slot.turn("") if ticket is None else ticket
                turn.skill, turn.outer = found.name if found else "", current_turn()
                written = self.audit.begin(first)
                if found is None:
                    result = self._unknown(asked)
                elif found.moves and not written:
                    hint = "Tell the operator. Skills that read or stop still work."
                    result = refusal("audit", "the call could not be written to the audit log, so nothing moves", hint)
                else:
                    forget = asking.on_gone(turn.token.cancel) if asking is not None else None
                    try:
                        result = self._checked(found, given, turn)
                    finally:
                        if forget is not None:
                            forget()
        except _THROUGH:
            raise
        except BaseException as error:  # a dataclass or a consent that raises what is no Exception
            result = refusal("failed", f"the call failed: {said(error)}", "Nothing was run.")
        finally:
            seconds = time.monotonic() - begun
            end = (call, came, who, asked, logged, result.ok, result.kind, result.error, seconds)
            self.audit.end(AuditEntry(*end))
        return replace(result, skill=asked, call=call, seconds=seconds)

    def stop_all(self, reason: str = "stopped", *, caller: str = "") -> list[SkillResult]:
        """Cancel what moves, and run every skill that stops and needs no arguments. Returns their results."""
        who = object()
        try:  # around the stop as well: a Ctrl+C at its end must not leave a stop that never ends
            self._slot.stop(reason, who, current_turn())
            stops = [s for s in self.filter(effects="stops") if not any(f.required for f in s.arguments.fields)]
            return [self.execute(s.name, caller=caller or "registry") for s in stops]
        finally:
            self._slot.stopped(who)

    def _unknown(self, asked: str) -> SkillResult:
        names = [s.name for s in self.skills]
        near = difflib.get_close_matches(asked, names, 1)
        hint = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(names) or 'none'}."
        return refusal("unknown skill", f"there is no skill {asked!r}", hint)

    def _stopped(self, found: Skill, arguments: Any) -> SkillResult:
        """Stop, whatever the arguments are: wrong ones are told, and the defaults used."""
        who, turn = object(), Turn(found.name, 0, outer=current_turn())
        try:
            self._slot.stop(f"stopped by {found.name}", who, current_turn())
            problems: Problems = []
            ready = found.read_arguments(arguments, problems)
            if not problems:
                return self._run(found, ready, turn, None)
            wrong = "; ".join(map(str, problems))
            if any(f.required for f in found.arguments.fields):
                self.stop_all(f"stopped by {found.name}")
                hint = f"What moved was told to end. Correct the arguments and call {found.name} again."
                return refusal("arguments", wrong, hint)
            result = self._run(found, {}, turn, None)
            return replace(result, hint=f"The arguments were not used: {wrong}. {result.hint}".strip())
        finally:
            self._slot.stopped(who)

    def _checked(self, found: Skill, arguments: Any, turn: Turn) -> SkillResult:
        problems: Problems = []
        ready = found.read_arguments(arguments, problems)
        if problems:
            hint = f"Nothing was run. Correct the arguments and call {found.name} again."
            return refusal("arguments", "; ".join(map(str, problems)), hint)
        if found.confirmation:
            refused = self._confirmed(found, arguments)
            if refused is not None:
                return refused
        if not found.moves:
            return self._run(found, ready, turn, None)
        try:
            kind, why = self._slot.take(turn)
            if not kind:
                return self._run(found, ready, turn, turn)
        except _THROUGH:
            try:
                self.stop_all("the program was interrupted")
            finally:
                self._slot.leave(turn, unless_begun=True)
            raise
        hint = "Wait for it to end, or stop it, then call again." if kind == "busy" else "Call again if it is wanted."
        return refusal(kind, f"{found.name} may not begin: {why}", f"Nothing was run. {hint}")

    def _confirmed(self, found: Skill, arguments: Any) -> SkillResult | None:
        if self._confirm is None:
            hint = "Ask the operator to do it, or use another skill."
            return refusal("confirmation", f"{found.name} needs the consent of a person, and nobody can be asked", hint)
        try:
            agreed = self._confirm(found, dict(arguments))
        except _THROUGH:
            raise
        except BaseException as error:
            return refusal("confirmation", f"asking for consent failed: {said(error)}", "Nothing was run.")
        if agreed is not True:
            return refusal("confirmation", f"a person refused {found.name}", "Do not ask again for the same thing.")
        return None

    def _run(self, found: Skill, ready: dict[str, Any], turn: Turn, held: Turn | None) -> SkillResult:
        """Run the function with checked arguments; ``held`` is the turn to give back when it has returned."""
        if found.cancel_name is not None:
            ready[found.cancel_name] = turn.token
        limit = self._timeout if found.timeout is None else found.timeout
        outcome: list[tuple[Any, BaseException | None]] = []
        ended = threading.Event()

        def body() -> None:
            try:
                if held is not None:
                    held.begin()
                outcome.append((turn.run(found, ready), None))
            except BaseException as error:
                outcome.append((None, error))
            finally:
                if held is not None:
                    self._slot.leave(held)
                ended.set()

        try:
            if limit is None:
                body()
            else:
                context = contextvars.copy_context()
                worker = threading.Thread(target=context.run, args=(body,), name=f"skill {found.name}", daemon=True)
                try:
                    worker.start()
                except RuntimeError as error:  # no thread is left
                    if not found.stops:
                        if held is not None:
                            self._slot.leave(held)
                        return refusal("failed", f"{found.name} could not be started: {error}", "Nothing was run.")
                    body()
                end, asking = time.monotonic() + limit, current_caller()
                while not ended.wait(min(_GLANCE, max(0.0, end - time.monotonic()))):
                    gone = (asking.reason if asking else "") or (turn.outer.over if turn.outer else "")
                    if gone and not found.stops:  # the caller may only have fallen silent
                        turn.token.cancel(gone)
                    if time.monotonic() >= end:
                        return self._late(found, limit, turn, held)
        except _THROUGH:
            if not found.stops:
                turn.token.cancel("the program was interrupted")
            if limit is None and held is not None:  # it ran here, and has ended
                self._slot.leave(held)
            raise
        value, raised = outcome[0]
        if isinstance(raised, _THROUGH):
            raise raised
        return self._outcome(found, value, raised, turn)

    def _late(self, found: Skill, limit: float, turn: Turn, held: Turn | None) -> SkillResult:
        why = f"{found.name} took longer than {limit:g} s"
        turn.token.cancel(why)
        if held is None:
            return refusal("timeout", why, "It may still be running. Try again later.")
        self.stop_all(why)
        return refusal(
            "timeout", f"{why} and was stopped", "The robot may have moved. Read its state before you go on."
        )

    def _outcome(self, found: Skill, value: Any, error: BaseException | None, turn: Turn) -> SkillResult:
        reread = "The robot may have moved. Read its state before you go on." if found.moves else "Try something else."
        if isinstance(error, SkillCancelled) or (found.moves and turn.token.cancelled):
            why = turn.token.reason or str(error)
            return SkillResult(False, value, "stopped", f"{found.name} was ended early: {why}", reread)
        if isinstance(error, SkillError):
            return SkillResult(False, error.value, error.kind, str(error), error.hint or reread)
        if error is not None:
            return refusal("failed", f"{found.name} failed: {said(error)}", reread)
        if found.returns is not None:
            problems: Problems = []
            found.returns.read(to_json(value), "result", problems)
            if problems:
                hint = f"It has run; do not repeat it for this. {reread}"
                return SkillResult(
                    False, value, "result", f"{found.name} returned what it should not: {problems[0]}", hint
                )
        return SkillResult(True, value)


def checked_effects_any(effects: str | Iterable[str]) -> frozenset[str]:
    """Return effects to look for; unlike those of one skill they may be any combination."""
    wanted = words(effects, "effects")
    return frozenset().union(*(checked_effects(e) for e in wanted)) if wanted else checked_effects(wanted)
