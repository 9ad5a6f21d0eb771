"""What the tools' command lines share.

Importing the package imports PyTorch and MMAction2, which takes seconds. So a tool imports it only in its `main`, once
the command line is known to be right, and everything here needs no more than the standard library.
"""

import argparse
import re
import shlex
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

# Those of tvn_mmaction.datasets.PROTOCOLS.
PROTOCOLS = ('videowise', 'videowise5', 'ucf101like', 'groups19to25', 'group5', 'twothirds', 'logo')
# Of options, those that are about the clips, and so are as right for another network.
ABOUT_DATA = (
    r'(split\.|decoder=|\w+_dataloader\.'
    r'(dataset\.subset|dataset\.validation_fold|batch_size|num_workers|persistent_workers)=)'
)


def run(parse_args: Callable[[], argparse.Namespace], main: Callable[[argparse.Namespace], int | None]) -> None:
    """Read the command line, import the package, run a tool's `main`, and end the process with its exit code.

    See `tvn_mmaction.utils.errors.run_tool`. An interruption of the import has the same exit codes.
    """
    args = parse_args()
    signal.signal(signal.SIGTERM, _terminate)
    try:
        from tvn_mmaction.utils.errors import run_tool
    except KeyboardInterrupt:
        print('interrupted', file=sys.stderr)
        sys.exit(130)
    run_tool(lambda: main(args))


def _terminate(*_: Any) -> None:
    print('interrupted', file=sys.stderr)
    sys.exit(128 + signal.SIGTERM)


def config_file(text: str) -> str:
    """Return the path of a config that is there; for the `type` of an argument."""
    if not Path(text).is_file():
        raise argparse.ArgumentTypeError(f'no config at {text}; those of the package are in configs/')
    return text


def count(text: str) -> int:
    """Return a whole number above 0; for the `type` of an argument."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f'{text}: give a whole number above 0')
    return int(text)


def share(text: str) -> float:
    """Return a number above 0 and up to 1; for the `type` of an argument."""
    try:
        if 0 < float(text) <= 1:
            return float(text)
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f'{text}: give a share, above 0 and up to 1')


def add_cfg_options(parser: argparse.ArgumentParser, help: str = 'change the config') -> None:
    """Add `--cfg-options KEY=VALUE ...`; what it means, `parse_options` tells."""
    parser.add_argument(
        '--cfg-options', nargs='+', action='extend', type=key_value, default=[], metavar='KEY=VALUE', help=help
    )


def key_value(text: str) -> str:
    """Return `KEY=VALUE` as it is; for the `type` of an argument."""
    # Of no more letters, since a run writes its config down, and comparisons read it again as Python.
    if not re.match(r'[\w-]+(\.[\w-]+)*=', text):
        raise argparse.ArgumentTypeError(f'{text}: give KEY=VALUE, where KEY is a name or names with dots between')
    return text


def parse_options(words: Sequence[str]) -> dict[str, Any]:
    """Return the values of `KEY=VALUE` words by key, read as all of OpenMMLab's tools read them.

    Raises:
        UserError: Brackets of a value do not match, or are too deep.
    """
    from mmengine.config import DictAction

    from tvn_mmaction.utils.errors import UserError

    parser = argparse.ArgumentParser()
    parser.add_argument('words', nargs='*', action=DictAction)
    try:
        return parser.parse_args(['--', *words]).words or {}
    except AssertionError as error:
        raise UserError(f'--cfg-options: {error}') from None
    except RecursionError:
        raise UserError('--cfg-options: brackets within brackets, too deep to read; take some away') from None


def add_parts(parser: argparse.ArgumentParser, parts: Sequence[str], what: str) -> None:
    """Add `--parts`, of what the tool does, in the infinitive; see `do_parts`."""
    parser.add_argument(
        '--parts', nargs='+', choices=parts, default=parts, help=f'what to {what}; the rest stays as recorded (all)'
    )


def do_parts(doings: Mapping[str, Callable[[], Any]], wanted: Sequence[str], kept: Mapping[str, Any]) -> dict[str, Any]:
    """Return what each part finds, in their order: those that are wanted are done, of the others it is what was kept.

    Args:
        doings: By part.
        wanted: Parts.
        kept: What was found before, by part.
    """
    from tvn_mmaction.utils.console import console

    found = {}
    for number, (part, do) in enumerate(doings.items(), start=1):
        if part in wanted:
            console.print(f'part {number} of {len(doings)}: {part}', highlight=False)
        found[part] = do() if part in wanted else kept[part]
    return found


def next_command(args: argparse.Namespace, tool: str, *words: str | Path, options: Sequence[str] = ()) -> str:
    """Return the command that goes on with the data root and the `--cfg-options` of this one.

    Args:
        args: Those of this tool.
        tool: Name of the next one.
        words: Its arguments; where they name no config of this tool, it gets only the options that are about data.
        options: More for `--cfg-options`.
    """
    command = ['python', f'tools/{tool}.py', *map(str, words)]
    if args.data_root:
        command += ['--data-root', args.data_root]
    same = args.config in words
    given = [option for option in args.cfg_options if same or re.match(ABOUT_DATA, option)]
    if given or options:
        command += ['--cfg-options', *given, *options]
    return shlex.join(command)


def fold_numbers(folds: str) -> list[int]:
    """Return the folds that a word such as `0,3-7` means, in order and each once."""
    numbers = set()
    for part in folds.split(','):
        match = re.fullmatch(r'(\d{1,6})(?:-(\d{1,6}))?', part.strip())
        chosen = range(int(match[1]), int(match[2] or match[1]) + 1) if match else ()
        if not chosen:
            raise argparse.ArgumentTypeError(f'{folds}: give numbers and ranges such as 0,3-7')
        numbers.update(chosen)
    return sorted(numbers)


def add_job_arguments(parser: argparse.ArgumentParser, what: str) -> None:
    """Add where the jobs of a tool run; `what` it calls them, in the plural."""
    parser.add_argument(
        '--engine', choices=['local', 'ray'], default='local',
        help='processes of this machine, or a Ray cluster whose nodes share the file system (%(default)s)',
    )  # fmt: skip
    parser.add_argument('--workers', type=count, metavar='N', help=f'{what} at the same time (one per GPU, else 1)')
    parser.add_argument(
        '--gpus-per-job', type=share, metavar='X', help=f'0.5 lets two {what} share a GPU (1, or less for all workers)'
    )
    parser.add_argument('--address', help='of a running Ray cluster, such as auto (a new one on this machine)')
    parser.add_argument('--resume', action='store_true', help=f'unfinished {what} go on from their last checkpoint')


def check_job_arguments(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """End the process where the arguments that `add_job_arguments` added do not go together."""
    if args.address and args.engine != 'ray':
        parser.error(f'--address {args.address}: only a Ray cluster has one; add --engine ray')
