"""Words that do not belong in sources, help texts, messages and documents, and errors without a remedy."""

import ast
import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
FOLDERS = ('tvn_mmaction', 'tools', 'benchmarks', 'configs', 'tests', 'docs')
SUFFIXES = {'.py', '.md', '.yml', '.yaml', '.toml', '.jinja'}
FILES = [*REPOSITORY.glob('*.*'), *(file for folder in FOLDERS for file in (REPOSITORY / folder).rglob('*.*'))]
FILES = sorted(file for file in FILES if file.suffix in SUFFIXES and file != Path(__file__))
FILES += (REPOSITORY / '.ci').glob('*')
# Regular expressions, which also match words in names and phrases that span lines, and better words.
WORDS = {
    'told|tells|telling': 'report, warn, raise, print, read',
    'says|said': 'report, print, state, describe',
    'anew': 'again',
    'nobody': 'no one, unknown, untested',
    'at hand': 'available, existing',
    'in the place of': 'instead of',
    '(is|are|was|were) none': 'is not a, is invalid, there is no',
    'beside': 'next to, in addition to, with',
    'behind': 'after, below, worse than',
    '(go|goes|going|went|gone) on': 'continue, resume',
    'cures?|cured': 'patch, remedy',
    'siblings?': 'clip of the same source video, same_group',
    'made up': 'dummy',
    'who has': 'if you have',
    '"""(What|Who)': 'a noun phrase',
    'def test what': 'subject and verb',
}
# Exempt: fields of records, folders of trainings, former options, Jinja's syntax, plain English.
EXEMPT = r"with_sibling_in_train|\['beside'|'--beside'|\bvalue is none|there is none"
# Between the words of a phrase: spaces, underscores, line breaks in comments and strings.
GAP = r'(?:[\s_-]|[\'"]\s+f?r?[\'"]|\n\s*#)+'


@pytest.mark.parametrize(('words', 'instead'), WORDS.items(), ids=WORDS)
def test_words_that_do_not_belong_here(words, instead):
    flags = 0 if 'none' in words else re.IGNORECASE  # `is None` is Python
    pattern = re.compile(rf'(?<![a-zA-Z])(?:{words.replace(" ", GAP)})(?![a-zA-Z])', flags)
    found = []
    for file in FILES:
        text = re.sub(EXEMPT, '', file.read_text(encoding='utf-8'))
        for match in pattern.finditer(text):
            line = text.count('\n', 0, match.start())
            found.append(f'{file.relative_to(REPOSITORY)}:{line + 1}: {text.splitlines()[line].strip()[:100]}')
    assert not found, f'write {instead}:\n' + '\n'.join(found)


# Of errors that pass on two sentences from elsewhere.
PASSED_ON = {'{}: {}', '{} {}', 'validation split of the training clips: {}'}
PASSED_ON |= {'{} With --own-input, it keeps its own frames and pixels.'}


def template(message: ast.expr) -> str:
    """Return the text of a message, with {} for its values; '' for one that is not a literal."""
    if isinstance(message, ast.JoinedStr):
        return ''.join(part.value if isinstance(part, ast.Constant) else '{}' for part in message.values)
    if isinstance(message, ast.BinOp):
        return template(message.left) + template(message.right)
    return message.value if isinstance(message, ast.Constant) else ''


def test_errors_state_the_fault_and_the_remedy():
    messages = {}
    for file in (file for file in FILES if file.suffix == '.py' and 'tests' not in file.parts):
        for node in ast.walk(ast.parse(file.read_text(encoding='utf-8'))):
            if isinstance(node, ast.Call) and getattr(node.func, 'id', '') == 'UserError':
                messages[f'{file.relative_to(REPOSITORY)}:{node.lineno}'] = template(node.args[0])
    assert len(messages) > 250
    one_sentence = {
        place: text
        for place, text in messages.items()
        if text and not re.search(r'[.?]\s([A-Z]|\{\})', text) and text not in PASSED_ON
    }
    assert not one_sentence
