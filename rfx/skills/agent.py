"""An agent: a model, the skills it may use, and limits. It drives the robot through the registry and nothing else."""

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import Any, Self

from rfx.errors import ConfigError, DTypeError, InvalidStateError
from rfx.skills.agent_config import AgentConfig, AgentResult
from rfx.skills.agent_run import AgentRun
from rfx.skills.decorator import Skill
from rfx.skills.messages import Instruction, Message, Model
from rfx.skills.mock import MockModel, Scripted
from rfx.skills.models import model_for
from rfx.skills.plain import shown
from rfx.skills.registry import SkillRegistry
from rfx.skills.result import SkillResult
from rfx.skills.transcript import Transcript, TranscriptEntry

Skills = SkillRegistry | Iterable[Skill | Callable[..., Any]]


class Agent:
    """A tool loop: the model asks for skills, the registry checks and runs them, the model reads what became of them.

    Skills run in a thread of their own, one after the other. Whatever ends a run, what moves is stopped.

    Parameters
    ----------
    model : str or Model
        ``"anthropic:NAME"``, ``"openai:NAME"`` (Responses), ``"openai-chat:NAME"`` (Chat Completions, and the many
        servers that speak it); names that begin with claude, gpt or o and a digit need no prefix. Or a model of your
        own: an object with ``reply(request) -> Reply``.
    skills : SkillRegistry or iterable of Skill and callable
        What the model may use. A registry is used as it is, and gets the robot's skills too.
    robot : object, optional
        Its methods that are skills are registered: a :class:`Go2Skills`, or an object of your own. A Go2, real or
        simulated, gets a Go2Skills with its usual limits around it.
    config : AgentConfig, optional
        Limits and the system prompt.
    api_key, base_url : str, optional
        For the client; without them it reads its environment variables.
    client : object, optional
        A client of your own, in place of ``api_key`` and ``base_url``.
    watch : callable, optional
        ``watch(entry)`` gets each :class:`TranscriptEntry` as it happens. What it raises ends the run and comes out.

    Raises
    ------
    ConfigError
        An unknown model; no skills at all; a name taken twice.
    MissingDependencyError
        The client library is not installed.

    Examples
    --------
    >>> from rfx.skills import MockAgent, ToolCall, skill
    >>> @skill(effects="reads")
    ... def battery() -> float:
    ...     "Charge in percent."
    ...     return 80.0
    >>> MockAgent([battery], [ToolCall("battery", {}), "It is 80 %."]).run("How full is it?").text
    'It is 80 %.'
    """

    def __init__(
        self,
        model: str | Model,
        skills: Skills | None = None,
        robot: object = None,
        *,
        config: AgentConfig | None = None,
        api_key: str | None = None,
        base_url: str | None = None,
        client: Any = None,
        watch: Callable[[TranscriptEntry], None] | None = None,
    ) -> None:
        if config is not None and not isinstance(config, AgentConfig):
            raise DTypeError(f"expected config to be an AgentConfig, got {shown(config)}")
        if watch is not None and not callable(watch):
            raise DTypeError(f"expected watch to be callable, got {shown(watch)}")
        self.config = AgentConfig() if config is None else config
        self.model = model_for(model, api_key=api_key, base_url=base_url, client=client)
        self.robot = _guarded(robot)
        self._own = self.robot is not robot
        self.registry = _registry(skills, self.robot)
        self._secrets = [s for s in (api_key, getattr(self.model, "api_key", None)) if isinstance(s, str)]
        self._watch = watch
        self._lock = threading.Lock()
        self._run: AgentRun | None = None
        self._last: Transcript | None = None
        self._closed = False

    def run(self, instruction: str, *, after: AgentResult | None = None) -> AgentResult:
        """Carry out an instruction.

        Parameters
        ----------
        instruction : str
            In words.
        after : AgentResult, optional
            Go on with the conversation of an earlier run.

        Returns
        -------
        AgentResult
            However it ended: the model failing is no exception. Only KeyboardInterrupt, SystemExit and what ``watch``
            raises come out, after the robot was stopped; :attr:`transcript` has what happened till then.

        Raises
        ------
        DTypeError, ConfigError
            The instruction is no string, or empty.
        InvalidStateError
            Another run is going on, or the agent is closed.
        """
        if not isinstance(instruction, str):
            raise DTypeError(f"expected an instruction in words, got {shown(instruction)}")
        if not instruction.strip():
            raise ConfigError("expected an instruction, got an empty one")
        if after is not None and not isinstance(after, AgentResult):
            raise DTypeError(f"expected after to be an AgentResult, got {shown(after)}")
        begun = time.monotonic()
        run = self._new_run([*(after.messages if after else ()), Instruction(instruction)])
        try:
            self._take_on(run)
            run.note("instruction", {"text": instruction})
            run.go()
        finally:
            with self._lock:
                self._run = None if self._run is run else self._run
        seconds = time.monotonic() - begun
        ended = (run.text, run.ended, run.error, run.turn, run.calls, run.usage, seconds)
        return AgentResult(*ended, run.transcript, tuple(run.messages))

    def _new_run(self, messages: list[Message]) -> AgentRun:
        limits = {k: v for k, v in asdict(self.config).items() if k != "system_prompt"}
        names = [s.name for s in self.registry.skills]
        about = {"model": self.model.name, "system": self.config.system_prompt, "skills": names, "limits": limits}
        transcript = Transcript(about, secrets=self._secrets)
        return AgentRun(self.model, self.registry, self.config, messages, transcript, self._watch)

    def _take_on(self, run: AgentRun) -> None:
        with self._lock:
            if self._closed:
                raise InvalidStateError("expected an open agent, this one is closed")
            if self._run is not None:
                raise InvalidStateError("expected one run at a time, got a second one while the first goes on")
            self._run, self._last = run, run.transcript

    def cancel(self, reason: str = "cancelled by the operator") -> bool:
        """End the run that goes on, from any thread: the robot is stopped before this returns.

        Returns
        -------
        bool
            Whether there was a run to end.
        """
        with self._lock:
            run = self._run
        if run is not None:
            run.cancel(str(reason) or "cancelled")
        return run is not None

    def execute(self, command: str) -> str:
        """Carry out a command, and return the model's last words, or a sentence that says why there are none."""
        result = self.run(command)
        return result.text if result.ok else f"The run ended early ({result.ended}): {result.error}"

    def close(self) -> None:
        """End the run that goes on, and let none begin. A guard that the agent put around its robot is closed, too."""
        with self._lock:
            self._closed = True
        self.cancel("the agent was closed")
        if self._own:
            self.robot.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def transcript(self) -> Transcript | None:
        """The transcript of the last run, also of one that goes on; None before the first."""
        return self._last

    def add_skill(self, skill: Skill | Callable[..., Any], **options: Any) -> Skill:
        """Register a skill, as :meth:`SkillRegistry.register` does."""
        return self.registry.register(skill, **options)

    def describe_skills(self) -> str:
        """Return a list of the skills, for people."""
        return self.registry.describe()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.model.name!r}, {len(self.registry)} skills)"

    def __reduce__(self) -> Any:
        raise InvalidStateError("expected an agent to stay in its process, got a request to copy it")


