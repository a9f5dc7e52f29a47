"""A language model that says what it is told to: for tests, and for a pipeline run without any model."""

from collections.abc import Callable
from itertools import cycle

from neurogloss.errors import ProviderError
from neurogloss.llm.request import Answer, Came, Capability, Reply, Request, Usage

Line = str | Answer | Callable[[Request], str | Answer]


class Scripted:
    """Answers in turn, over and over; a line may be a function of the request, or a ProviderError. Also a `Client`.

    >>> model = Scripted("a", lambda request: request.prompt.upper())
    >>> [answer.text for answer in model.ask([Request("scripted", "m", prompt=p) for p in "xyz"], "")]
    ['a', 'Y', 'a']
    """

    def __init__(self, *lines: Line, capabilities: tuple[Capability, ...] = ("echo", "top_logprobs", "json_schema")) -> None:
        self.script = cycle(lines or ("",))
        self.capabilities = capabilities
        self.asked: list[Request] = []
        """Every request so far, in order."""

    def answer(self, requests: list[Request]) -> list[Answer]:
        """One line of the script for each request."""
        return [self.line(request) for request in requests]

    def ask(self, requests: list[Request], title: str, arrived: Came | None = None) -> list[Answer]:
        """The same as a client, without a cache."""
        answers = self.answer(requests)
        for index, answer in enumerate(answers) if arrived is not None else ():
            arrived(index, answer)  # type: ignore[misc]  # it is there
        return answers

    def offers(self, capability: Capability) -> bool:
        """What the constructor was given."""
        return capability in self.capabilities

    def line(self, request: Request) -> Answer:
        """The next line, made an answer."""
        self.asked.append(request)
        line = next(self.script)
        said = line(request) if callable(line) else line
        if isinstance(said, Reply | ProviderError):
            return said
        prompt = request.prompt or "".join(message.content for message in request.messages)
        return Reply(said, usage=Usage(len(prompt.split()), 0, len(said.split())))
