"""Transforms of MMAction2 pipelines: sampling, decoding, augmentation, motion and stored features."""

from . import (  # noqa: F401 - registers them
    augmentation,
    exact_video,
    frame_rate,
    frame_store,
    load_features,
    motion,
    sampling,
    selected_frames,
    single_image,
)
