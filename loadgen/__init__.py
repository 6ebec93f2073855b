"""The machinery under Locust: users, arrivals, recording, the end of a test, the generator's own health.

Importing this package alone patches nothing; `loadgen.users` imports Locust first, as it must be.
"""
