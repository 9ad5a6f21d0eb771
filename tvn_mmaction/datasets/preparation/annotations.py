"""Annotation files: tables `path,label`, lists of `path label` lines, and the official splits of UCF101 and HMDB51."""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from ...utils.errors import UserError
from ..manifest import UNPRINTABLE
from .scan import VIDEO_SUFFIXES

CLASS_FILES = ('classInd.txt', 'classes.txt', 'labels.txt', 'label_map.txt')
ROLE_NAMES = {
    **dict.fromkeys(('train', 'training'), 'train'),
    **dict.fromkeys(('val', 'valid', 'validation', 'dev'), 'validation'),
    **dict.fromkeys(('test', 'testing'), 'test'),
    **dict.fromkeys(('', 'unused', 'none'), 'unused'),
}
# train.txt, trainlist01.txt of UCF101, ucf101_val_split_1_videos.txt of MMAction2
LIST_NAME = re.compile(
    r'(?:.*[_\-. ])?(?P<role>train|val|valid|validation|test)(?:list)?[_\-. ]?(?:split)?[_\-. ]?(?P<split>\d{0,2})'
    r'(?:[_\-. ](?:list|split|videos?|rawframes|annotations?))*\.(?:txt|lst|csv|tsv)',
    re.IGNORECASE,
)
HMDB51_NAME = re.compile(r'(?P<label>.+)_test_split(?P<split>\d+)\.txt')
HMDB51_ROLES = {'0': 'unused', '1': 'train', '2': 'test'}
SEPARATORS = (',', ';', '\t')


class Line(NamedTuple):
    """A line of an annotation file."""

    place: str  # file and line
    path: str  # as written, with '/'
    label: str  # name or number of the class; '' where it is the folder of the clip
    role: str | None  # None if the file gives none
    group: str = ''


@dataclass
class Listed:
    """A clip of annotation files."""

    place: str  # of its first line
    path: str
    label: str
    group: str
    roles: dict[int, tuple[str, str]] = field(default_factory=dict)  # by fold, with the place


@dataclass
class Annotations:
    """The clips of annotation files, and a description of the files in words."""

    description: str
    clips: list[Listed]
    fold_count: int  # of the split; 0 without one

    def split(self, clip: Listed) -> str:
        """Return the split of a clip as in the manifest."""
        return ' '.join(clip.roles.get(fold, ('unused', ''))[0] for fold in range(self.fold_count))


def is_table(path: Path) -> bool:
    """Return whether a file is a table with the columns path and label."""
    with path.open(encoding='utf-8-sig', errors='replace') as file:
        return _separator(file.readline(1000)) is not None


