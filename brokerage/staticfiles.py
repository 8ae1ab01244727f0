"""Serve static files by names that contain their hash if `collectstatic` has run, otherwise by their plain names."""

from whitenoise.storage import CompressedManifestStaticFilesStorage


class Storage(CompressedManifestStaticFilesStorage):
    """Works even before files were collected: WhiteNoise then finds them in the apps."""

    manifest_strict = False

    def stored_name(self, name: str) -> str:
        """Return the name with its hash, or the plain name of a file that was not collected."""
        try:
            return str(super().stored_name(name))
        except ValueError:
            return name
