"""Shared parts of the tools' command lines.

Importing the package imports PyTorch and MMAction2, which takes seconds. A tool therefore imports it only in its
`main`, after the command line has been checked, and this module needs only the standard library.
"""

import argparse
import difflib
import os
import re
import shlex
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

# The keys of tvn_mmaction.datasets.protocols.PROTOCOLS.
PROTOCOLS = ('videowise', 'videowise5', 'ucf101like', 'groups19to25', 'group5', 'twothirds', 'logo', 'own')
# Config options about the data, which apply to any network.
DATA_OPTIONS = (
    r'(data_root=|split\.|decoder=|\w+_dataloader\.'
    r'(dataset\.subset|dataset\.validation_fold|batch_size|num_workers|persistent_workers)=)'
)
# Current names of renamed folders in configs/, suggested if a config is missing.
RENAMED_CONFIG_FOLDERS = {
    'compare': 'baselines',
    'dynamic': 'early_exit',
    'features': 'recurrent',
    'frames': 'single_frame',
    'selection': 'frame_selection',
    'strong': 'recipes',
}


BLANK = '\x1f'  # stands for a blank while MMEngine parses options
CONFIGS = Path(__file__).parents[1] / 'configs'


class ArgumentParser(argparse.ArgumentParser):
    """A parser whose errors suggest an option for each unknown one."""

    def parse_known_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:
        """See `argparse.ArgumentParser`."""
        self._words = sys.argv[1:] if args is None else list(args)
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Exit with an error, see `argparse.ArgumentParser`."""
        known = [option for option in self._option_string_actions if option.startswith('--')]
        for word in self._words:
            option = word.partition('=')[0]
            is_known = not option.startswith('--') or any(other.startswith(option) for other in known)
            if near := not is_known and difflib.get_close_matches(option, known, 1):
                message = f'{message.rstrip(".")}. Use {near[0]} instead of {option}.'
        super().error(message)


def run(parse_args: Callable[[], argparse.Namespace], main: Callable[[argparse.Namespace], int | None]) -> None:
    """Parse the command line, import the package, run a tool's `main`, and exit with its exit code.

    See `tvn_mmaction.utils.errors.run_tool`. An interruption during the import exits with the same codes.
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
    """Return the path of an existing config; an argument `type`."""
    file = Path(text)
    if not file.is_file():
        renamed = file.parent.parent / RENAMED_CONFIG_FOLDERS.get(file.parent.name, '-') / file.name
        if renamed.is_file():
            raise argparse.ArgumentTypeError(f'no config at {text}. It is now {renamed}.')
        configs = _configs(file.parent)
        near = difflib.get_close_matches(file.stem, [config.stem for config in configs], 1)
        similar = ' or '.join(str(config) for config in configs if config.stem in near)
        hint = f'Use {similar}.' if similar else "The package's configs are in configs/."
        raise argparse.ArgumentTypeError(f'no config at {text}. {hint}')
    return text


def _configs(folder: Path) -> list[Path]:
    """Return the configs in a folder and those of the package."""
    package = [Path(os.path.relpath(file)) for file in CONFIGS.rglob('*.py') if file.parent.name != '_base_']
    return sorted({*package, *folder.glob('*.py')})


def count(text: str) -> int:
    """Return a whole number above 0; an argument `type`."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f'{text}: give a whole number above 0')
    return int(text)


def share(text: str) -> float:
    """Return a number above 0 and up to 1; an argument `type`."""
    try:
        if 0 < float(text) <= 1:
            return float(text)
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f'{text}: give a share, above 0 and up to 1')


def add_cfg_options(parser: argparse.ArgumentParser, help: str = 'change the config') -> None:
    """Add `--cfg-options KEY=VALUE ...`, which `parse_options` reads."""
    parser.add_argument(
        '--cfg-options', nargs='+', action='extend', type=key_value, default=[], metavar='KEY=VALUE', help=help
    )


def key_value(text: str) -> str:
    """Return `KEY=VALUE` unchanged; an argument `type`."""
    # Keys are restricted because a run saves its config as Python, and comparisons read that file again.
    if not re.match(r'[\w-]+(\.[\w-]+)*=', text):
        raise argparse.ArgumentTypeError(f'{text}: give KEY=VALUE, where KEY is a name or several names joined by dots')
    return text


def parse_options(words: Sequence[str]) -> dict[str, Any]:
    """Return the values of `KEY=VALUE` words by key, parsed like in all OpenMMLab tools, but with their blanks.

    Raises:
        UserError: The brackets of a value do not match or are nested too deeply.
    """
    from mmengine.config import DictAction

    from tvn_mmaction.utils.errors import UserError

    parser = argparse.ArgumentParser()
    parser.add_argument('words', nargs='*', action=DictAction)
    # MMEngine removes all blanks, also those of paths. Only those around the entries of a list mean nothing.
    words = [re.sub(r'(?<=[\[(,=]) +| +(?=[\]),])', '', word.strip()).replace(' ', BLANK) for word in words]
    try:
        return _with_blanks(parser.parse_args(['--', *words]).words or {})
    except AssertionError as error:
        raise UserError(f'--cfg-options: {error}. Close every bracket.') from None
    except RecursionError:
        raise UserError('--cfg-options: brackets are nested too deeply. Remove some levels.') from None


def _with_blanks(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_blanks(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(_with_blanks, value))
    return value.replace(BLANK, ' ') if isinstance(value, str) else value


def add_parts(parser: argparse.ArgumentParser, parts: Sequence[str]) -> None:
    """Add `--parts`, the measurements to run; see `run_parts`."""
    parser.add_argument(
        '--parts',
        nargs='+',
        choices=parts,
        default=parts,
        help='measurements to run; the others keep their results',
    )


def run_parts(
    measurements: Mapping[str, Callable[[], Any]], wanted: Sequence[str], recorded: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the result of every measurement, in order: newly measured if wanted, otherwise as recorded before."""
    from tvn_mmaction.utils.console import console

    results = {}
    for number, (part, measure) in enumerate(measurements.items(), start=1):
        if part in wanted:
            console.print(f'part {number} of {len(measurements)}: {part}', highlight=False)
        results[part] = measure() if part in wanted else recorded[part]
    return results


