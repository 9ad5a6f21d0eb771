"""Label videos: files, folders, a camera, a stream.

python tools/predict.py clip.avi videos/ --model work_dirs/tvn1_demo/epoch_12.pth
python tools/predict.py clip.avi --model tvn1.onnx --annotate labelled.mp4
python tools/predict.py film.mp4 --model tvn1.onnx --every 1s --window 3s --threshold 0.6 --out film.srt
python tools/predict.py clip.avi --model epoch_40.pth --explain heat_maps.mp4
python tools/predict.py 0 --model tvn1.xml                      # the first camera
python tools/predict.py clip.avi --model tvn1.xml --live        # a file, at its own speed
"""

import argparse
import glob
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from command_line import ArgumentParser, config_file, count, run, share

EXPLANATIONS = ('.mp4', '.png')  # suffixes of --explain: tvn_mmaction.deploy.explanation.FORMATS
TIMELINES = ('.csv', '.jsonl', '.srt')  # suffixes of --out: tvn_mmaction.deploy.timeline.FORMATS


def parse_args() -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = ArgumentParser(description='Label videos: files, folders, a camera, a stream.')
    parser.add_argument('inputs', nargs='+', metavar='INPUT', help='files, folders, patterns, a camera number or a URL')
    parser.add_argument('--model', required=True, metavar='FILE', help='a checkpoint, or a file of tools/export.py')
    parser.add_argument('--config', type=config_file, help='the config of a checkpoint (the one that it stores)')
    parser.add_argument('--engine', default='auto', help='auto, torch, torch-compile, onnxruntime or openvino (auto)')
    parser.add_argument('--device', choices=['auto', 'cpu', 'cuda'], default='auto', help='(%(default)s)')
    parser.add_argument('--threads', type=count, metavar='N', help="CPU threads (the engine's choice)")
    parser.add_argument('--topk', type=count, default=5, metavar='K', help='number of labels (%(default)s)')
    parser.add_argument('--json', action='store_true', help='print a JSON object per line instead of a table')
    parser.add_argument('--annotate', type=Path, metavar='OUT.mp4', help='write the video with its label on it')
    parser.add_argument(
        '--explain',
        type=Path,
        metavar='OUT.mp4',
        help='write heat maps of the regions that decide the label; OUT.png: a strip',
    )
    parser.add_argument('--layer', metavar='NAME', help='layer of the heat maps (the last map of the frames)')
    parser.add_argument('--live', action='store_true', help='play a file at its own speed and label it live')
    timeline = parser.add_argument_group('timeline of long videos')
    timeline.add_argument('--every', type=seconds, metavar='TIME', help='label a window of frames this often, as in 1s')
    timeline.add_argument('--window', type=seconds, metavar='TIME', help='length of a window (3s)')
    timeline.add_argument('--threshold', type=share, metavar='P', help='least probability of a label (no limit)')
    timeline.add_argument('--smooth', type=count, metavar='N', help='average N neighbouring windows (1)')
    timeline.add_argument('--out', type=Path, metavar='FILE', help=f'write the segments: {", ".join(TIMELINES)}')
    args = parser.parse_args()
    for option in ('window', 'threshold', 'smooth', 'out'):
        if getattr(args, option) is not None and not args.every:
            parser.error(f'--{option} {getattr(args, option)}: only a timeline has it. Add --every.')
    if args.explain and args.explain.suffix.lower() not in EXPLANATIONS:
        parser.error(f'--explain {args.explain}: the suffix is unknown. Use one of {", ".join(EXPLANATIONS)}.')
    if args.layer and not args.explain:
        parser.error(f'--layer {args.layer}: only heat maps are of a layer. Add --explain.')
    if args.out and args.out.suffix.lower() not in TIMELINES:
        parser.error(f'--out {args.out}: the suffix is unknown. Use one of {", ".join(TIMELINES)}.')
    live = args.live or any(is_live(word) for word in args.inputs)
    if (live or args.annotate or args.explain) and len(args.inputs) > 1:
        parser.error(f'{len(args.inputs)} inputs: live recognition, --annotate and --explain take one. Give one.')
    if live and args.json:
        parser.error('--json: a live video has no table. Leave it out.')
    if args.explain and (live or args.every):
        parser.error('--explain: heat maps are of one label of a file. Leave out --live and --every.')
    if live and args.every:
        parser.error('--every: a live video has no timeline. Leave it out, or name a file without --live.')
    args.live = live
    return args


