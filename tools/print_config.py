"""Print the config of a run, complete: references resolved, and all that follows data, options and variables.

python tools/print_config.py configs/tvn1_ucf50.py --cfg-options clip.frames=4 -o resolved.py

MMEngine reads the printed text as a config; MMAction2's own tools/train.py and tools/test.py run it.
"""

import argparse
from pathlib import Path

from command_line import ArgumentParser, add_cfg_options, config_file, parse_options, run


def parse_args() -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = ArgumentParser(description='Print the config of a run, complete.')
    parser.add_argument('config', type=config_file, help='the config, such as configs/tvn1_ucf50.py')
    parser.add_argument('--data-root', help="folder of the manifest (the config's own)")
    parser.add_argument('--work-dir', help='folder for checkpoints, logs and results (work_dirs/CONFIG)')
    parser.add_argument('-o', '--out', type=Path, metavar='FILE', help='where to write it (the terminal)')
    add_cfg_options(parser)
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    """Print the config, or write it."""
    from tvn_mmaction.config.loading import printed, read_config
    from tvn_mmaction.utils.io import write_atomically
    from tvn_mmaction.utils.output_paths import check_file

    if args.out:
        check_file(args.out, '--out')
    config = read_config(args.config, args.work_dir, args.data_root, parse_options(args.cfg_options))
    if args.out:
        write_atomically(args.out, printed(config))
    else:
        print(printed(config))


if __name__ == '__main__':
    run(parse_args, main)
