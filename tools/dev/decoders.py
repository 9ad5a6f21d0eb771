"""Compare the decoders of videos on marked videos and real clips, and write the record.

    python tools/dev/decoders.py --clips ucf_real --out configs/results/decoders.json

The marked videos take two minutes and each real clip about a second; `--parts marked` repeats one measurement.
"""

import argparse
import random
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / 'tools')]  # for benchmarks/ and command_line.py

from command_line import add_parts, count, run, run_parts  # noqa: E402

PARTS = ('marked', 'times', 'agreement')
TIMED_CLIPS = 30


def parse_args() -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argparse.ArgumentParser(description='Compare the decoders of videos.')
    parser.add_argument('--clips', type=Path, metavar='FOLDER', help='real clips, as <Class>/<clip>')
    parser.add_argument(
        '--rounds', type=count, default=5, metavar='N', help='alternating rounds of all decoders (%(default)s)'
    )
    add_parts(parser, PARTS)
    parser.add_argument(
        '--out', type=Path, default=REPOSITORY / 'configs/results/decoders.json', help='the record (%(default)s)'
    )
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    """Run the measurements, print the tables and the path of the record."""
    from benchmarks.decoders.agreement import count_agreement
    from benchmarks.decoders.comparison import count_wrong_frames, measure_times
    from benchmarks.decoders.decoders_record import Decoders, agreement_table, summary_table, times_table
    from tvn_mmaction.evaluation.provenance import installed_versions, processor_name
    from tvn_mmaction.utils.output_paths import check_file

    check_file(args.out, '--out')
    recorded = {}
    if set(args.parts) != set(PARTS):
        record = Decoders.load(args.out)
        recorded = {part: getattr(record, part) for part in PARTS}
    timed = []
    if args.clips:
        clips = sorted(args.clips.glob('*/*.avi'))
        timed = random.Random(0).sample(clips, min(len(clips), TIMED_CLIPS))
    measurements = {
        'marked': count_wrong_frames,
        'times': lambda: measure_times(timed, args.rounds),
        'agreement': lambda: count_agreement(args.clips) if args.clips else {},
    }
    environment = {'device': processor_name(), **installed_versions(('av', 'decord', 'opencv-python', 'mmaction2'))}
    record = Decoders(**run_parts(measurements, args.parts, recorded), environment=environment)
    record.save(args.out)
    print(summary_table(record))
    print(times_table(record))
    print(agreement_table(record))
    print(f'written: {args.out}')


if __name__ == '__main__':
    run(parse_args, main)
