"""The data set that `tools/build_ucf50.py` writes; any other folder of class folders works alike."""

from pathlib import Path

from mmaction.datasets import VideoDataset
from mmaction.registry import DATASETS

from ..errors import UserError


@DATASETS.register_module()
class UCF50Dataset(VideoDataset):
    """Videos with one label each, listed as `path label` lines, the class names in `classes.txt` beside the list.

    The names are in `metainfo['classes']`. Paths may hold blanks, which the stock `VideoDataset` refuses.

    Args:
        ann_file: The list, relative to `data_root`.
        data_root: The folder with the lists; relative paths in them start here.
        metainfo: More about the data set; goes before what is read.
        **kwargs: Passed to `VideoDataset`, above all `pipeline` and `test_mode`.

    Raises:
        UserError: A list or a video is missing, a list is empty, or a line is not a path and a label of `classes.txt`.
    """

    def __init__(
        self, ann_file: str = 'train.txt', data_root: str = 'data/ucf50', metainfo: dict | None = None, **kwargs
    ):
        metainfo = {'classes': tuple(class_names(data_root)), **(metainfo or {})}
        super().__init__(ann_file, data_root=data_root, metainfo=metainfo, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Return one `dict(filename, label)` per line."""
        data_list = []
        class_count = len(self.metainfo['classes'])
        for number, line in enumerate(_read_lines(Path(self.ann_file)), start=1):
            path, _, label = line.rpartition(' ')  # from the right: the path may hold blanks
            if not path or not label.isdecimal() or int(label) >= class_count:
                raise UserError(
                    f'{self.ann_file}, line {number}: {line!r} is not a path and a label from 0 to {class_count - 1}, '
                    f'the lines of {Path(self.data_root, "classes.txt")}'
                )
            video = Path(self.data_prefix['video'], path)
            if not video.is_file():
                raise UserError(f'{self.ann_file}, line {number}: no video at {video}\n{_cure(self.data_root)}')
            data_list.append({'filename': str(video), 'label': int(label)})
        return data_list


def class_names(data_root: str | Path) -> list[str]:
    """Return the names in `classes.txt` of a data root, by label.

    Raises:
        UserError: The file is missing or empty.
    """
    return _read_lines(Path(data_root, 'classes.txt'))


def _read_lines(path: Path) -> list[str]:
    if not path.is_file():
        raise UserError(f'no list of the data set at {path}\n{_cure(path.parent)}')
    # Not splitlines(), which also splits at rare characters that a path may hold.
    lines = path.read_text(encoding='utf-8').rstrip('\n').split('\n')
    if lines == ['']:
        raise UserError(f'the list of the data set at {path} is empty\n{_cure(path.parent)}')
    return lines


def _cure(data_root: str | Path) -> str:
    return (
        f'make it from your videos: python tools/build_ucf50.py VIDEOS --out {data_root}\n'
        'or see a training on drawn clips: python tools/train.py configs/tvn1_demo.py'
    )
