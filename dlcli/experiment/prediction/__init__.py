"""Answers of a run or an artefact about the rows of any file, streamed."""
