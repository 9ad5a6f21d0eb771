"""The clips that a run will read, listed once for all checks before its first step."""

import json

from mmengine.config import Config
from mmengine.dataset import BaseDataset

from ..config.loaders import build_without_videos, dataset_of
from ..datasets.clip_lists import clips_of, list_digest
from ..datasets.manifest import Clip
from ..utils.config_errors import explain_config_errors


class RunPlan:
    """A config and the clips of its loaders, which are built when a check first needs them; no video is read.

    Args:
        config: As `read_config` returns it. Its data sets must not change afterwards.
    """

    def __init__(self, config: Config):
        self.config = config
        self._lists: dict[str, tuple[BaseDataset, list[Clip] | None]] = {}

    def dataset(self, loader: str) -> BaseDataset:
        """Return the data set of a loader, without its pipeline."""
        return self._list_of(loader)[0]

    def clips(self, loader: str) -> list[Clip]:
        """Return the clips of a loader; no clips if the data set lists no files."""
        return self._list_of(loader)[1] or []

    def digest(self, loader: str) -> str | None:
        """Return the SHA-256 of a loader's clips and labels, None if the data set lists no files."""
        return list_digest(self._list_of(loader)[1])

    def _list_of(self, loader: str) -> tuple[BaseDataset, list[Clip] | None]:
        # Validation and test usually have the same data set.
        key = json.dumps({**dataset_of(self.config, loader), 'pipeline': None}, sort_keys=True, default=str)
        if key not in self._lists:
            with explain_config_errors(self.config):
                dataset = build_without_videos(self.config, loader)
                self._lists[key] = dataset, clips_of(dataset)
        return self._lists[key]
