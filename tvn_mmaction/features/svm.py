"""A linear SVM on the features of a network, as C3D was published with (arXiv 1412.0767, sections 3.3 and 4).

There the features are those of the layer fc6, averaged over all clips of 16 frames of a video, and then of length 1;
here they are those of any layer, averaged over the clips that the config's test samples.
"""

import io
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.dataset import BaseDataset

from ..checks.artifacts import check_has_clips
from ..config.dataset_building import build_dataset, build_without_videos
from ..config.loading import config_name, dataset_of
from ..datasets.fault_tolerant_loader import name_of_clip
from ..datasets.transforms.load_features import FeatureRecord, check_features, read_features
from ..evaluation.costs import flow_costs
from ..evaluation.metrics import accuracies, confusion_matrix
from ..evaluation.plots import plot_confusion_matrix
from ..evaluation.provenance import clips_of, config_digest, environment, list_digest, protocol
from ..evaluation.result import Result, Scores
from ..experiments.fusion.fusion_methods import check_scikit_learn, margins_as_scores
from ..utils.errors import UserError
from ..utils.io import folder_lock, sha256_of, write_atomically
from ..utils.output_paths import check_takes_place

CHECKPOINT = 'svm.npz'
COSTS = (0.01, 0.1, 1.0, 10.0, 100.0, 1000.0)  # C of scikit-learn: what an error costs
DEFAULT_COST = 1.0  # that of scikit-learn
VALIDATION, DEFAULT = 'validation', 'default'  # where C is from


def train_svm(config: Config, folder: Path) -> Result:
    """Train a linear SVM on the features of a config's train clips, test it, and write result, scores and weights.

    The features of a clip are averaged over time and brought to length 1. Where the config trains on the subset 'fit',
    and these are the clips that the network was trained on, C is the one of `COSTS` with which most clips of the
    validation are right, of several the smallest. Otherwise the network has seen all clips by which C could be chosen,
    or nobody knows: then it is `DEFAULT_COST`. Either way the SVM learns from the train clips of the config alone, so
    that the validation stays one for a fusion, and the test is looked at once.

    Args:
        config: As `read_config` returns it: that of the network which made the features.
        folder: That of the features.

    Returns:
        The result, whose options are those of the network's training, `layer`, `C` and `C_from`: `VALIDATION` or
        `DEFAULT`.

    Raises:
        UserError: The features are missing or of another network, the train clips are of one class, or the work
            directory has another result.
    """
    check_scikit_learn()
    name, work_dir = config_name(config.filename), Path(config.work_dir)
    record = check_features(folder, network=name)
    train, test = (build_without_videos(config, f'{side}_dataloader') for side in ('train', 'test'))
    for dataset, loader in ((train, 'train_dataloader'), (test, 'test_dataloader')):
        check_has_clips({'type': 'LoadFeatures', 'folder': folder}, dataset, loader)
    inputs, labels = _clips(train, folder)
    test_inputs, test_labels = _clips(test, folder)
    if len(set(labels)) < 2:
        raise UserError(f'all {len(train)} train clips are of one class: an SVM needs two; use more clips')
    may_choose = dataset_of(config, 'train_dataloader').get('subset') == 'fit' and (
        record.train_list_sha256 == list_digest(clips_of(train))
    )

    classes = list(test.metainfo['classes'])
    stated = replace(
        protocol(config, record.trained, train, test, len(classes)),
        test_pipeline=record.test_pipeline,
        average_clips='prob',
        initial_weights=record.initial_weights,
    )
    made = {
        'name': f'{name}_svm',
        'options': {**record.trained['training'].get('options', {}), 'layer': record.layer},
        'config_sha256': config_digest(config),
        'protocol': asdict(stated),
    }
    with folder_lock(work_dir):
        check_takes_place(work_dir / 'result.json', made, '--work-dir', apart=('C', 'C_from'))
        started = time.perf_counter()
        if may_choose:
            held_out = build_dataset(config, 'train_dataloader', subset='validation', ann_file='', pipeline=[])
            svm = _best(inputs, labels, *_clips(held_out, folder))
        else:
            svm = _fitted(inputs, labels, DEFAULT_COST)
        train_seconds, started = time.perf_counter() - started, time.perf_counter()
        scores = np.zeros((len(test_inputs), len(classes)), np.float32)  # as they are kept
        scores[:, svm.classes_] = margins_as_scores(svm.decision_function(test_inputs))
        write_atomically(work_dir / CHECKPOINT, _weights(svm, record))
        chosen = {'C': svm.C, 'C_from': VALIDATION if may_choose else DEFAULT}
        result = Result(
            name=made['name'],
            options=made['options'] | chosen,
            config_sha256=made['config_sha256'],
            checkpoint=CHECKPOINT,
            checkpoint_sha256=sha256_of(work_dir / CHECKPOINT),
            protocol=stated,
            metrics=accuracies(scores, test_labels),
            costs={
                'parameters': record.parameters + svm.coef_.size + svm.intercept_.size,
                'gmacs_per_video': (record.macs + svm.coef_.size) / 1e9,
                'train_seconds': train_seconds,
                'test_seconds': time.perf_counter() - started,
                **flow_costs(test, record.test_pipeline),
            },
            environment=environment(config, 'cpu'),
        )
        clips = [name_of_clip(test, index) for index in range(len(test))]
        Scores(clips, classes, test_labels, scores).save(work_dir / 'scores.npz')
        plot_confusion_matrix(confusion_matrix(scores, test_labels), classes, work_dir / 'confusion_matrix.png')
        result.save(work_dir / 'result.json')
    return result


def _fitted(inputs: np.ndarray, labels: np.ndarray, cost: float) -> Any:
    from sklearn.svm import LinearSVC

    # Its solver draws the order of the clips; with large C it takes more than scikit-learn's 1,000 rounds.
    return LinearSVC(C=cost, random_state=0, max_iter=100_000).fit(inputs, labels)


def _best(inputs: np.ndarray, labels: np.ndarray, held_out: np.ndarray, held_out_labels: np.ndarray) -> Any:
    """Return the SVM that is right about most clips of a validation, of several that of the smallest C."""
    return max((_fitted(inputs, labels, cost) for cost in COSTS), key=lambda svm: svm.score(held_out, held_out_labels))


def _clips(dataset: BaseDataset, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return of all clips the features `(clips, C)`, of length 1, and the labels."""
    infos: list[dict[str, Any]] = [dataset.get_data_info(index) for index in range(len(dataset))]
    features = np.stack([read_features(folder, info).mean(0) for info in infos])
    features /= np.linalg.norm(features, axis=1, keepdims=True).clip(1e-12)
    return features, np.array([info['label'] for info in infos])


def _weights(svm: Any, record: FeatureRecord) -> bytes:
    """Return the weights as an array file, with what made the features that they are for."""
    buffer = io.BytesIO()
    np.savez(
        buffer,
        weights=svm.coef_,
        biases=svm.intercept_,
        labels=svm.classes_,
        features=[record.checkpoint_sha256, record.layer],
    )
    return buffer.getvalue()
