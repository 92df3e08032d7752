"""What a run of an agent keeps to, and what comes out of it."""

from dataclasses import dataclass, field

from rfx.arrays import integer, number
from rfx.errors import DTypeError
from rfx.skills.messages import Message, Usage
from rfx.skills.plain import shown
from rfx.skills.transcript import Transcript

SYSTEM_PROMPT = (
    "You operate a robot through tools. Only tools move it: words do nothing. Make one movement at a time and read its "
    "result before the next. A result with ok false was not done as asked: read its error and hint, and do not repeat "
    "the same call unchanged. If something is unclear or not safe, stop the robot and say so. When the task is done, "
    "say in one or two sentences what was done, without a tool call."
)


@dataclass(frozen=True)
class AgentConfig:
    """Limits of a run.

    Attributes
    ----------
    system_prompt : str
        Who the model is and what it must keep to.
    max_turns : int
        How often the model is asked.
    max_tool_calls : int
        Calls in a run. A skill that stops runs beyond it.
    max_calls_per_turn : int
        Calls in one reply; the model is told that the others were not made.
    max_total_tokens : int
        The model is not asked again after so many, input and output together.
    max_reply_tokens : int
        Longest reply.
    max_seconds : float
        The run ends after this time, whatever the model or a skill is doing.
    max_result_characters : int
        Longer results are cut before the model reads them.
    stop_at_end : bool
        Stop the robot also when the model has finished. It is stopped in any case when something else ends the run.
    """

    system_prompt: str = SYSTEM_PROMPT
    max_turns: int = 20
    max_tool_calls: int = 50
    max_calls_per_turn: int = 8
    max_total_tokens: int = 500_000
    max_reply_tokens: int = 4096
    max_seconds: float = 300.0
    max_result_characters: int = 20_000
    stop_at_end: bool = True

    def __post_init__(self) -> None:
        if not isinstance(self.system_prompt, str):
            raise DTypeError(f"expected system_prompt to be a string, got {shown(self.system_prompt)}")
        for name in ("max_turns", "max_tool_calls", "max_calls_per_turn", "max_total_tokens", "max_reply_tokens"):
            object.__setattr__(self, name, integer(getattr(self, name), name, minimum=1))
        characters = integer(self.max_result_characters, "max_result_characters", minimum=100)
        object.__setattr__(self, "max_result_characters", characters)
        object.__setattr__(self, "max_seconds", number(self.max_seconds, "max_seconds", above=0.0))
        if type(self.stop_at_end) is not bool:
            raise DTypeError(f"expected stop_at_end to be a bool, got {shown(self.stop_at_end)}")


@dataclass(frozen=True)
class AgentResult:
    """How a run went.

    Attributes
    ----------
    text : str
        The model's last words.
    ended : str
        "done" (the model has finished), "cancelled", "turns", "calls", "tokens" or "time" (a limit), "length" (a reply
        was cut off), "context" (the conversation is too long), "refusal", "model" (the model failed).
    error : str
        Why, in words; also what went wrong while the robot was stopped.
    turns, calls : int
        How often the model was asked, and how many calls it made, refused ones among them.
    usage : Usage
        Tokens.
    seconds : float
        How long it took.
    transcript : Transcript
        All of it.
    messages : tuple of Instruction, Reply and Answers
        The conversation, for :meth:`Agent.run` to go on with.
    """

    text: str
    ended: str
    error: str
    turns: int
    calls: int
    usage: Usage
    seconds: float
    transcript: Transcript
    messages: tuple[Message, ...] = field(repr=False, default=())

    @property
    def ok(self) -> bool:
        """Whether the model finished, and the robot could be stopped."""
        return self.ended == "done" and not self.error
