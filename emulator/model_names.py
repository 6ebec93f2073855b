"""How a user names models in a file: base id, profile id, or a pattern with `*`, `?` and `[...]`."""

import re
from fnmatch import fnmatchcase

from bedrock.catalog import PROFILE_PREFIXES, Catalog, profile_id, split_model_id
from emulator.config_sections import suggestion

_PATTERN_CHARACTERS = re.compile(r"[*?\[]")


def known_model_name(name: str, catalog: Catalog) -> str:
    """The name as `names_model` takes it; ValueError where no model of the catalogue could ever fit it."""
    if _PATTERN_CHARACTERS.search(name):
        ids = (profile_id(base, prefix) for base in catalog.models for prefix in (None, *PROFILE_PREFIXES))
        if not any(fnmatchcase(model_id, name) for model_id in ids):
            raise ValueError(f"no model's id fits the pattern {name!r}")
        return name
    if catalog.find(name) is None:
        raise ValueError(f"unknown model {name!r}{suggestion(name, catalog.models)}")
    parts = split_model_id(name)
    return profile_id(parts.base, parts.prefix)


def names_model(name: str, model_id: str) -> bool:
    """Whether a name means the model behind an id in any accepted form; a base id means it under every profile."""
    parts = split_model_id(model_id)
    return fnmatchcase(parts.base, name) or fnmatchcase(profile_id(parts.base, parts.prefix), name)
