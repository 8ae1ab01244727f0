"""Static files by names that carry their hash, where `collectstatic` has run, and by their plain names where not."""

from whitenoise.storage import CompressedManifestStaticFilesStorage


class Storage(CompressedManifestStaticFilesStorage):
    """Serves pages also before files were collected: WhiteNoise then finds them in the apps."""

    manifest_strict = False

    def stored_name(self, name: str) -> str:
        """Return the name with its hash; the plain one of a file that was not collected."""
        try:
            return str(super().stored_name(name))
        except ValueError:
            return name
