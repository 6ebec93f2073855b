"""MangaAssist conversations: customers who go on from one question to the next, with all that was said before.

locust -f locustfiles/mangaassist_sessions.py                                   # web UI
locust -f locustfiles/mangaassist_sessions.py --headless -u 10 -t 2m            # ten customers, closed loop
locust -f locustfiles/mangaassist_sessions.py --headless --rate 2/s -t 5m       # two new conversations a second
"""

from locust import task

from loadgen.users import MangaAssistSessionUser


class MangaAssistCustomer(MangaAssistSessionUser):
    """A customer of the manga store who talks to the assistant."""

    @task
    def say_next(self) -> None:
        """Say what comes next in the conversation and read the whole answer."""
        self.ask(self.next_message())