def seconds(text: str) -> float:
    """Return a time above 0 in seconds, such as 1, 0.5s or 2s; an argument `type`."""
    if not re.fullmatch(r'\d+(\.\d+)?s?', text) or not float(text.removesuffix('s')):
        raise argparse.ArgumentTypeError(f'{text}: give seconds above 0, such as 1s or 0.5s')
    return float(text.removesuffix('s'))


def is_live(word: str) -> bool:
    """Return whether an input is a camera or a stream."""
    return word.isdecimal() or '://' in word


def main(args: argparse.Namespace) -> int:
    """Recognise, print, and return 1 if a file was skipped."""
    from tvn_mmaction.config.loading import read_config
    from tvn_mmaction.deploy.recognizer import load

    config = read_config(args.config) if args.config else None
    recognizer = load(args.model, args.engine, args.device, args.threads, config)
    if args.live:
        from tvn_mmaction.deploy.live.viewer import view

        print(view(args.inputs[0], recognizer, args.annotate))
        return 0
    files = files_of(args.inputs)
    for option, out in (('annotate', args.annotate), ('explain', args.explain)):
        if out and len(files) > 1:
            from tvn_mmaction.utils.errors import UserError

            raise UserError(f'--{option} {out}: {args.inputs[0]} is {len(files)} videos. Name one.')
    if args.every:
        return label_timelines(recognizer, files, args)
    if args.explain:
        write_heat_maps(files[0], args, config)
    predictions = predict(recognizer, files, args)
    if args.annotate and predictions:
        draw(predictions[0], args.annotate)
    return 0 if len(predictions) == len(files) else 1


def write_heat_maps(file: Path, args: argparse.Namespace, config) -> None:
    """Write heat maps of the regions that decide the label of a video."""
    from tvn_mmaction.deploy.explanation import explain, write_explanation

    explanation = explain(args.model, file, config, args.layer)
    write_explanation(explanation, args.explain)
    print(
        f'written: {args.explain}, Grad-CAM of {explanation.label} ({explanation.probability:.1%}) by '
        f'{explanation.layer}',
        file=sys.stderr,
    )


def predict(recognizer, files: list[Path], args: argparse.Namespace) -> list:
    """Print and return the prediction of each file; broken files are named and skipped."""
    from tvn_mmaction.deploy.recognizer import Prediction
    from tvn_mmaction.utils.console import progress_bar

    width, stdout = max(len(str(file)) for file in files), sys.stdout
    predictions, skipped = [], []
    with progress_bar() as progress:
        task = progress.add_task('recognising', total=len(files), status='')
        for _, answer in recognizer.recognize_files(files, args.topk):
            progress.advance(task)
            if not isinstance(answer, Prediction):
                skipped.append(answer)
                continue
            predictions.append(answer)
            line = json.dumps(asdict(answer)) if args.json else row(answer, width)
            # The bar redirects stdout to print above itself, but a file or a pipe must get the lines as well.
            print(line, file=sys.stdout if stdout.isatty() else stdout, flush=True)
    for reason in skipped:
        print(f'skipped: {reason}', file=sys.stderr)
    if skipped:
        print(f'{len(skipped)} of {len(files)} videos were skipped', file=sys.stderr)
    return predictions


