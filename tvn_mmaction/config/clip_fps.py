"""Part `fps` of the variable `clip`: all pipelines sample in seconds instead of frames."""

from mmengine.config import Config, ConfigDict

from ..datasets.transforms.frame_rate import MEASURING
from ..datasets.transforms.frame_store import reads_flow
from ..utils.errors import UserError
from .loaders import all_datasets

STEPS = ('ToFrameRate', 'FromFrameRate')


def use_frame_rate(config: Config) -> None:
    """Put `ToFrameRate` and `FromFrameRate` around the sampling of all pipelines; without `clip.fps`, remove them.

    Raises:
        UserError: A pipeline samples no frames of videos whose rate is known, or reads optical flow.
    """
    fps = (config.get('clip') or {}).get('fps')
    for dataset in all_datasets(config):
        steps = dataset.get('pipeline')
        if not steps or (fps is None and not any(step['type'] in STEPS for step in steps)):
            continue
        steps = [step for step in steps if step['type'] not in STEPS]
        if fps is not None:
            _check_pipeline(config, fps, steps)
            place = next(number for number, step in enumerate(steps) if _samples(step))
            steps[place : place + 1] = [
                ConfigDict(type='ToFrameRate', fps=fps),
                steps[place],
                ConfigDict(type='FromFrameRate'),
            ]
        dataset.pipeline = steps


def _samples(step: Config) -> bool:
    return 'clip_len' in step or step['type'] == 'SampleFirstFrames'


def _check_pipeline(config: Config, fps: float, steps: list[Config]) -> None:
    readers = [step['type'] for step in steps if step['type'].endswith('Init')]
    reason = ''
    if not any(map(_samples, steps)) or any(step['type'] == 'SelectedFrames' for step in steps):
        reason = 'a pipeline samples no frames by their distance'
    elif reads_flow(steps):
        reason = 'optical flow is that of neighbouring frames at any rate'
    elif not set(readers) & set(MEASURING):
        reason = f'{", ".join(readers) or "its reader"} does not measure the frame rate, as {", ".join(MEASURING)} do'
    if reason:
        raise UserError(f'clip.fps is {fps}, and in {config.filename} {reason}. Leave clip.fps out.')
