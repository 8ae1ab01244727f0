"""Serve static files by names that contain their hash if `collectstatic` has run, otherwise by their plain names."""

from typing import Any

from whitenoise.storage import CompressedManifestStaticFilesStorage


class Storage(CompressedManifestStaticFilesStorage):
    """Works even before files were collected: WhiteNoise then finds them in the apps."""

    manifest_strict = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._urls: dict[str, str] = {}

    def url(self, name: str, force: bool = False) -> str:
        """Return the URL of a file. A page has up to fifty, most of them of icons, so each is computed only once."""
        if force or name not in self.hashed_files:
            return str(super().url(name, force))
        if name not in self._urls:
            self._urls[name] = str(super().url(name))
        return self._urls[name]

    def stored_name(self, name: str) -> str:
        """Return the name with its hash, or the plain name of a file that was not collected."""
        try:
            return str(super().stored_name(name))
        except ValueError:
            return name
