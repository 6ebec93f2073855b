"""Import this ahead of anything of Locust (a conftest is early enough): tests keep the standard library as it is.

Locust patches sockets, threads and TLS for gevent when it is imported. A process that runs other tests as well has
used them before, and breaks.
"""

import os

os.environ["LOCUST_SKIP_MONKEY_PATCH"] = "1"
try:
    import locust  # noqa: F401 - for the import itself
finally:
    del os.environ["LOCUST_SKIP_MONKEY_PATCH"]  # the Locust processes that tests start are to be patched
