"""MangaAssist traffic: seven query types by their production share, in Japanese and English.

locust -f locustfiles/mangaassist.py                                      # web UI
locust -f locustfiles/mangaassist.py --headless -u 10 -t 30s              # ten users, closed loop
locust -f locustfiles/mangaassist.py --headless -u 50 --pattern spike --test-duration 2m   # a spike of users
locust -f locustfiles/mangaassist.py --headless -u 60 -r 60 --rate 12/s   # open loop, up to 60 at once
"""

from locust import task

from loadgen.users import MangaAssistUser


class MangaAssist(MangaAssistUser):
    """A customer of the manga store."""

    @task
    def send_message(self) -> None:
        """Ask what is next in the mix and read the whole answer."""
        self.ask(self.next_message())