def draw(prediction, out: Path) -> None:
    """Write a video with its labels drawn on it."""
    from tvn_mmaction.deploy.live.overlay import Caption, annotate

    (label, *others), (share, *shares) = prediction.labels, prediction.probabilities
    details = [f'{other} {part:.1%}' for other, part in zip(others, shares, strict=True)]
    caption = Caption(label, share, details)
    print(f'written: {annotate(Path(prediction.source), out, lambda time_s: caption)}', file=sys.stderr)


def label_timelines(recognizer, files: list[Path], args: argparse.Namespace) -> int:
    """Print and write the segments of each video, also if interrupted; return 1 if a file broke off."""
    from tvn_mmaction.deploy.live.overlay import annotate_segments
    from tvn_mmaction.deploy.timeline import write_timeline
    from tvn_mmaction.utils.errors import UserError
    from tvn_mmaction.utils.output_paths import check_file

    if args.out:
        check_file(args.out, '--out')
        if args.out.suffix.lower() == '.srt' and len(files) > 1:
            raise UserError(f'--out {args.out}: subtitles are of one video, and there are {len(files)}. Name one.')
    segments, broken = [], []
    try:
        for file in files:
            try:
                for segment in timeline(recognizer, file, args):
                    segments.append(segment)
            except UserError as error:
                broken.append(error)
    finally:
        if args.out:
            write_timeline(args.out, segments)
            print(f'written: {args.out}, {len(segments)} segments', file=sys.stderr)
    for reason in broken:
        print(f'incomplete: {reason}', file=sys.stderr)
    if args.annotate and not broken:
        print(f'written: {annotate_segments(files[0], args.annotate, segments)}', file=sys.stderr)
    return 1 if broken else 0


def timeline(recognizer, file: Path, args: argparse.Namespace) -> Iterator:
    """Print and yield the segments of a video, with a progress bar."""
    from tvn_mmaction.deploy.timeline import clock, merge_windows
    from tvn_mmaction.utils.console import progress_bar

    stdout = sys.stdout
    windows, declared_s = recognizer.score_windows(file, args.every, args.window or 3)
    with progress_bar() as progress:
        task = progress.add_task(f'recognising {file.name}', total=declared_s, status='s')

        def tracked() -> Iterator:
            for window in windows:
                progress.update(task, completed=window.end_s)
                yield window

        for segment in merge_windows(tracked(), str(file), recognizer.classes, args.threshold or 0, args.smooth or 1):
            times = f'{clock(segment.start_s)} - {clock(segment.end_s)}'
            line = f'{segment.source}  {times}  {segment.label} {segment.probability:.1%}'
            line = json.dumps(asdict(segment)) if args.json else line
            print(line, file=sys.stdout if stdout.isatty() else stdout, flush=True)
            yield segment


def row(prediction, width: int) -> str:
    """Return a line of the table."""
    labels = zip(prediction.labels, prediction.probabilities, strict=True)
    return f'{prediction.source:{width}s}  ' + '  '.join(f'{label} {share:.1%}' for label, share in labels)


def files_of(words: list[str]) -> list[Path]:
    """Return the files of the inputs, each once, in their order.

    Raises:
        UserError: An input has no files.
    """
    from tvn_mmaction.deploy.recognizer import videos_in
    from tvn_mmaction.utils.errors import UserError

    files = []
    for word in words:
        path = Path(word).expanduser()
        found = [path] if path.exists() else pattern(path)
        if not found:
            raise UserError(f'no video at {word}. Name a file, a folder, a pattern, a camera number or a URL.')
        for one in found:
            files += videos_in(one) if one.is_dir() else [one]
    return list(dict.fromkeys(files))


def pattern(path: Path) -> list[Path]:
    """Return the files and folders of a pattern that the shell did not expand."""
    return sorted(map(Path, glob.glob(str(path), recursive=True)))  # noqa: PTH207, Path.glob takes no absolute pattern


if __name__ == '__main__':
    run(parse_args, main)
