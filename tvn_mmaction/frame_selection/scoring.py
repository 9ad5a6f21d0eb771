"""Scores of the frames of clips: from a trained selector, at random, or from an oracle that uses the labels."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmaction.registry import MODELS
from mmengine.config import Config
from mmengine.dataset import BaseDataset

from ..checks.checkpoint_match import check_input, match_classes
from ..checks.run_plan import RunPlan
from ..config.loaders import build_dataset, dataset_of
from ..config.loading import config_name
from ..datasets.fault_tolerant_loader import name_of_clip
from ..datasets.transforms.selected_frames import Selection
from ..datasets.transforms.standalone_pipeline import FramePipeline
from ..deploy.inference_network import InferenceNetwork, load_network
from ..evaluation.costs import macs_per_video, network_costs
from ..evaluation.provenance import config_digest
from ..models.heads.frame_selector_head import FrameSelectorHead
from ..utils.checkpoints import checkpoint_file, meta_of
from ..utils.console import progress_bar
from ..utils.errors import UserError, first_line

METHODS = ('smart', 'random', 'oracle')
SAVED_EVERY_S = 5.0

Scorer = Callable[
    [dict[str, Any]], Sequence[float]
]  # from a clip with `imgs`, `label` and `sha256` to the scores of its frames


def select_frames(
    config: Config,
    checkpoint: Path | None,
    method: str,
    candidates: int,
    out: Path,
    subsets: Sequence[str] = ('train', 'test'),
    seed: int = 0,
) -> Selection:
    """Score the candidate frames of every clip, and write them into a file.

    If the file exists, only the clips that it lacks are scored.

    Args:
        config: Config of the network and of the clips, returned by `read_config`.
        checkpoint: The network's weights; None for `'random'`.
        method: `'smart'` uses the scores of a `FrameSelectorHead`, `'random'` random numbers, and `'oracle'` the
            probability of the true class that a recognizer predicts for a clip of this frame alone.
        candidates: Per clip; the middle frames of so many equal parts.
        out: The file.
        subsets: Of the clips.
        seed: Of random scores.

    Raises:
        UserError: The network cannot be loaded or is not a selector, a clip cannot be read, or the file contains
            another selection.
    """
    if method == 'smart':
        _check_selector(config)
    if method == 'random':
        network, scorer, trained = None, _random(candidates, seed), {}
    else:
        if method == 'oracle':
            match_classes(RunPlan(config), checkpoint, meta_of(checkpoint_file(checkpoint)))
        network, metadata = load_network(checkpoint, config)
        check_input(config, checkpoint, metadata.provenance, frames=False)
        network.to('cuda' if torch.cuda.is_available() else 'cpu')
        scorer = (_smart if method == 'smart' else _oracle)(network, FramePipeline(metadata.pipeline))
        trained = metadata.provenance
    selection = Selection(
        method=method,
        candidates=candidates,
        looks_at_labels=method == 'oracle',
        config=config_name(config.filename),
        config_sha256=config_digest(config),
        checkpoint_sha256=trained.get('checkpoint_sha256'),
        train_list_sha256=trained.get('training', {}).get('train_list_sha256'),
        initial_weights=trained.get('training', {}).get('initial_weights') or trained.get('checkpoint', 'scratch'),
        seed=seed if method == 'random' else None,
        parameters=network_costs(config).parameters if method == 'smart' else 0,
        macs=macs_per_video(config) if method == 'smart' else 0,
        clips={},
    )
    if out.is_file():
        existing = Selection.load(out)
        if replace(existing, clips={}) != selection:
            raise UserError(
                f'{out} is the selection of another network, method or config. Name another --out, or remove it.'
            )
        selection = existing
    pipeline = _reading(config, candidates, decode=network is not None)
    datasets = [build_dataset(config, 'test_dataloader', subset=subset, pipeline=pipeline) for subset in subsets]
    _score(datasets, scorer, selection, out)
    return selection


def _reading(config: Config, candidates: int, decode: bool) -> list[dict]:
    """Return the steps from a clip to its candidates, with the decoder of the config's test."""
    steps = dataset_of(config, 'test_dataloader').pipeline
    (opening,) = (step for step in steps if step.type.endswith('Init'))
    (decoding,) = (step for step in steps if step.type.endswith('Decode'))
    sampling = dict(type='SampleFrames', clip_len=1, num_clips=candidates, test_mode=True)
    return [opening, sampling, *([decoding] if decode else [])]


