"""Inventory of the published archive UCF50.rar: classes, groups and the name of every clip."""

import csv
from collections.abc import Collection
from pathlib import Path

from ..manifest import Clip

# By label, never to change: in code point order, where JumpRope comes before JumpingJack.
UCF50_CLASSES = (
    'BaseballPitch', 'Basketball', 'BenchPress', 'Biking', 'Billiards', 'BreastStroke', 'CleanAndJerk', 'Diving',
    'Drumming', 'Fencing', 'GolfSwing', 'HighJump', 'HorseRace', 'HorseRiding', 'HulaHoop', 'JavelinThrow',
    'JugglingBalls', 'JumpRope', 'JumpingJack', 'Kayaking', 'Lunges', 'MilitaryParade', 'Mixing', 'Nunchucks',
    'PizzaTossing', 'PlayingGuitar', 'PlayingPiano', 'PlayingTabla', 'PlayingViolin', 'PoleVault', 'PommelHorse',
    'PullUps', 'Punch', 'PushUps', 'RockClimbingIndoor', 'RopeClimbing', 'Rowing', 'SalsaSpin', 'SkateBoarding',
    'Skiing', 'Skijet', 'SoccerJuggling', 'Swing', 'TaiChi', 'TennisSwing', 'ThrowDiscus', 'TrampolineJumping',
    'VolleyballSpiking', 'WalkingWithDog', 'YoYo',
)  # fmt: skip


def ucf50_names() -> list[str]:
    """Return the 6,681 names `Class/v_Stem_gNN_cNN.avi` in the archive, in code point order.

    The table `ucf50_inventory.csv` holds for each class the stem of its clips (`Billards` and `Pullup` among them), the
    last clip number of each group from group 01 on, and the missing numbers below it.
    """
    names = []
    with Path(__file__).with_name('ucf50_inventory.csv').open(encoding='utf-8', newline='') as file:
        for row in csv.DictReader(file):
            for group, last in enumerate(row['last_clip_of_each_group'].split(), start=1):
                numbers = [f'g{group:02d}_c{clip:02d}' for clip in range(1, int(last) + 1)]
                present = [number for number in numbers if number not in row['missing'].split()]
                names += [f'{row["class"]}/{row["stem"]}_{number}.avi' for number in present]
    return names


def compare_with_ucf50(clips: Collection[Clip]) -> str:
    """Return a line that describes clips as the complete archive UCF50.rar, a subset of it, or something else."""
    published = set(ucf50_names())
    found = {f'{clip.class_name}/{clip.file_name}' for clip in clips}
    classes = {clip.class_name for clip in clips}
    if found == published:
        return f'the complete archive UCF50: {len(UCF50_CLASSES)} classes, {len(published):,} clips'
    if found < published:
        missing = min(published - found)
        return (
            f'a subset of UCF50: {len(classes)} of its {len(UCF50_CLASSES)} classes, {len(found):,} of its '
            f'{len(published):,} clips; {missing} is the first missing one'
        )
    return (
        f'not UCF50: {len(classes)} classes, {len(found):,} clips, {len(found & published):,} of them with a name of '
        f'UCF50; {min(found - published)} is the first unknown one'
    )
