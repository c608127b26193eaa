"""Options of the media repository."""

from __future__ import annotations

from synapse_lite.config import _parsers
from synapse_lite.config._options import option, section


@section(title="Media")
class MediaConfig:
    """Uploads, downloads and previews."""

    enable_media_repo: bool = option(
        default=True, doc="Serve media in this process, if its listeners name `media`."
    )
    media_store_path: str = option(
        default="media_store",
        doc="The folder of uploads, remote media and thumbnails.",
        parse=_parsers.path,
    )
    max_upload_size: int = option(
        default=50 * 1024 * 1024,
        doc="The largest upload.",
        parse=_parsers.size,
    )
    url_preview_enabled: bool = option(
        default=False,
        doc="Fetch the pages that users link to and show a preview. Addresses in "
        "`ip_range_blacklist` are never fetched.",
    )
