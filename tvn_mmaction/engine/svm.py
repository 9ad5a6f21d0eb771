"""A linear SVM on the features of a network, as C3D was published with (arXiv 1412.0767, section 4)."""

import io
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.dataset import BaseDataset

from ..datasets.features import FeatureRecord, check_features, read_features
from ..datasets.steady import name_of_clip
from ..errors import UserError
from ..evaluation import Result, Scores, accuracies, confusion_matrix, plot_confusion_matrix
from ..evaluation.fusion import check_scikit_learn, margins_as_scores
from ..files import only_here, sha256_of, write_atomically
from .clips import build_without_videos
from .record import config_digest, environment, protocol

CHECKPOINT = 'svm.npz'
COSTS = 10.0 ** np.arange(-2, 4)  # C of scikit-learn: what an error costs
FOLDS = 5  # of whole groups, in which each C is tried


def train_svm(config: Config, folder: Path) -> tuple[Result, float]:
    """Train a linear SVM on the features of a config's train clips, test it, and write result, scores and weights.

    The features of a clip are averaged over time and brought to length 1. C is the one of `COSTS` that is best where
    whole groups of the train clips are left out; the test is looked at once.

    Args:
        config: As `read_config` returns it: that of the network which made the features.
        folder: That of the features.

    Returns:
        The result, and C.

    Raises:
        UserError: The features are missing or of another network, or the train clips are of one group or class.
    """
    check_scikit_learn()
    from sklearn.model_selection import GridSearchCV, GroupKFold
    from sklearn.svm import LinearSVC

    name, work_dir = Path(config.filename).stem, Path(config.work_dir)
    record = check_features(folder, network=name)
    train, test = (build_without_videos(config, f'{side}_dataloader') for side in ('train', 'test'))
    inputs, labels, groups = _clips(train, folder)
    test_inputs, test_labels, _ = _clips(test, folder)
    folds = min(FOLDS, len(set(groups)))
    for what, count in (('group', folds), ('class', len(set(labels)))):
        if count < 2:
            raise UserError(f'all {len(train)} train clips are of one {what}: an SVM needs two; use more clips')

    started = time.perf_counter()
    # Its solver draws the order of the clips.
    search = GridSearchCV(LinearSVC(random_state=0), {'C': COSTS}, cv=GroupKFold(folds))
    svm = search.fit(inputs, labels, groups=groups).best_estimator_
    train_seconds, started = time.perf_counter() - started, time.perf_counter()
    classes = list(test.metainfo['classes'])
    scores = np.zeros((len(test_inputs), len(classes)), np.float32)  # as they are kept
    scores[:, svm.classes_] = margins_as_scores(svm.decision_function(test_inputs))
    with only_here(work_dir):
        weights = _weights(svm, record)
        write_atomically(work_dir / CHECKPOINT, weights)
        result = Result(
            name=f'{name}_svm',
            options=config.to_dict().get('options', {}),
            config_sha256=config_digest(config),
            checkpoint=CHECKPOINT,
            checkpoint_sha256=sha256_of(work_dir / CHECKPOINT),
            protocol=replace(
                protocol(config, record.trained, train, test, len(classes)),
                test_pipeline=record.test_pipeline,
                average_clips='prob',
                initial_weights=record.initial_weights,
            ),
            metrics=accuracies(scores, test_labels),
            costs={
                'parameters': record.parameters + svm.coef_.size + svm.intercept_.size,
                'gmacs_per_video': (record.macs + svm.coef_.size) / 1e9,
                'train_seconds': train_seconds,
                'test_seconds': time.perf_counter() - started,
            },
            environment=environment(config, 'cpu'),
        )
        clips = [name_of_clip(test, index) for index in range(len(test))]
        Scores(clips, classes, test_labels, scores).save(work_dir / 'scores.npz')
        plot_confusion_matrix(confusion_matrix(scores, test_labels), classes, work_dir / 'confusion_matrix.png')
        result.save(work_dir / 'result.json')
    return result, float(search.best_params_['C'])


def _clips(dataset: BaseDataset, folder: Path) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Return of all clips the features `(clips, C)`, of length 1, the labels and the groups."""
    infos: list[dict[str, Any]] = [dataset.get_data_info(index) for index in range(len(dataset))]
    features = np.stack([read_features(folder, info).mean(0) for info in infos])
    features /= np.linalg.norm(features, axis=1, keepdims=True).clip(1e-12)
    return features, np.array([info['label'] for info in infos]), [info['group'] for info in infos]


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
