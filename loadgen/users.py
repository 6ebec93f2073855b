"""Base classes of Locust users that talk to Bedrock.

A locustfile derives from one of them and writes a task: take the next message, ask it.
"""

import gevent
from locust import User
from locust.exception import StopUser
from locust.user.task import LOCUST_STATE_RUNNING, LOCUST_STATE_STOPPING

import os
from dataclasses import replace
from typing import Any, ClassVar, cast

import loadgen.listeners  # noqa: F401 - registers the options and hooks that these users need
from bedrock.catalog import default_catalog
from bedrock.clock import now
from bedrock.invocation import InvocationRecord
from loadgen.arrivals import Turn
from loadgen.listeners import PARTICIPANT_ATTRIBUTE
from loadgen.options import DEFAULT_ENDPOINT_URL, LoadOptions, OptionsError
from loadgen.participant import Participant
from loadgen.preparation import ENDPOINT_VARIABLE
from loadgen.session import Sampler, message_of
from loadgen.talks import BEGUN, Talk
from scenarios.prompts import PromptLibrary, load_prompts
from scenarios.replayed import ReplaySampler, TypedSampler
from scenarios.session_files import load_sessions
from scenarios.sessions import SessionSampler
from scenarios.traffic import Message, MessageSampler, SinglePromptSampler, load_mix, load_routing

#: States of a user in the middle of its task; in the second one it leaves once that has ended.
_BUSY = (LOCUST_STATE_RUNNING, LOCUST_STATE_STOPPING)


class BedrockUser(User):
    """A user, or in the open loop a slot: waits for its turn, sends a message, and again.

    Subclasses give `make_sampler`, which chooses the messages, and at least one task.
    """

    abstract = True
    #: What the web form offers as the host; `--target aws` does not use it.
    host = os.environ.get(ENDPOINT_VARIABLE) or DEFAULT_ENDPOINT_URL

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        self._turn: Turn | None = None
        self._has_begun = False

    @classmethod
    def make_sampler(cls, options: LoadOptions) -> Sampler:
        """Choose the messages of this class of users; called once per test and process."""
        raise TypeError(f"{cls.__name__} must define make_sampler, to choose messages for {options.routing!r}")

    @property
    def _participant(self) -> Participant:
        participant: Participant = getattr(self.environment, PARTICIPANT_ATTRIBUTE)
        return participant

    def on_start(self) -> None:
        """Wait for the first turn: a fresh user must not call at once."""
        while not hasattr(self.environment, PARTICIPANT_ATTRIBUTE):
            gevent.sleep(0.01)  # a worker that joins a running test gets its users while Locust still starts up
        if self._participant.session is None:  # the test was refused; there is nothing to do
            raise StopUser
        self.wait()

    def wait_time(self) -> float:
        """Block until it is this user's turn (Locust shows it as waiting and can stop it at once); then 0 s."""
        session = self._participant.session
        if session is None:
            raise StopUser
        self._turn = session.pacer.next_turn(is_first=not self._has_begun)
        self._has_begun = True
        return 0.0

    def stop(self, force: bool = False) -> bool:
        """Stop as Locust does, but where a pattern takes users away: then let this one finish its call first.

        Cut off in the middle of the test, calls would be missing from its results, the slow ones above all.
        """
        session = self._participant.session
        if force and session is not None and session.lets_users_finish and self._state in _BUSY:
            self._state = LOCUST_STATE_STOPPING
            return False
        return bool(super().stop(force))

    def on_stop(self) -> None:
        """A turn taken but not used, because the user was stopped in between, counts as dropped."""
        turn, self._turn = self._turn, None
        if turn is not None and turn.intended_at is not None and self._participant.session is not None:
            self._participant.session.record_dropped(turn)

    def next_message(self) -> Message:
        """The message of the current turn."""
        return message_of(self._participant.samplers[type(self)], self._turn)

    def ask(self, message: Message) -> InvocationRecord:
        """Send a message and read its whole answer; one Locust request event, one record."""
        session = self._participant.session
        if session is None:
            raise StopUser
        turn, self._turn = self._turn, None
        return session.invoke(message, turn)


