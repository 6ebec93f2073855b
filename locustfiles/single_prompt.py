"""One model, one service tier, one prompt size: a cell of the permutation suite.

BASE_MODEL_ID=amazon.nova-pro-v1:0 SERVICE_TIER=flex PROMPT_SIZE=small locust -f locustfiles/single_prompt.py
"""

from locust import task

from loadgen.users import SinglePromptUser


class SinglePrompt(SinglePromptUser):
    """A client that sends prompts of one size."""

    @task
    def send_prompt(self) -> None:
        """Send the prompt and read the whole answer."""
        self.ask(self.next_message())
