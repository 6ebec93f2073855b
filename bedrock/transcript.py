"""What a model said in one answer. Records never hold it; who wants it hands a transcript to the call."""


class Transcript:
    """Collects the text of one answer as a transport reads it: prompts and answers may be confidential."""

    __slots__ = ("_reasoning", "_text")

    def __init__(self) -> None:
        self._text: list[str] = []
        self._reasoning: list[str] = []

    def add_text(self, text: str) -> None:
        """The next piece of the answer."""
        self._text.append(text)

    def add_reasoning(self, text: str) -> None:
        """The next piece of thought."""
        self._reasoning.append(text)

    @property
    def text(self) -> str:
        """The answer, as far as it has come."""
        return "".join(self._text)

    @property
    def reasoning(self) -> str:
        """The thought before it; empty where the model showed none."""
        return "".join(self._reasoning)
