"""The parts of importing: which importer, what each field is for, which rows to which split, and the new file."""
