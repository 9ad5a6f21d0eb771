"""Published accuracies on UCF50 and UCF101, each under its own protocol: context, not a comparison."""

from typing import NamedTuple

from ...utils.markdown import markdown_table

HMDB = 'HMDB paper, table 2'
SLIDES = 'slides of the experiment'  # reproduced by this package

NOTE = (
    'Context, not a comparison: each accuracy has its own protocol. Most protocols put clips of one source video into '
    'train and test, or use pretraining on other data.'
)
TITLES = ('data', 'protocol', 'initial weights', 'method', 'top-1, %', 'source')


class Published(NamedTuple):
    """Published accuracy of one method."""

    data: str
    protocol: str
    weights: str  # initial weights of the training
    method: str
    top1: str  # in percent, as published
    source: str


LOGO, GROUPS, CLIPS = 'leave one group out', '5 folds of groups', '5 folds of clips'
IN_PAPER, RANDOM, SPLITS = 'see the paper', 'random clips', "UCF101's own splits"
SCRATCH, IMAGENET, FEATURES, SAME_VIDEOS = 'scratch', 'ImageNet', 'hand-made features', 'the same videos, unlabelled'
# fmt: off
PUBLISHED = (
    Published('UCF50', LOGO, FEATURES, 'Reddy and Shah 2012', '76.9', SLIDES),
    Published('UCF50', LOGO, FEATURES, 'Solmaz et al. 2012', '73.7', SLIDES),
    Published('UCF50', LOGO, FEATURES, 'Kliper-Gross et al. 2012', '72.6', SLIDES),
    Published('UCF50', GROUPS, FEATURES, 'Action Bank, Sadanand and Corso 2012', '57.9', SLIDES),
    Published('UCF50', CLIPS, FEATURES, 'Action Bank, Sadanand and Corso 2012', '76.4', SLIDES),
    Published('UCF50', '2/3 train, 1/3 test', FEATURES, 'Todorovic 2012', '81.03', SLIDES),
    Published('UCF50', IN_PAPER, FEATURES, 'scene cues: colour', '41.3', HMDB),
    Published('UCF50', IN_PAPER, FEATURES, 'scene cues: gist', '38.8', HMDB),
    Published('UCF50', IN_PAPER, FEATURES, 'HOG/HOF', '47.9', HMDB),
    Published('UCF50', "one author's list", IMAGENET, 'VFL-Net, 22 M parameters', '81.4', 'arXiv 2507.12426'),
    Published('UCF50', "one author's list", IMAGENET, 'VFL-Net, distilled', '86.6', 'arXiv 2507.12426'),
    Published('UCF50', "one author's list", IMAGENET, 'Video-FocalNet-B, 157 M', '91.1', 'arXiv 2507.12426'),
    Published('UCF50', RANDOM, 'pretrained frames', 'CNN + GRU', '97.2', 'its paper'),
    Published('UCF50', RANDOM, 'pretrained frames', 'DA-CNN + Bi-GRU', '97.5', 'its paper'),
    Published('UCF50', RANDOM, 'pretrained frames', 'LD-BF + LD-DF', '96.7', 'its paper'),
    Published('UCF50', 'tutorials, 50 classes', SCRATCH, 'CNN + LSTM', '47.3', 'tutorial'),
    Published('UCF50', 'tutorials, 50 classes', SCRATCH, 'CNN + RNN', '42.6', 'tutorial'),
    Published('UCF101', SPLITS, SCRATCH, 'spatial CNN', '42.5', SLIDES),
    Published('UCF101', SPLITS, SCRATCH, 'spatial CNN, dropout 0.9', '52.3', SLIDES),
    Published('UCF101', SPLITS, SCRATCH, '3D ConvNet', '51.6', SLIDES),
    Published('UCF101', SPLITS, SCRATCH, 'slow fusion', '41.3', SLIDES),
    Published('UCF101', SPLITS, SCRATCH, 'CNN on optical flow', '81.2', SLIDES),
    Published('UCF101', SPLITS, SCRATCH, 'C3D', 'about 45', 'its paper'),
    Published('UCF101', SPLITS, SAME_VIDEOS, 'TCLR, R3D-18', '82.4', 'its paper'),
    Published('UCF101', SPLITS, SAME_VIDEOS, 'VideoMAE, ViT-B', '91.3', 'its paper'),
)
# fmt: on


def published_table() -> str:
    """Return the note and a Markdown table of all published accuracies."""
    return f'{NOTE}\n\n{markdown_table(TITLES, PUBLISHED)}'
