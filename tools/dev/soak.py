"""Soak test: kill, interrupt and load trainings, feed them bad input, and record what they survive.

    python tools/dev/soak.py --out configs/results/reliability.json

Takes about half an hour. `--kills 10 --trials 2 --steps 400` takes a few minutes; `--parts load` repeats one
measurement.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / 'tools')]  # for benchmarks/ and command_line.py

from command_line import ArgumentParser, add_parts, count, run, run_parts  # noqa: E402

CONFIG = REPOSITORY / 'configs/tvn1_demo.py'
SMALL = {'clip.size': 32}
# A training that starts within seconds: two TVN blocks, with a checkpoint of 8 MB, and few clips.
BLOCKS = [
    dict(spatial=('conv', 4, 2), temporal=('maxpool', 2, 2), filters=64, expand=4, context_gate=True, repeats=2),
    dict(spatial=('depthwise', 5, 3), temporal=('conv', 3, 1), filters=128, expand=4, skip=True, repeats=2),
]
SHORT = {
    'model.backbone.arch': dict(_delete_=True, frames=4, frame_stride=1, image_size=32, blocks=BLOCKS),
    'model.cls_head.in_channels': 512,
    'train_dataloader.dataset.indices': 32,
}
WORKERS = 4  # data loader processes of the long training
BAD_INPUTS = [f'tests/reliability/test_{name}.py' for name in ('misuse', 'trust', 'broken_clips')]
MIN_STEPS = 200
PARTS = ('kills', 'resumes', 'load', 'bad_inputs')


def parse_args() -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = ArgumentParser(description='Soak test of trainings: kills, interruptions, load and bad input.')
    parser.add_argument('--kills', type=count, default=200, metavar='N', help='kills by SIGKILL (%(default)s)')
    parser.add_argument('--trials', type=count, default=20, metavar='N', help='interrupted trainings (%(default)s)')
    parser.add_argument(
        '--steps', type=count, default=2000, metavar='N', help='steps of the long training (%(default)s)'
    )
    add_parts(parser, PARTS)
    parser.add_argument(
        '--data-root', default='data/demo', help='folder of the demo clips, rendered if missing (%(default)s)'
    )
    parser.add_argument(
        '--out', type=Path, default=REPOSITORY / 'configs/results/reliability.json', help='the record (%(default)s)'
    )
    args = parser.parse_args()
    if args.steps < MIN_STEPS:
        parser.error(f'--steps {args.steps}: a trend takes at least {MIN_STEPS}')
    return args


def main(args: argparse.Namespace) -> int:
    """Run the measurements, print the table and the path of the record, and return 1 unless everything survived."""
    from benchmarks.soak.kills import survive_kills
    from benchmarks.soak.resource_usage import measure_load
    from benchmarks.soak.resumes import count_exact_resumes
    from benchmarks.soak.soak_record import Reliability, reliability_table
    from tvn_mmaction.config.loaders import build_without_videos
    from tvn_mmaction.config.loading import read_config
    from tvn_mmaction.evaluation.provenance import environment
    from tvn_mmaction.utils.console import progress_bar
    from tvn_mmaction.utils.errors import UserError
    from tvn_mmaction.utils.output_paths import check_file

    check_file(args.out, '--out')
    recorded = {} if set(args.parts) == set(PARTS) else vars(Reliability.load(args.out))
    for name in ('psutil', 'pytest'):
        if not find_spec(name):
            raise UserError(f'{name} is not installed. Run pip install -e ".[test]".')
    config = read_config(CONFIG, data_root=args.data_root)
    clips = len(build_without_videos(config, 'train_dataloader'))  # renders missing clips
    epochs = -(-args.steps // -(-clips // config.train_dataloader.batch_size))
    common = {**SMALL, 'data_root': str(Path(args.data_root).resolve())}
    short = {**common, **SHORT}
    long = {**common, 'train_cfg.max_epochs': epochs, 'train_dataloader.num_workers': WORKERS}
    with progress_bar() as progress, tempfile.TemporaryDirectory() as folder:
        measurements = {
            'kills': lambda: survive_kills(
                CONFIG, Path(folder, 'kills'), {**short, 'train_cfg.max_epochs': 100_000}, args.kills, progress
            ),
            'resumes': lambda: count_exact_resumes(
                CONFIG, Path(folder, 'resumes'), {**short, 'train_cfg.max_epochs': 4}, args.trials, progress
            ),
            'load': lambda: measure_load(CONFIG, Path(folder, 'load'), long, args.steps, progress),
            'bad_inputs': count_bad_inputs,
        }
        results = run_parts(measurements, args.parts, recorded)
    record = Reliability(**results, environment=environment(config, 'cpu'))
    record.save(args.out)
    print(reliability_table(record))
    print(f'written: {args.out}')
    return int(not record.is_good)


def count_bad_inputs() -> dict[str, int]:
    """Return how many cases of bad input the tests try, and how many of them pass."""
    command = [sys.executable, '-m', 'pytest', '-q', '-n', '0', '-p', 'no:cacheprovider', *BAD_INPUTS]
    process = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    counts = {word: int(number) for number, word in re.findall(r'(\d+) (passed|failed|error)', process.stdout)}
    return {'tried': sum(counts.values()), 'handled': counts.get('passed', 0)}


if __name__ == '__main__':
    run(parse_args, main)
