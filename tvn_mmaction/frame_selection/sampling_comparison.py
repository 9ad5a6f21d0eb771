"""Comparison of samplings: one recognizer, tested on frames that were sampled in different ways."""

import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict

from ..apis.train_test import test
from ..checks.artifacts import check_artifacts
from ..checks.checkpoint_match import check_input
from ..checks.run_plan import RunPlan
from ..config.dependencies import describe_selection
from ..config.loaders import dataset_of
from ..config.loading import config_name, read_config
from ..datasets.transforms.pipeline_inspection import input_size, sampled_frames
from ..datasets.transforms.selected_frames import Selection
from ..deploy.inference_network import read_checkpoint
from ..evaluation.costs import macs_per_video
from ..evaluation.provenance import config_digest, environment
from ..evaluation.result import Result
from ..utils.console import progress_bar
from ..utils.errors import UserError
from ..utils.io import sha256_of
from ..utils.output_paths import check_overwrites
from .sampling_record import SAMPLINGS, Sampled, SamplingComparison
from .scoring import select_frames

FIRST = 80  # frames that first80 samples from


def compare_samplings(
    file: str,
    checkpoints: Mapping[int, Path],
    selection: Path,
    out: Path,
    work_dir: str | None = None,
    data_root: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> SamplingComparison:
    """Test recognizers with every sampling, and write the record.

    Tests that an earlier, possibly interrupted call has finished are not repeated. The random frames and those of the
    oracle are selected here, from as many candidates as the selector has.

    Args:
        file: Config of the recognizer.
        checkpoints: Its weights, by the number of frames of their training.
        selection: Written by `tools/select_frames.py` with the method smart.
        out: Path of the record.
        work_dir: Folder for selections and results of single tests; by default that of the config.
        data_root: Folder of the manifest; by default the config's own.
        options: Values that replace the config's.

    Raises:
        UserError: A file is missing or invalid, the recognizer does not take single frames or tests another subset than
            the test split, the recognizer or the selector was not trained on the clips that the config trains on, or
            `out` is another record.
    """
    smart = Selection.load(selection)
    if smart.method != 'smart':
        raise UserError(f'{selection} was selected by {smart.method}. Name one of the method smart.')
    configs = {}
    for frames, checkpoint in sorted(checkpoints.items()):
        if not checkpoint.is_file():
            raise UserError(f'no checkpoint at {checkpoint}. Train {file} with --cfg-options clip.frames={frames}.')
        if frames > smart.candidates:
            raise UserError(
                f'{frames}={checkpoint}: {selection} has only {smart.candidates} candidates per clip. Use fewer '
                'frames, or create it again with more.'
            )
        config = read_config(file, work_dir, data_root, {**(options or {}), 'clip.frames': frames})
        configs[frames] = _sampling_by(config, dict(type='SampleFrames', clip_len=1, num_clips=frames, test_mode=True))
        _check_clips(configs[frames], checkpoint, selection, smart)
    same = {'name': config_name(file), 'options': dict(options or {}), 'selector_sha256': smart.checkpoint_sha256}
    check_overwrites(out, same, '--out')

    tests, total = [], len(configs) * len(SAMPLINGS)
    try:
        with progress_bar() as progress:
            task = progress.add_task('samplings', total=total, status='')
            for frames, config in configs.items():
                macs = macs_per_video(config)
                for sampling, changed in _samplings(config, frames, checkpoints[frames], selection, smart.candidates):
                    progress.update(task, status=f'{sampling}, {frames} frames')
                    result = _test_once(changed, checkpoints[frames])
                    tests.append(_sampled(result, sampling, frames, macs, smart.macs if sampling == 'smart' else 0))
                    progress.advance(task)
    except KeyboardInterrupt as interruption:
        raise type(interruption)(
            f'interrupted; {len(tests)} of {total} tests are finished, in {config.work_dir}. '
            'Repeat the command to continue.'
        ) from None
    protocol = result.protocol
    comparison = SamplingComparison(
        name=result.name,
        options=dict(options or {}),
        data=protocol.data,
        split=f'{protocol.split}, fold {protocol.split_fold}',
        train_clips=protocol.train_clips,
        test_clips=protocol.test_clips,
        frame_size=input_size(protocol.test_pipeline, protocol.views)[1:],
        candidates=smart.candidates,
        selector=smart.config,
        selector_sha256=smart.checkpoint_sha256,
        environment=environment(config),
        tests=tests,
    )
    comparison.save(out)
    return comparison


def _sampled(result: Result, sampling: str, frames: int, macs: int, selector_macs: int) -> Sampled:
    pipeline = result.protocol.train_pipeline
    return Sampled(
        sampling=sampling,
        frames=frames,
        top1=result.metrics['top1'],
        macs=macs,
        selector_macs=selector_macs,
        checkpoint_sha256=result.checkpoint_sha256,
        trained_on=_sampling_of(pipeline)['type'],
        trained_frames=sampled_frames(pipeline),
    )


def _check_clips(config: Config, checkpoint: Path, selection: Path, smart: Selection) -> None:
    """Check that a config tests clips that neither its network nor the selector has seen, and that the selection has.

    Raises:
        UserError: It does not, or the network was trained on frames of another size.
    """
    if (subset := dataset_of(config, 'test_dataloader').get('subset')) != 'test':
        raise UserError(
            f'test_dataloader.dataset.subset is {subset!r}, but samplings are compared on the test clips. Set it to '
            "'test'."
        )
    trained_on = RunPlan(config).digest('train_dataloader')
    meta = read_checkpoint(checkpoint).get('meta', {})
    check_input(config, checkpoint, meta, frames=False)
    for name, digest in (
        (checkpoint, meta.get('training', {}).get('train_list_sha256')),
        (f'the selector of {selection}', smart.train_list_sha256),
    ):
        if digest is None or digest != trained_on:
            raise UserError(
                f'{name} is not known to be trained on the clips that {config.filename} trains on, and may have seen '
                'test clips. Train both with the same split and subset, and repeat these in --cfg-options.'
            )
    check_artifacts(RunPlan(_selecting(config, selection)), ('test_dataloader',))


def _samplings(
    config: Config, frames: int, checkpoint: Path, selection: Path, candidates: int
) -> Iterator[tuple[str, Config]]:
    """Yield the name of each sampling and a config that tests with it; selects frames at random and by the oracle."""
    yield 'uniform', config
    yield 'segments', _sampling_by(config, dict(type='SampleFrames', clip_len=1, num_clips=frames))
    first = dict(type='SampleFirstFrames', clip_len=frames, frame_interval=max(FIRST // frames, 1))
    yield 'first80', _sampling_by(config, first)
    for method in ('random', 'smart', 'oracle'):
        file = selection
        if method != 'smart':
            weights = checkpoint if method == 'oracle' else None
            key = sha256_of(json.dumps([candidates, weights and sha256_of(weights), config_digest(config)]))[:12]
            file = Path(config.work_dir, f'{method}_{key}.json')
            select_frames(copy.deepcopy(config), weights, method, candidates, file, ('test',))
        yield method, _selecting(config, file)


def _selecting(config: Config, selection: Path) -> Config:
    """Return a config whose test takes the best of its number of frames from a selection."""
    frames = _sampling_of(dataset_of(config, 'test_dataloader').pipeline).num_clips
    return _sampling_by(config, dict(type='SelectedFrames', clip_len=1, num_clips=frames, selection=str(selection)))


def _sampling_by(config: Config, step: dict[str, Any]) -> Config:
    """Return a config whose test samples frames with another step."""
    changed = copy.deepcopy(config)
    pipeline = dataset_of(changed, 'test_dataloader').pipeline
    current = _sampling_of(pipeline)
    if current.get('clip_len') != 1 and current.get('type') != 'SampleFirstFrames':
        raise UserError(
            f'{config.filename} samples with {current.get("type")} and clip_len={current.get("clip_len")} instead of '
            'single frames. Name a recognizer of single frames, such as configs/baselines/tsn_r18_ucf50.py.'
        )
    place = pipeline.index(current)
    pipeline[place] = ConfigDict(step)
    if pipeline[place].type == 'SelectedFrames':
        describe_selection(pipeline[place])
    return changed


def _sampling_of(pipeline: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    return next((step for step in pipeline if 'clip_len' in step), {'type': 'unknown'})


def _test_once(config: Config, checkpoint: Path) -> Result:
    """Test, or read the result of an earlier test of the same clips, frames and weights."""
    clips = RunPlan(config).digest('test_dataloader')
    asked = [config.model.to_dict(), config.test_dataloader.to_dict(), sha256_of(checkpoint), clips]
    key = sha256_of(json.dumps(asked, sort_keys=True, default=str))[:12]
    config = copy.deepcopy(config)
    config.work_dir = str(Path(config.work_dir, f'test_{key}'))
    config.experiment_name = key  # MMEngine's default names are the same within a second
    found = Path(config.work_dir, 'result.json')
    return Result.load(found) if found.is_file() else test(config, checkpoint)
