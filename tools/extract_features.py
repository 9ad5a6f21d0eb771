r"""Store features of every clip from a layer of a trained network, and train a linear SVM on them.

    python tools/extract_features.py configs/baselines/c3d_ucf50.py work_dirs/c3d_ucf50/epoch_40.pth
    python tools/extract_features.py configs/tvn1_ucf50.py best.pth --layer backbone.blocks.2 --out-dir features

The clips of the train and test side of the config's split are sampled as in its test; each becomes one array (T, C).
Existing features are kept, so that an interrupted command can be repeated. Then train a recurrent network on them
(configs/recurrent/), or add --svm, which also takes the folder of the features instead of the checkpoint:

    python tools/train.py configs/baselines/c3d_ucf50.py --cfg-options train_dataloader.dataset.subset=fit
    python tools/extract_features.py configs/baselines/c3d_ucf50.py work_dirs/c3d_ucf50/epoch_40.pth \
        --layer backbone.dropout --svm --cfg-options train_dataloader.dataset.subset=fit

The SVM is trained on the train clips of the config. If the network was trained on the subset 'fit', as here, the
penalty of an error, C, is chosen on the validation split; otherwise it is 1, the default of scikit-learn. C3D was
published with the layer fc6, which after its ReLU is the output of backbone.dropout; without --layer it is fc7.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from command_line import (
    ArgumentParser,
    accept_former_option,
    add_cfg_options,
    config_file,
    next_command,
    parse_options,
    run,
)

if TYPE_CHECKING:
    from mmengine.config import Config

CHOSEN = 'chosen on the validation split, which the network was not trained on'
NOT_CHOSEN = (
    'the default. To choose it, train the network on the subset fit and repeat this command, both with --cfg-options '
    'train_dataloader.dataset.subset=fit'
)


def parse_args() -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = ArgumentParser(description='Store features of every clip from a layer of a trained network.')
    parser.add_argument('config', type=config_file, help='of the network')
    parser.add_argument('checkpoint', type=Path, help='its weights; with --svm, also the folder of its features')
    parser.add_argument('--layer', metavar='NAME', help="such as backbone.layer3 (the classifier's input)")
    out_dir = parser.add_argument('--out-dir', type=Path, metavar='FOLDER', help='(features, next to the checkpoint)')
    for former in ('-o', '--out'):
        accept_former_option(parser, former, out_dir)
    parser.add_argument('--svm', action='store_true', help='train a linear SVM on the features, and test it')
    parser.add_argument('--work-dir', metavar='FOLDER', help='for the result of the SVM (work_dirs/CONFIG/svm)')
    parser.add_argument('--data-root', help="folder of the manifest (the config's own)")
    add_cfg_options(parser)
    args = parser.parse_args()
    if args.work_dir and not args.svm:
        parser.error(f'--work-dir {args.work_dir} is for the result of an SVM. Add --svm, or use --out-dir.')
    if args.checkpoint.is_dir() and not args.svm:
        parser.error(f'{args.checkpoint} is a folder. Name a checkpoint, or add --svm to use the features in it.')
    args.out_dir = args.out_dir or args.checkpoint.with_name('features')
    return args


def main(args: argparse.Namespace) -> int:
    """Extract features, train the SVM, print the results, and return 1 if clips could not be read."""
    from tvn_mmaction.config.loading import read_config

    config = read_config(args.config, args.work_dir, args.data_root, parse_options(args.cfg_options))
    if not args.checkpoint.is_dir() and not extract(args, config):
        return 1
    if args.svm:
        train(args, config, args.checkpoint if args.checkpoint.is_dir() else args.out_dir)
    return 0


def extract(args: argparse.Namespace, config: Config) -> bool:
    """Extract the features, and return whether all clips could be read."""
    from tvn_mmaction.datasets.transforms.load_features import HEAD_INPUT, RECORD_NAME
    from tvn_mmaction.features.extraction import extract_features
    from tvn_mmaction.utils.output_paths import make_folder

    make_folder(args.out_dir, '--out-dir')
    try:
        record, new, broken = extract_features(config, args.checkpoint, args.out_dir, args.layer or HEAD_INPUT)
    except KeyboardInterrupt as interruption:
        raise type(interruption)('interrupted. Repeat the command to continue.') from None
    print(f'{record.layer} of {record.network}, {record.checkpoint}: {record.steps} steps × {record.channels} channels')
    print(f'clips        {record.clips - len(broken)} of {record.clips}, {new} of them new')
    print(f'in {args.out_dir}: {RECORD_NAME}, one SHA256.npy per clip')
    for name, reason in broken.items():
        print(f'skipped: {name}: {reason}. Run tools/build_ucf50.py again, which leaves it out.', file=sys.stderr)
    if not args.svm:
        print(f'next: {next_command(args, "extract_features", args.config, args.out_dir, "--svm")}')
        read = (
            f'features.folder={args.out_dir}', f'features.network={record.network}', f'features.layer={record.layer}'
        )  # fmt: skip
        recurrent = 'configs/recurrent/lstm_single_frame_r18_ucf50.py'
        print(f'or:   {next_command(args, "train", recurrent, options=read)}')
    return not broken


def train(args: argparse.Namespace, config: Config, features: Path) -> None:
    """Train and test the SVM."""
    from tvn_mmaction.evaluation.report import describe
    from tvn_mmaction.features.svm import VALIDATION, train_svm
    from tvn_mmaction.utils.output_paths import make_folder

    if not args.work_dir:  # not over the result of the network
        config.work_dir = str(Path(config.work_dir, 'svm'))
    make_folder(Path(config.work_dir), '--work-dir')
    result = train_svm(config, features)
    chosen = result.options['C_from'] == VALIDATION
    print(f'C = {result.options["C"]:g}, {CHOSEN if chosen else NOT_CHOSEN}')
    print(describe(result, config.work_dir))
    print(f'next: python tools/compare.py fuse {shlex.quote(config.work_dir)} OTHER_RESULT --out FOLDER')


if __name__ == '__main__':
    run(parse_args, main)
