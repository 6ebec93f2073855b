"""Data files that go by a name, because they ship with the project, or by a path, because they are the user's own."""

from pathlib import Path


def file_names(folder: Path) -> tuple[str, ...]:
    """Names of the files that ship in a folder."""
    return tuple(sorted(path.stem for path in folder.glob("*.yaml")))


def looks_like_file(name_or_path: str | Path, folder: Path) -> bool:
    """Whether a path is meant; a relative one starts at `folder`."""
    path = Path(name_or_path)
    return path.suffix in (".yaml", ".yml") or len(path.parts) > 1 or (folder / path).is_file()


def absolute(name_or_path: str, shipped: Path, folder: Path) -> str:
    """A name of the folder `shipped` as it is; a file's path absolute, starting at `folder`."""
    if name_or_path in file_names(shipped) or not looks_like_file(name_or_path, folder):
        return name_or_path
    return str((folder / name_or_path).resolve())