def _score(datasets: Iterable[BaseDataset], scorer: Scorer, selection: Selection, out: Path) -> None:
    """Score the clips that a selection lacks, and save it every few seconds and at the end, also after an error."""
    clips = {}  # by content: copies share their frames
    for dataset in datasets:
        for index in range(len(dataset)):
            clips[dataset.get_data_info(index).get('sha256')] = dataset, index
    if not all(clips):
        raise UserError('a selection refers to clips by their SHA-256, which only a UCF50Dataset provides. Use one.')
    missing = {key: place for key, place in clips.items() if key not in selection.clips}
    saved = time.monotonic()
    try:
        with progress_bar() as progress:
            task = progress.add_task('selecting frames', total=len(clips), status='')
            progress.advance(task, len(clips) - len(missing))
            for key, (dataset, index) in missing.items():
                clip = _read(dataset, index)
                scores = [float(f'{score:.6g}') for score in scorer(clip)]
                selection.clips[key] = {'frames': clip['frame_inds'].tolist(), 'scores': scores}
                progress.advance(task)
                if time.monotonic() - saved > SAVED_EVERY_S:
                    selection.save(out)
                    saved = time.monotonic()
    except KeyboardInterrupt as interruption:
        raise type(interruption)(
            f'interrupted; {len(selection.clips)} clips are in {out}. Repeat the command to continue.'
        ) from None
    finally:
        selection.save(out)


def _read(dataset: BaseDataset, index: int) -> dict[str, Any]:
    try:
        return dataset[index]
    except UserError:
        raise
    except Exception as error:  # each decoder raises its own errors
        raise UserError(
            f'{name_of_clip(dataset, index)} cannot be read ({type(error).__name__}: {first_line(error)}). Repair or '
            'remove it, run tools/build_ucf50.py again, and repeat the command to continue.'
        ) from None


def _check_selector(config: Config) -> None:
    head = (config.model.get('cls_head') or {}).get('type', '')
    if not issubclass(MODELS.get(head) or object, FrameSelectorHead):
        raise UserError(
            f'{config.filename} has a {head} instead of a FrameSelectorHead and cannot score frames. Name a selector, '
            'such as configs/frame_selection/frame_selector_ucf50.py.'
        )


def _smart(network: InferenceNetwork, pipeline: FramePipeline) -> Scorer:
    head = network.recognizer.cls_head

    @torch.no_grad()
    def score(clip: dict[str, Any]) -> Sequence[float]:
        inputs = pipeline.of_sampled(clip['imgs'])[None].to(_device(network))
        features, arguments = network.recognizer.extract_feat(network.normalisation(inputs.float()), test_mode=True)
        return head.frame_scores(features, arguments['num_segs'])[0].tolist()

    return score


def _oracle(network: InferenceNetwork, pipeline: FramePipeline) -> Scorer:
    frames = len(pipeline.frame_numbers(count=1))

    @torch.no_grad()
    def score(clip: dict[str, Any]) -> Sequence[float]:
        still = (pipeline.of_sampled([image] * frames)[None].to(_device(network)) for image in clip['imgs'])
        return [network(inputs).softmax(1)[0, clip['label']].item() for inputs in still]

    return score


def _random(candidates: int, seed: int) -> Scorer:
    return lambda clip: np.random.default_rng([seed, int(clip['sha256'], 16)]).random(candidates).tolist()


def _device(network: InferenceNetwork) -> torch.device:
    return next(network.parameters()).device