class MockAgent(Agent):
    """An agent whose model says what it was told to say: the loop, the registry and the robot are the real ones.

    Parameters
    ----------
    skills : SkillRegistry or iterable of Skill and callable
        What it may use.
    replies : iterable
        As :class:`MockModel` takes them.
    robot, config, watch
        As :class:`Agent` takes them.

    Attributes
    ----------
    model : MockModel
        With the requests that it got.
    """

    model: MockModel

    def __init__(
        self,
        skills: Skills | None = None,
        replies: Iterable[Scripted] = (),
        robot: object = None,
        *,
        config: AgentConfig | None = None,
        watch: Callable[[TranscriptEntry], None] | None = None,
    ) -> None:
        super().__init__(MockModel(replies), skills, robot, config=config, watch=watch)

    def execute_skill(self, name: str, **arguments: Any) -> SkillResult:
        """Make one call without the model."""
        return self.registry.execute(name, arguments, caller="agent mock")


def _guarded(robot: object) -> Any:
    """Return the robot with skills: a Go2 gets a guard."""
    if robot is None:
        return None
    from rfx.go2 import Go2
    from rfx.skills.go2 import Go2Skills
    from rfx.skills.robots import SkillRobot

    return Go2Skills(robot) if isinstance(robot, (Go2, SkillRobot)) else robot


def _registry(skills: Skills | None, robot: object) -> SkillRegistry:
    """Return the registry of an agent: the one that was given, the robot's own, or a new one."""
    from rfx.skills.go2 import Go2Skills

    if isinstance(skills, SkillRegistry):
        registry = skills
    else:
        registry = (
            robot.registry() if isinstance(robot, Go2Skills) else SkillRegistry()
        )  # its log has the guard's lines
        for one in skills or ():
            registry.register(one)
    if robot is not None:
        names = [n for n in dir(type(robot)) if isinstance(getattr(type(robot), n, None), Skill)]
        if not names:
            raise ConfigError(f"expected a robot with methods that are skills, got {shown(robot)}")
        found = [getattr(robot, n) for n in names]
        if not all(registry.get(s.name) == s for s in found):
            registry.register_all(robot)
    if not len(registry):
        raise ConfigError("expected at least one skill, got none")
    return registry
