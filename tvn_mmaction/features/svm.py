"""Linear SVM on the features of a network, the published evaluation of C3D (arXiv 1412.0767, sections 3.3 and 4).

C3D averages the features of the layer fc6 over all clips of 16 frames of a video and normalises them to length 1. Here
the features are those of any layer, averaged over the clips that the config's test samples.
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
from ..config.loaders import build_dataset, build_without_videos, dataset_of
from ..config.loading import config_name
from ..datasets.clip_lists import clips_of, list_digest
from ..datasets.transforms.load_features import FeatureRecord, check_features, read_features
from ..evaluation.costs import flow_costs
from ..evaluation.metrics import margins_as_scores
from ..evaluation.provenance import config_digest, environment, protocol
from ..evaluation.result import Result, Scores
from ..utils.errors import UserError, check_scikit_learn
from ..utils.io import folder_lock, sha256_of, write_atomically
from ..utils.output_paths import check_overwrites

CHECKPOINT = 'svm.npz'
PENALTIES = (0.01, 0.1, 1.0, 10.0, 100.0, 1000.0)  # of errors, C of scikit-learn
DEFAULT_PENALTY = 1.0  # of scikit-learn
VALIDATION, DEFAULT = 'validation', 'default'  # origins of C


def train_svm(config: Config, folder: Path) -> Result:
    """Train a linear SVM on the features of a config's train clips, test it, and write result, scores and weights.

    The features of a clip are averaged over time and normalised to length 1. If the config trains on the subset 'fit',
    and the network was trained on these clips, C is the one of `PENALTIES` with the highest validation accuracy, the
    smallest of several. Otherwise the network has or may have seen the validation clips, and C is `DEFAULT_PENALTY`. In
    both cases the SVM is trained on the train clips of the config alone, so that the validation split remains available
    for a fusion, and the test clips are used once.

    Args:
        config: Returned by `read_config`, of the network that the features come from.
        folder: Folder of the features.

    Returns:
        The result. Its options are those of the network's training, `layer`, `C` and `C_from` (`VALIDATION` or
        `DEFAULT`).

    Raises:
        UserError: The features are missing or of another network, the train clips are of one class, or the work
            directory contains another result.
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
        raise UserError(f'all {len(train)} train clips are of one class, but an SVM needs two. Use more clips.')
    may_choose = dataset_of(config, 'train_dataloader').get('subset') == 'fit' and (
        record.train_list_sha256 == list_digest(clips_of(train))
    )

    classes = list(test.metainfo['classes'])
    svm_protocol = replace(
        protocol(config, record.trained, train, test, len(classes)),
        test_pipeline=record.test_pipeline,
        average_clips='prob',
        initial_weights=record.initial_weights,
    )
    identity = {
        'name': f'{name}_svm',
        'options': {**record.trained['training'].get('options', {}), 'layer': record.layer},
        'config_sha256': config_digest(config),
        'protocol': asdict(svm_protocol),
    }
    with folder_lock(work_dir):
        check_overwrites(work_dir / 'result.json', identity, '--work-dir', ignored=('C', 'C_from'))
        started = time.perf_counter()
        if may_choose:
            validation = build_dataset(config, 'train_dataloader', subset='validation', ann_file='', pipeline=[])
            svm = _best(inputs, labels, *_clips(validation, folder))
        else:
            svm = _fitted(inputs, labels, DEFAULT_PENALTY)
        train_seconds, started = time.perf_counter() - started, time.perf_counter()
        scores = Scores.of(test, classes, test_labels, np.zeros((len(test_inputs), len(classes)), np.float32))
        scores.scores[:, svm.classes_] = margins_as_scores(svm.decision_function(test_inputs))
        write_atomically(work_dir / CHECKPOINT, _weights(svm, record))
        chosen = {'C': svm.C, 'C_from': VALIDATION if may_choose else DEFAULT}
        result = Result(
            name=identity['name'],
            options=identity['options'] | chosen,
            config_sha256=identity['config_sha256'],
            checkpoint=CHECKPOINT,
            checkpoint_sha256=sha256_of(work_dir / CHECKPOINT),
            protocol=svm_protocol,
            metrics=scores.metrics,
            costs={
                'parameters': record.parameters + svm.coef_.size + svm.intercept_.size,
                'gmacs_per_video': (record.macs + svm.coef_.size) / 1e9,
                'train_seconds': train_seconds,
                'test_seconds': time.perf_counter() - started,
                **flow_costs(test, record.test_pipeline),
            },
            environment=environment(config, 'cpu'),
        )
        scores.save_with(result, work_dir / 'result.json')
    return result


def _fitted(inputs: np.ndarray, labels: np.ndarray, penalty: float) -> Any:
    from sklearn.svm import LinearSVC

    # The solver shuffles the clips; with a large C it needs more than scikit-learn's default of 1,000 iterations.
    return LinearSVC(C=penalty, random_state=0, max_iter=100_000).fit(inputs, labels)


def _best(inputs: np.ndarray, labels: np.ndarray, validation: np.ndarray, validation_labels: np.ndarray) -> Any:
    """Return the SVM of the highest validation accuracy; of several, the one of the smallest C."""
    svms = [_fitted(inputs, labels, penalty) for penalty in PENALTIES]
    return max(svms, key=lambda svm: svm.score(validation, validation_labels))


def _clips(dataset: BaseDataset, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the features `(clips, C)` of all clips, normalised to length 1, and their labels."""
    infos: list[dict[str, Any]] = [dataset.get_data_info(index) for index in range(len(dataset))]
    features = np.stack([read_features(folder, info).mean(0) for info in infos])
    features /= np.linalg.norm(features, axis=1, keepdims=True).clip(1e-12)
    return features, np.array([info['label'] for info in infos])


def _weights(svm: Any, record: FeatureRecord) -> bytes:
    """Return the weights as an array file, with the checkpoint and layer of the features."""
    buffer = io.BytesIO()
    np.savez(
        buffer,
        weights=svm.coef_,
        biases=svm.intercept_,
        labels=svm.classes_,
        features=[record.checkpoint_sha256, record.layer],
    )
    return buffer.getvalue()
