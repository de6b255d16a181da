"""Extensions in use (R75-R79, D61)."""
