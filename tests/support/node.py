"""Node.js, where it is there and new enough for the AWS SDK for JavaScript."""

import re
import shutil
import subprocess

#: The SDK's own demand (`engines` of its package); the Makefile asks for the same.
OLDEST_MAJOR = 20


def has_node() -> bool:
    """Whether `node` and `npm` can be used."""
    if not (shutil.which("node") and shutil.which("npm")):
        return False
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False).stdout
    major = re.match(r"v(\d+)", version)
    return major is not None and int(major[1]) >= OLDEST_MAJOR
