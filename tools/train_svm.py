r"""Train a linear SVM on the features of a network, and test it.

    python tools/train.py configs/baselines/c3d_ucf50.py --cfg-options train_dataloader.dataset.subset=fit
    python tools/extract_features.py configs/baselines/c3d_ucf50.py work_dirs/c3d_ucf50/epoch_40.pth \
        --layer backbone.dropout
    python tools/train_svm.py configs/baselines/c3d_ucf50.py work_dirs/c3d_ucf50/features \
        --cfg-options train_dataloader.dataset.subset=fit

How much an error costs, C, is chosen on the validation, by the features of a network that was trained on the subset
'fit', as above; otherwise it is 1, the default of scikit-learn. The SVM learns from the same clips as the network.
C3D was published with the layer fc6, which after its ReLU is the output of backbone.dropout; without --layer it is fc7.
"""

import argparse
import shlex
from pathlib import Path

from command_line import add_cfg_options, config_file, parse_options, run

CHOSEN = 'chosen on the validation, which the network has not seen'
NOT_CHOSEN = (
    'the default: to choose it takes a network that was trained on the subset fit, and here too --cfg-options '
    'train_dataloader.dataset.subset=fit'
)


def parse_args() -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argparse.ArgumentParser(description='Train a linear SVM on the features of a network, and test it.')
    parser.add_argument('config', type=config_file, help='that of the network, which names the clips')
    parser.add_argument('features', type=Path, help='the folder that tools/extract_features.py wrote')
    parser.add_argument('--data-root', help="folder of the manifest (the config's own)")
    parser.add_argument('--work-dir', help='folder for the result (work_dirs/CONFIG/svm)')
    add_cfg_options(parser)
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    """Train, test, and say what was found and where it lies."""
    from tvn_mmaction.config.loading import read_config
    from tvn_mmaction.evaluation.report import describe
    from tvn_mmaction.features.svm import VALIDATION, train_svm
    from tvn_mmaction.utils.output_paths import make_folder

    config = read_config(args.config, args.work_dir, args.data_root, parse_options(args.cfg_options))
    if not args.work_dir:  # beside the result of the network, not over it
        config.work_dir = str(Path(config.work_dir, 'svm'))
    make_folder(Path(config.work_dir), '--work-dir')
    result = train_svm(config, args.features)
    chosen = result.options['C_from'] == VALIDATION
    print(f'C = {result.options["C"]:g}, {CHOSEN if chosen else NOT_CHOSEN}')
    print(describe(result, config.work_dir))
    print(f'next: python tools/compare.py fuse {shlex.quote(config.work_dir)} OTHER_RESULT --out FOLDER')


if __name__ == '__main__':
    run(parse_args, main)
