"""Write what a layer of a trained network gives for every clip: one array (T, C) a clip, and what made them.

    python tools/extract_features.py configs/baselines/c3d_ucf50.py work_dirs/c3d_ucf50/epoch_40.pth -o features
    python tools/extract_features.py configs/tvn1_ucf50.py best.pth --layer backbone.blocks.2 -o features

Clips of both sides of the config's split are sampled as its test does it. What is there is not made again. Then train a
recurrent network on them, or a linear SVM: configs/recurrent/, tools/train_svm.py.
"""

import argparse
import sys
from pathlib import Path

from command_line import add_cfg_options, config_file, next_command, parse_options, run


def parse_args() -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argparse.ArgumentParser(description='Write what a layer of a trained network gives for every clip.')
    parser.add_argument('config', type=config_file, help='what it was trained with')
    parser.add_argument('checkpoint', type=Path, help='its weights')
    parser.add_argument('--layer', metavar='NAME', help='such as backbone.layer3 (what the classifier takes)')
    parser.add_argument('-o', '--out', type=Path, metavar='FOLDER', help='(features, beside the checkpoint)')
    parser.add_argument('--data-root', help="folder of the manifest (the config's own)")
    add_cfg_options(parser)
    args = parser.parse_args()
    args.out = args.out or args.checkpoint.with_name('features')
    return args


def main(args: argparse.Namespace) -> int:
    """Extract, say what was made and where it lies, and return 1 where clips could not be read."""
    from tvn_mmaction.config.loading import read_config
    from tvn_mmaction.datasets.transforms.load_features import FILE_NAME, HEAD_INPUT
    from tvn_mmaction.features.extraction import extract
    from tvn_mmaction.utils.output_paths import make_folder

    make_folder(args.out, '-o')
    config = read_config(args.config, data_root=args.data_root, options=parse_options(args.cfg_options))
    try:
        record, fresh, broken = extract(config, args.checkpoint, args.out, args.layer or HEAD_INPUT)
    except KeyboardInterrupt as interruption:
        raise type(interruption)('interrupted; the same command goes on from here') from None
    print(f'{record.layer} of {record.network}, {record.checkpoint}: {record.steps} steps × {record.channels} channels')
    print(f'clips        {record.clips - len(broken)} of {record.clips}, {fresh} of them now')
    print(f'in {args.out}: {FILE_NAME}, one SHA256.npy a clip')
    for name, reason in broken.items():
        print(f'skipped: {name}: {reason}; run tools/build_ucf50.py again, which leaves it out', file=sys.stderr)
    print(f'next: {next_command(args, "train_svm", args.config, args.out)}')
    read = (f'features.folder={args.out}', f'features.network={record.network}', f'features.layer={record.layer}')
    recurrent = 'configs/recurrent/lstm_single_frame_r18_ucf50.py'
    print(f'or:   {next_command(args, "train", recurrent, options=read)}')
    return int(bool(broken))


if __name__ == '__main__':
    run(parse_args, main)
