"""Properties of a recorded pipeline: frames, input size, selection."""

from collections.abc import Sequence

from .frame_store import reads_flow

CROPS = {'ThreeCrop': 3, 'TenCrop': 10}


def sampled_frames(pipeline: Sequence[dict] | None) -> int | None:
    """Return the number of frames that a pipeline samples from a video, None if unspecified."""
    frames = None
    for step in pipeline or ():
        if 'clip_len' in step:
            frames = step['clip_len'] * step.get('num_clips', 1) * (2 if step.get('twice_sample') else 1)
    return frames


def frames_per_image(pipeline: Sequence[dict]) -> int:
    """Return the sampled frames per input image: two per difference, the flow fields of a stack, else one."""
    if any(step['type'] in ('RGBDifference', 'RGBWithDifference') for step in pipeline):
        return 2
    stacks = reads_flow(pipeline) and any(step.get('input_format') == 'NCHW' for step in pipeline)
    return next((step['clip_len'] for step in pipeline if stacks and 'clip_len' in step), 1)


def selected_by(pipeline: Sequence[dict] | None) -> str | None:
    """Return the method that selected the frames of a pipeline, None without a selection."""
    method = next((step.get('method') for step in pipeline or () if step['type'] == 'SelectedFrames'), None)
    return 'oracle, which looks at the labels' if method == 'oracle' else method


def input_size(pipeline: Sequence[dict] | None, views: int) -> tuple[int | None, int | None, int | None]:
    """Return frames, height and width of one view of a test pipeline, None if unspecified."""
    frames, height, width = sampled_frames(pipeline), None, None
    crops = 1
    for step in pipeline or ():
        crops *= CROPS.get(step['type'], 1)
        if size := step.get('crop_size') or (step.get('scale') if step['type'] == 'Resize' else None):
            width, height = (size, size) if isinstance(size, int) else size
    if -1 in (width, height):  # a scale that keeps the ratio, without a crop
        height = width = None
    return frames and frames // frames_per_image(pipeline) * crops // views, height, width