def annotation_files(folder: Path) -> list[Path]:
    """Return the annotation files that lie in a folder: tables with a header, lists named by subset, or neither."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith('.'))
    tables = [path for path in files if path.suffix.lower() in ('.csv', '.tsv') and is_table(path)]
    lists = [path for path in files if path.suffix.lower() in ('.txt', '.lst') and LIST_NAME.fullmatch(path.name)]
    if tables and lists:
        raise UserError(
            f'{folder} holds a table and lists of clips, {tables[0].name} and {lists[0].name}. Pass one of them with '
            '--annotations.'
        )
    if len(tables) > 1 and not all(LIST_NAME.fullmatch(path.name) for path in tables):
        raise UserError(
            f'{folder} holds several tables of clips, {tables[0].name} and {tables[1].name}. Pass one of them with '
            '--annotations.'
        )
    return tables or lists


def read_annotations(files: Sequence[Path], outputs: Path) -> Annotations:
    """Read annotation files that describe one data set.

    Args:
        files: Tables or lists, several of them named by subset, and by fold if there are several splits.
        outputs: Folder of the data root, which may not hold the user's `classes.txt`.

    Raises:
        UserError: A file is not UTF-8, a line has no label, or two lines of a clip contradict each other.
    """
    if is_hmdb51 := not any((match := LIST_NAME.fullmatch(path.name)) and match['role'] == 'train' for path in files):
        is_hmdb51 = all(HMDB51_NAME.fullmatch(path.name) for path in files)
    pattern = HMDB51_NAME if is_hmdb51 else LIST_NAME
    matches = [pattern.fullmatch(path.name) if len(files) > 1 or is_hmdb51 else None for path in files]
    numbers = sorted({int(match['split'] or 0) for match in matches if match})
    clips: dict[str, Listed] = {}
    for path, match in zip(files, matches, strict=True):
        fold = numbers.index(int(match['split'] or 0)) if match else 0
        if is_hmdb51:
            lines = _hmdb51_lines(path, match['label'])
        else:
            role = ROLE_NAMES[match['role'].lower()] if match else None
            lines = _table_lines(path, role) if is_table(path) else _list_lines(path, role)
        _merge(clips, lines, fold)
    if not clips:
        raise UserError(f'{files[0]} lists no clip. Write one `path label` per line, or name another file.')
    _name_classes(list(clips.values()), files[0].parent, outputs)
    roles = {role for clip in clips.values() for role, _ in clip.roles.values()}
    if 'test' not in roles and {'train', 'validation'} <= roles:  # the validation of a published data set is its test
        for clip in clips.values():
            clip.roles = {
                fold: ('test' if role == 'validation' else role, place) for fold, (role, place) in clip.roles.items()
            }
        roles = roles - {'validation'} | {'test'}
    has_split = {'train', 'test'} <= roles
    kind = 'official splits of HMDB51' if is_hmdb51 else 'annotations'
    names = ', '.join(path.name for path in files[:4]) + f' and {len(files) - 4} more' * (len(files) > 4)
    return Annotations(f'{kind} {names}', list(clips.values()), max(len(numbers), 1) if has_split else 0)


def _separator(header: str) -> str | None:
    """Return the separator with which a header has the columns path and label."""
    for separator in SEPARATORS:
        if {'path', 'label'} <= {name.strip(' "\r\n').lower() for name in header.split(separator)}:
            return separator
    return None


def _text_lines(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the place and text of each line that is not blank."""
    try:
        text = path.read_text(encoding='utf-8-sig')
    except UnicodeDecodeError as error:
        number = 1 + error.object[: error.start].count(b'\n')
        raise UserError(f'{path}, line {number}, is not UTF-8. Save the file as UTF-8.') from None
    except OSError as error:
        raise UserError(f'{path} cannot be read: {error.strerror}. Name another file.') from None
    for number, line in enumerate(text.split('\n'), start=1):
        if line.strip():
            yield f'{path}, line {number}', line.rstrip('\r')


def _table_lines(path: Path, role: str | None) -> Iterator[Line]:
    places = list(_text_lines(path))
    separator = _separator(places[0][1])
    header = [name.strip().lower() for name in next(csv.reader([places[0][1]], delimiter=separator))]
    for place, text in places[1:]:
        try:
            (row,) = csv.reader([text], delimiter=separator, strict=True)
        except csv.Error:
            raise UserError(f'{place}: a quoted value does not end. Close its quotation marks.') from None
        if len(row) != len(header):
            raise UserError(
                f'{place} has {len(row)} values, and the header has {len(header)} ({separator.join(header)}). Put '
                f'values that contain {separator!r} into quotation marks.'
            )
        values = dict(zip(header, map(str.strip, row), strict=True))
        for name in ('path', 'label'):
            if not values[name]:
                raise UserError(f'{place} has no {name}. Complete or remove the line.')
        if 'split' in values and role is None:
            if values['split'].lower() not in ROLE_NAMES:
                raise UserError(f'{place}: split is {values["split"]!r}. Write train, val, test, or nothing.')
            own = ROLE_NAMES[values['split'].lower()]
        else:
            own = role
        yield Line(place, _slashes(values['path']), values['label'], own, values.get('group', ''))


def _list_lines(path: Path, role: str | None) -> Iterator[Line]:
    """Yield the lines `path label`, `path frames label` of folders of frames, or `Class/clip` of UCF101's tests."""
    lines = [(place, text.strip()) for place, text in _text_lines(path)]
    counted = all(re.fullmatch(r'\S+ \d+ \d+', text) for _, text in lines)
    for place, text in lines:
        parts = text.rsplit(maxsplit=2 if counted else 1)
        if text.lower().endswith(VIDEO_SUFFIXES) or len(parts) == 1:
            if '/' not in _slashes(text):
                raise UserError(f'{place}: {text!r} has no label. Write `path label`, separated by a space.')
            yield Line(place, _slashes(text), '', role)
        else:
            yield Line(place, _slashes(parts[0].strip()), parts[-1], role)