class MangaAssistUser(BedrockUser):
    """Sends the MangaAssist mix: query types by share, each routed to a model."""

    abstract = True
    mix: ClassVar[str] = "mangaassist"

    @classmethod
    def make_sampler(cls, options: LoadOptions) -> Sampler:
        """Messages of the mix, of one prompt size or of the mix's own sizes."""
        size = None if options.prompt_size == "mixed" else options.prompt_size
        library = load_prompts(options.prompts_file)
        sampler = MessageSampler(load_mix(cls.mix), load_routing(options.routing), library, size, options.seed)
        return replaying(sampler, library, options)


class MangaAssistSessionUser(BedrockUser):
    """Holds conversations, one after the other: a message, its answer, a pause, the next message with all before it.

    An arrival of the open loop is a conversation, and its slot is taken until it ends. The first message is due when
    the arrival is, every other one a think time after the answer before it.
    """

    abstract = True

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        self._talk: Talk | None = None

    @classmethod
    def make_sampler(cls, options: LoadOptions) -> Sampler:
        """Conversations of the file that the options name, of one prompt size or of the mix's own sizes."""
        size = None if options.prompt_size == "mixed" else options.prompt_size
        library = load_prompts(options.prompts_file)
        return SessionSampler(
            load_sessions(options.sessions), load_routing(options.routing), library, size, options.seed
        )

    def wait_time(self) -> float:
        """Block until the next message of the conversation is due, or where there is none a conversation is."""
        session, talk = self._participant.session, self._talk
        if session is not None and talk is not None and session.pause(talk.due_at - now()):
            due_at = talk.due_at if session.options.is_open_loop else None
            self._turn = Turn(talk.number, due_at, None, number=talk.position)
            return 0.0
        self._talk = None  # at the end of the test no new message begins
        super().wait_time()
        if self._turn is not None:
            sampler = cast("SessionSampler", self._participant.samplers[type(self)])
            turn = self._turn = replace(self._turn, number=1)
            self._talk = Talk(turn.index, sampler.turns(turn.index), sampler.model, turn.intended_at or now())
        return 0.0

    def on_stop(self) -> None:
        """A conversation that has begun is cut short; what it would have said next was no arrival."""
        if self._talk is not None and self._talk.position > 1:
            self._turn = None
        super().on_stop()

    def next_message(self) -> Message:
        """The message of the conversation that is due."""
        return super().next_message() if self._talk is None else self._talk.turn.message

    def ask(self, message: Message) -> InvocationRecord:
        """Send a message behind all that was said, read its whole answer, and decide how the conversation goes on."""
        session, turn, talk = self._participant.session, self._turn, self._talk
        if session is None or turn is None or talk is None:
            return super().ask(message)
        self._turn = None
        if talk.position == 1:
            session.conversations[BEGUN] += 1
        record = session.invoke(message, turn, talk.dialogue)
        talk.hear(record)
        if talk.end is not None:
            session.conversations[talk.end] += 1
            self._talk = None
        return record


class SinglePromptUser(BedrockUser):
    """Sends the prompts of one size to one model: a cell of the permutation suite."""

    abstract = True

    @classmethod
    def make_sampler(cls, options: LoadOptions) -> Sampler:
        """The library's default prompts of the size.

        UnknownModelError for a model that is no chat model, OptionsError for the sizes of the mix, which is not sent.
        """
        if options.prompt_size == "mixed":
            raise OptionsError(["--prompt-size: mixed takes the sizes of the mix, and this sends single prompts"])
        default_catalog().resolve_chat(options.model_id)
        library = load_prompts(options.prompts_file)
        sampler = SinglePromptSampler(library, options.prompt_size, options.seed, options.model_id)
        return replaying(sampler, library, options)


def replaying(sampler: TypedSampler, library: PromptLibrary, options: LoadOptions) -> Sampler:
    """The sampler, able to make the messages of the traces that the options replay, if there are any.

    TraceError for a message that cannot be made. A locustfile with a sampler of its own uses this as well.
    """
    traces = options.traces()
    return ReplaySampler(sampler, library, traces) if traces else sampler