def next_command(args: argparse.Namespace, tool: str, *words: str | Path, options: Sequence[str] = ()) -> str:
    """Return a follow-up command with the data root and the `--cfg-options` of this one.

    Args:
        args: Arguments of this tool.
        tool: Name of the next tool.
        words: Arguments of the next tool. Unless they contain this tool's config, only the data options are passed on.
        options: Further words for `--cfg-options`.
    """
    command = ['python', f'tools/{tool}.py', *map(str, words)]
    if args.data_root:
        command += ['--data-root', args.data_root]
    same_config = args.config in words
    options = [option for option in args.cfg_options if same_config or re.match(DATA_OPTIONS, option)] + [*options]
    if options:
        command += ['--cfg-options', *options]
    return shlex.join(command)


def fold_numbers(folds: str) -> list[int]:
    """Return the folds listed by a word such as `0,3-7`, sorted and without duplicates."""
    numbers = set()
    for part in folds.split(','):
        match = re.fullmatch(r'(\d{1,6})(?:-(\d{1,6}))?', part.strip())
        chosen = range(int(match[1]), int(match[2] or match[1]) + 1) if match else ()
        if not chosen:
            raise argparse.ArgumentTypeError(f'{folds}: give numbers and ranges such as 0,3-7')
        numbers.update(chosen)
    return sorted(numbers)


def accept_former_option(
    parser: argparse._ActionsContainer,
    former: str,
    option: argparse.Action,
    former_values: Mapping[str, str] | None = None,
) -> None:
    """Accept the former name of an option for one release, with a warning on stderr; help texts do not show it.

    Args:
        parser: The parser, or the argument group that requires the option.
        former: The former name, such as `--engine`.
        option: The option, as returned by `add_argument`.
        former_values: Current values by former value, if the values were renamed too.
    """
    name = option.option_strings[0]

    class FormerOption(argparse.Action):
        def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
            current = f'{name} {former_values[values]}' if former_values else name
            given = f'{former} {values}' if former_values else former
            print(f'{given} is deprecated and will be removed in the next release. Use {current}.', file=sys.stderr)
            option(parser, namespace, former_values[values] if former_values else values, option_string)

    parser.add_argument(
        former, action=FormerOption, dest=option.dest, nargs=option.nargs, type=option.type, metavar=option.metavar,
        choices=former_values or option.choices, default=argparse.SUPPRESS, help=argparse.SUPPRESS,
    )  # fmt: skip


def add_job_arguments(parser: argparse.ArgumentParser, jobs: str) -> None:
    """Add the options that define where and how jobs run; `jobs` is the tool's word for them, in the plural."""
    runner = parser.add_argument(
        '--runner', choices=['local', 'ray'], default='local',
        help='local processes, or a Ray cluster whose nodes share the file system (%(default)s)',
    )  # fmt: skip
    accept_former_option(parser, '--engine', runner)
    parser.add_argument('--workers', type=count, metavar='N', help=f'{jobs} at the same time (one per GPU, else 1)')
    parser.add_argument(
        '--gpus-per-job', type=share, metavar='X',
        help=f'GPU share of each of the {jobs}; with 0.5, two share a GPU (1, or less if there are more workers)',
    )  # fmt: skip
    parser.add_argument(
        '--address', help='address of a running Ray cluster, or auto to find it (default: a new one on this machine)'
    )
    parser.add_argument('--resume', action='store_true', help=f'resume unfinished {jobs} from their last checkpoint')


def check_job_arguments(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Exit with an error if the arguments of `add_job_arguments` contradict each other."""
    if args.address and args.runner != 'ray':
        parser.error(f'--address {args.address}: only a Ray cluster has an address. Add --runner ray.')
