"""Variable `views`: clips times crops of a video in a test, whose scores are averaged."""

from typing import Any

from mmengine.config import Config

from ..utils.errors import UserError
from .loaders import datasets

ONE_VIEW = {'clips': 1, 'crops': 1}


def use_views(config: Config, before: Config) -> None:
    """Let the test pipeline of a config follow its variable `views`; training and validation stay as they are.

    Clips of one frame of each segment span the whole video each, at other places of the segments (`UniformSample`);
    those of neighbouring frames are spread over the video. Three crops are the left, middle and right of a frame that
    keeps its ratio, where one view is the whole frame, squeezed into a square.
    """
    if not config.get('views'):
        return
    views = config.views = {**ONE_VIEW, **config.views}
    own = {**ONE_VIEW, **(before.get('views') or {})}
    for pipeline in (dataset.pipeline for dataset in datasets(config, ('test_dataloader',)) if 'pipeline' in dataset):
        if (views['clips'], own['clips']) != (1, 1):
            _use_clips(config, pipeline, views['clips'])
        cropped = any(step['type'] == 'ThreeCrop' for step in pipeline)
        if views['crops'] == 1 and cropped:
            raise UserError(f'views.crops is 1, and {config.filename} has three crops already. Give 3.')
        if views['crops'] == 3 and not cropped:
            _use_three_crops(config, pipeline)


def _use_clips(config: Config, pipeline: list[dict[str, Any]], clips: int) -> None:
    """Let the one sampling of a pipeline take that many clips."""
    samplings = [step for step in pipeline if 'clip_len' in step]
    sampling = samplings[0] if len(samplings) == 1 else {'type': 'no sampling of frames'}
    of_segments = sampling.get('clip_len') == 1 and sampling.get('num_clips', 1) > 1
    if sampling['type'] == 'SampleFrames' and not sampling.get('twice_sample') and of_segments:
        frames = sampling['num_clips']
        sampling.clear()
        sampling.update(type='UniformSample', clip_len=frames, num_clips=clips, test_mode=True)
        return
    stock = sampling['type'] == 'SampleFrames' and sampling.get('num_clips', 1) in (1, clips)
    if stock or sampling['type'] == 'UniformSample':
        sampling['num_clips'] = clips
        return
    sizes = f' of {sampling.get("num_clips", 1)} × {sampling["clip_len"]} frames' if 'clip_len' in sampling else ''
    raise UserError(
        f'views.clips is {clips}, and the test of {config.filename} has {sampling["type"]}{sizes}, of which there are '
        'no other clips. Leave views.clips out, or use SampleFrames with one frame of each segment or with one clip.'
    )


def _use_three_crops(config: Config, pipeline: list[dict[str, Any]]) -> None:
    places = [place for place, step in enumerate(pipeline) if 'Resize' in step['type'] or 'Crop' in step['type']]
    resize = pipeline[places[0]] if places else {}
    scale = resize.get('scale')
    if len(places) != 1 or not isinstance(scale, list | tuple) or scale[0] != scale[1] or scale[0] < 1:
        raise UserError(
            f'views.crops is 3, and the test of {config.filename} does not resize its frames to a square and no more. '
            'Leave views.crops out.'
        )
    size = scale[0]
    resize.update(scale=(-1, size), keep_ratio=True)
    pipeline.insert(places[0] + 1, type(resize)(type='ThreeCrop', crop_size=size))