def _hmdb51_lines(path: Path, label: str) -> Iterator[Line]:
    for place, text in _text_lines(path):
        name, _, number = text.strip().rpartition(' ')
        if number not in HMDB51_ROLES or not name.strip():
            raise UserError(f'{place}: {text!r} is not a file name and 0 (unused), 1 (train) or 2 (test). Correct it.')
        yield Line(place, f'{label}/{name.strip()}', label, HMDB51_ROLES[number])


def _slashes(path: str) -> str:
    """Return a path with '/', also one that was written on Windows."""
    return path.replace('\\', '/') if '/' not in path else path


def _merge(clips: dict[str, Listed], lines: Iterable[Line], fold: int) -> None:
    """Add lines of one fold to the clips.

    Raises:
        UserError: A path or label is unusable, or another line of the clip has another label, subset or group.
    """
    for line in lines:
        if UNPRINTABLE.search(line.path) or UNPRINTABLE.search(line.label):
            raise UserError(f'{line.place}: {line.path!a} {line.label!a} holds a control character. Remove it.')
        if '/' in line.label or line.label in ('.', '..'):
            raise UserError(f'{line.place}: the label {line.label!r} is not a name without /. Rename the class.')
        clip = clips.setdefault(line.path, Listed(line.place, line.path, line.label, line.group))
        for name, value in (('label', line.label), ('group', line.group)):
            known = getattr(clip, name)
            if value and known and value != known:
                raise UserError(
                    f'{line.place}: {line.path!r} has the {name} {value!r}, and {known!r} in {clip.place}. Leave one.'
                )
            setattr(clip, name, known or value)
        if line.role is not None:
            role, place = clip.roles.setdefault(fold, (line.role, line.place))
            if role != line.role:
                raise UserError(
                    f'{line.place}: {line.path!r} is in {line.role}, and in {role} in {place}. Leave one: a clip that '
                    'is trained on tests nothing.'
                )


def _name_classes(clips: Sequence[Listed], folder: Path, outputs: Path) -> None:
    """Give clips the names of their classes where the files have numbers or nothing."""
    numbered = [clip for clip in clips if clip.label.isdecimal()]
    if numbered and all(clip.label.isdecimal() for clip in clips if clip.label):
        names = _class_names(folder, outputs) or _folder_names(numbered)
        width = max(len(clip.label) for clip in numbered)
        for clip in numbered:
            if names and int(clip.label) not in names:
                raise UserError(
                    f'{clip.place}: {clip.label} is not the number of a class, which are {min(names)} to '
                    f'{max(names)}. Correct the line or the file of classes.'
                )
            clip.label = names[int(clip.label)] if names else clip.label.zfill(width)  # their order is that of numbers
    for clip in clips:
        own_folder = clip.path.rpartition('/')[0].rpartition('/')[2]
        clip.label = clip.label or own_folder
        if clip.label in ('', '.', '..'):
            raise UserError(f'{clip.place}: {clip.path!r} has no label. Write `path label`, separated by a space.')


def _folder_names(clips: Sequence[Listed]) -> dict[int, str]:
    """Return the names by number of classes that have one folder each, nothing if they have not."""
    pairs = {(int(clip.label), clip.path.rpartition('/')[0].rpartition('/')[2]) for clip in clips}
    names = dict(pairs)
    return names if len(names) == len(pairs) == len(set(names.values())) and '' not in names.values() else {}


def _class_names(folder: Path, outputs: Path) -> dict[int, str]:
    """Return the names by number of a file of classes: `1 Name` lines, or names from 0 on; nothing without a file."""
    file = next((folder / name for name in CLASS_FILES if (folder / name).is_file()), None)
    if file is None:
        return {}
    if file.name == 'classes.txt' and folder.resolve() == outputs.resolve():
        raise UserError(
            f'{file} names the classes, and the data root in the same folder would overwrite it. Choose another --out.'
        )
    lines = list(_text_lines(file))
    numbered = [re.fullmatch(r'\s*(\d+)[\s,;:]+(.+)', text) for _, text in lines]
    names: dict[int, str] = {}
    for position, (place, text) in enumerate(lines):
        match = numbered[position] if all(numbered) else None
        number, name = (int(match[1]), match[2].strip()) if match else (position, text.strip())
        if number in names or name in names.values() or '/' in name or UNPRINTABLE.search(name):
            raise UserError(f'{place}: {text!a} is not a new name without /. Give each class one line.')
        names[number] = name
    return names
