"""What a recorded pipeline gives a network."""

from collections.abc import Sequence

CROPS = {'ThreeCrop': 3, 'TenCrop': 10}


def sampled_frames(pipeline: Sequence[dict] | None) -> int | None:
    """Return the frames that a pipeline takes of a video, None where it does not say."""
    frames = None
    for step in pipeline or ():
        if 'clip_len' in step:
            frames = step['clip_len'] * step.get('num_clips', 1) * (2 if step.get('twice_sample') else 1)
    return frames


def input_size(pipeline: Sequence[dict] | None, views: int) -> tuple[int | None, int | None, int | None]:
    """Return frames, height and width of one view of a test pipeline, None where it does not say."""
    frames, height, width = sampled_frames(pipeline), None, None
    crops = 1
    for step in pipeline or ():
        crops *= CROPS.get(step['type'], 1)
        if size := step.get('crop_size') or (step.get('scale') if step['type'] == 'Resize' else None):
            width, height = (size, size) if isinstance(size, int) else size
    if -1 in (width, height):  # of a scale that keeps the ratio, and no crop after it
        height = width = None
    return frames and frames * crops // views, height, width
